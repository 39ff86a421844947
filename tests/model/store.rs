//! A store in memory for tests: it runs the shipping scripts on data of its own, and stands behind a network that
//! delays, loses and reorders. It may stop, fill up, fail over and lose everything, and its clock may step.

mod engine;
mod keyspace;
mod link;
mod server;

pub(crate) use link::Told;
pub(crate) use server::{Server, Weather};
