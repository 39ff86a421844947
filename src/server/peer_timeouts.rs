//! Bounds how long a peer may take, with one timer for a whole connection.
//!
//! A timer is armed only when a read or a write has to wait, and one that is armed for an earlier moment is left
//! alone: when it fires, the real deadline is looked at. A keep-alive connection therefore serves requests without
//! touching the timer, at two looks at the clock each.

mod answers;
mod heads;
mod pace;
mod stream;

pub(super) use pace::{Exchange, HandOver, Pace, Protocol};
pub(super) use stream::Paced;
