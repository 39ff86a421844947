//! The limits of one listener.

use std::time::Duration;

/// The limits of one listener's connections.
#[derive(Clone, Copy, Debug)]
pub struct ListenerSettings {
    /// From the accept or a head's first byte to its end.
    pub header_timeout: Duration,
    /// Between requests.
    pub idle_timeout: Duration,
    /// For a client to take an answer.
    pub request_timeout: Duration,
    /// After this, an answer is the connection's last.
    pub max_connection_age: Duration,
    /// At once; further ones are closed.
    pub max_connections: usize,
    /// After accepting has stopped, for requests in flight.
    pub drain_timeout: Duration,
}
