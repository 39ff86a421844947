//! Bounds how long a peer may take, with one timer for a whole connection.
//!
//! The timer is armed only when a read or a write has to wait. A timer that is armed for an earlier moment stays: when
//! it fires, the real deadline is checked. So a keep-alive connection serves requests without touching the timer. Each
//! request costs two clock readings.
//!
//! The bytes of an answer pass from the stream's task (HTTP/2 only) to the connection (hyper or h2), and from there to
//! the kernel. `untaken` keeps the earliest deadline of the bytes in the connection, and of those in the kernel.

mod exchange;
mod gate;
mod heads;
mod part;
mod state;
mod timed_stream;
mod untaken;

pub(super) use exchange::{Exchange, HandOver};
pub(super) use gate::FrameGate;
pub(super) use part::PartGuard;
pub(super) use state::{ConnectionState, Protocol};
pub(super) use timed_stream::TimedStream;
