//! Marks an answer without a foreseeable end, such as an event stream.

/// A response extension for a body without a foreseeable end: silence is no delay of the peer, and the connection closes
/// after it.
#[derive(Clone, Copy, Debug)]
pub struct OpenEnded;
