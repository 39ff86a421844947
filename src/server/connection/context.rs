//! The shared state of all connections of one listener.

use std::sync::Arc;

use crate::{
    live::Live,
    metrics::{ConnectionRefusal, Metrics},
    server::{memory::SharedMemory, settings::ListenerSettings, tls::TlsSettings},
    shutdown::Shutdown,
};

/// The shared state of all connections of one listener.
#[derive(Clone, Debug)]
pub(in crate::server) struct ListenerContext<S> {
    pub(in crate::server) service: S,
    pub(in crate::server) settings: Live<ListenerSettings>,
    pub(in crate::server) tls: Option<Live<TlsSettings>>,
    pub(in crate::server) metrics: Option<Arc<Metrics>>,
    pub(in crate::server) shutdown: Shutdown,
    /// Memory for the unfinished requests of strangers.
    pub(in crate::server) memory: SharedMemory,
}

impl<S> ListenerContext<S> {
    /// Counts a connection that was refused.
    pub(in crate::server) fn count_refusal(&self, reason: ConnectionRefusal) {
        if let Some(metrics) = &self.metrics {
            metrics.connection_refused(reason);
        }
    }
}
