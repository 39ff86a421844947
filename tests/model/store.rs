//! A store in memory for tests. It runs the shipped scripts on its own data, behind a network that delays, loses and
//! reorders messages. It may stop, fill up, fail over and lose everything, and its clock may step.

mod engine;
mod keyspace;
mod link;
mod server;

pub(crate) use link::Told;
pub(crate) use server::{Server, Weather};
