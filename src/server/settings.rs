//! The limits of one listener.

use std::time::Duration;

/// The limits of one listener's connections.
#[derive(Clone, Copy, Debug)]
pub struct ListenerSettings {
    /// Time for a head, from the accept or its first byte to its end.
    pub header_timeout: Duration,
    /// Time between two requests.
    pub idle_timeout: Duration,
    /// Time for a client to read an answer.
    pub request_timeout: Duration,
    /// Age at which a connection closes after its answer.
    pub max_connection_age: Duration,
    /// Maximum of open connections; further ones are closed.
    pub max_connections: usize,
    /// Time for requests in flight after accepting has stopped.
    pub drain_timeout: Duration,
}
