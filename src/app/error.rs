//! Why a gateway cannot be built from a valid configuration.

use std::net::SocketAddr;

use crate::domain::ProviderName;
use crate::metrics::MetricsError;
use crate::trace::TraceError;
use crate::upstream::ClientError;

/// Why a gateway cannot be built from a valid configuration.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A provider's client cannot be made.
    #[error("providers.{0}: {1}")]
    Client(ProviderName, #[source] ClientError),
    /// The keys of service-account tokens cannot be asked for.
    #[error("auth.kubernetes.jwks: {0}")]
    Jwks(#[source] ClientError),
    /// A listen address cannot be bound.
    #[error("cannot listen on {0}: {1}")]
    Bind(SocketAddr, #[source] std::io::Error),
    /// The threads that serve connections cannot be started.
    #[error("cannot start the threads of connections: {0}")]
    Workers(#[source] std::io::Error),
    /// Nothing can be sent to the collector.
    #[error("tracing: {0}")]
    Tracing(#[from] TraceError),
    /// A defect in the metrics.
    #[error("metrics: {0}")]
    Metrics(#[from] MetricsError),
}
