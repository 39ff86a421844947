//! Bounds how long a peer may take, with one timer for a whole connection.
//!
//! A timer is armed only when a read or a write has to wait, and one that is armed for an earlier moment is left
//! alone: when it fires, the real deadline is looked at. A keep-alive connection therefore serves requests without
//! touching the timer, at two looks at the clock each.

mod exchange;
mod gate;
mod heads;
mod part;
mod state;
mod timed_stream;
mod untaken;

pub(super) use exchange::{Exchange, HandOver};
pub(super) use gate::Gate;
pub(super) use part::Part;
pub(super) use state::{ConnectionState, Protocol};
pub(super) use timed_stream::TimedStream;
