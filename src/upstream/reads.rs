//! One read of a balance, from its admission to its snapshot: tokens, attempts, retries, and reads that replicas share.

mod attempt;
mod parse_answer;
mod read;
mod read_whole;
mod record;
mod renewal;
mod shared_read;
mod whole;

pub(super) use whole::WholeAnswers;
