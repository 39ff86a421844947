//! One connection: its opening, its service, and the state that it shares with the other connections of its listener.

mod answer_body;
mod context;
mod open;
mod respond;
mod serve;
mod stream_task;

pub use respond::Respond;

pub(super) use context::ListenerContext;
pub(super) use serve::serve;
