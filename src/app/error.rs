//! Why a gateway cannot be built from a valid configuration.

use std::net::SocketAddr;

use crate::domain::ProviderName;
use crate::metrics::MetricsError;
use crate::trace::TraceError;
use crate::upstream::ClientError;

/// Why a gateway cannot be built from a valid configuration.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A provider's HTTP client cannot be built.
    #[error("providers.{0}: {1}")]
    Client(ProviderName, #[source] ClientError),
    /// The keys of service-account tokens cannot be fetched.
    #[error("auth.kubernetes.jwks: {0}")]
    Jwks(#[source] ClientError),
    /// A listen address cannot be bound.
    #[error("cannot listen on {0}: {1}")]
    Bind(SocketAddr, #[source] std::io::Error),
    /// The threads that serve connections cannot be started.
    #[error("cannot start the threads that serve connections: {0}")]
    Workers(#[source] std::io::Error),
    /// The exporter of traces cannot start.
    #[error("tracing: {0}")]
    Tracing(#[from] TraceError),
    /// Our own defect in the metrics.
    #[error("metrics: {0}")]
    Metrics(#[from] MetricsError),
}
