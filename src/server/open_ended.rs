//! Marks an answer that goes on for as long as there is something to say, such as an event stream.

/// An extension of a response whose body has no end in sight: the peer takes it piece by piece, silence is no delay,
/// and the connection closes after it.
#[derive(Clone, Copy, Debug)]
pub struct OpenEnded;
