//! The settings of the api port and of callers.

use std::net::SocketAddr;
use std::time::Duration;

use crate::auth::{AccountPattern, Identity};
use crate::domain::CallerName;
use crate::domain::LimitSettings;
use crate::server::{ListenerSettings, TlsSettings};

/// Settings of the listeners and of requests.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// The address for callers.
    pub api: SocketAddr,
    /// The address for probes and Prometheus.
    pub ops: SocketAddr,
    /// TLS for callers; `None` for plain text.
    pub tls: Option<TlsSettings>,
    /// The address for notifications of providers; `None` without a listener for them.
    pub hooks: Option<SocketAddr>,
    /// TLS for providers; `None` for plain text.
    pub hooks_tls: Option<TlsSettings>,
    /// Time for a caller's whole request; also the time that a client has to read an answer.
    pub request_timeout: Duration,
    /// Time after SIGTERM before the listener closes. The gateway still serves, but is not ready.
    pub drain_delay: Duration,
    /// Time for requests in flight after the listener has closed.
    pub drain_timeout: Duration,
    /// Maximum of open connections; further ones are closed.
    pub max_connections: usize,
    /// Maximum of requests in flight; further ones are shed.
    pub max_in_flight: usize,
    /// Time to send a request head.
    pub header_timeout: Duration,
    /// Time between requests on one connection.
    pub idle_timeout: Duration,
    /// The age at which a connection closes after its answer, so that new replicas get load.
    pub max_connection_age: Duration,
    /// The number of replicas, shown on the operations page.
    pub replicas: u32,
    /// Whether each request is logged.
    pub log_requests: bool,
    /// Whether the metrics contain amounts.
    pub shows_balances: bool,
}

/// A caller, its accounts and its limits.
#[derive(Clone, Debug)]
pub struct CallerSettings {
    /// The configured name.
    pub name: CallerName,
    /// How it authenticates.
    pub identity: Identity,
    /// The accounts it may read; an empty list means none.
    pub accounts: Vec<AccountPattern>,
    /// The limit of requested balances.
    pub limit: LimitSettings,
    /// The limit of forced reads.
    pub forced: LimitSettings,
    /// Whether the configuration sets `forced`. Its default is a tenth of `limit`.
    pub is_forced_configured: bool,
    /// Whether `Cache-Control` of its requests counts as a demand. Some HTTP libraries add it on their own.
    pub obeys_cache_control: bool,
    /// Maximum of open event streams.
    pub streams: usize,
}

impl From<&ServerSettings> for ListenerSettings {
    fn from(settings: &ServerSettings) -> Self {
        Self {
            header_timeout: settings.header_timeout,
            idle_timeout: settings.idle_timeout,
            request_timeout: settings.request_timeout,
            max_connection_age: settings.max_connection_age,
            max_connections: settings.max_connections,
            drain_timeout: settings.drain_timeout,
        }
    }
}
