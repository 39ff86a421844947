//! Connects to a provider: name, address, proxy, TLS, each with its own time, and with the cause when it fails.

mod dial;
mod resolve;
mod tunnel;
mod wire;

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tower::Service;
use url::Url;

use crate::domain::Cause;
use crate::upstream::failure::{ConnectError, cause};
pub(in crate::upstream) use wire::{FirstBytes, Wire};

tokio::task_local! {
    /// The progress of the attempt that is polled.
    static ATTEMPT: Arc<Progress>;
}

/// The progress of the connection that is made for one attempt.
#[derive(Debug, Default)]
pub(super) struct Progress {
    is_connecting: AtomicBool,
    first_bytes: std::sync::OnceLock<FirstBytes>,
}

impl Progress {
    /// Runs an attempt and records the progress of its connection.
    pub(in crate::upstream) async fn of<T>(self: Arc<Self>, attempt: impl Future<Output = T>) -> T {
        ATTEMPT.scope(self, attempt).await
    }

    /// Whether a connection was begun and is not established yet.
    pub(super) fn is_connecting(&self) -> bool {
        self.is_connecting.load(Ordering::Relaxed)
    }

    /// The first bytes of the established connection.
    pub(in crate::upstream) fn first_bytes(&self) -> Option<&FirstBytes> {
        self.first_bytes.get()
    }
}

/// Makes the connections of one client.
#[derive(Clone)]
pub(super) struct Connector {
    tls: TlsConnector,
    proxy: Option<Url>,
    /// Longest time of each step: the name, one address, TLS.
    limit: Duration,
}

impl Connector {
    /// Connects with this TLS configuration, for https through this proxy; each step may take `limit`.
    pub(in crate::upstream) fn new(
        tls: Arc<rustls::ClientConfig>,
        proxy: Option<Url>,
        limit: Duration,
    ) -> Self {
        Self { tls: TlsConnector::from(tls), proxy, limit }
    }

    async fn connect(&self, target: &Uri) -> Result<Wire, ConnectError> {
        let host = target.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let is_tls = target.scheme_str() == Some("https");
        let port = target.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        if !is_tls {
            return Ok(Wire::plain(self.reach(host, port).await?));
        }
        let stream = match &self.proxy {
            // Only for https: with http, the proxy would see the request and its secrets.
            Some(proxy) => {
                let proxy_host = proxy.host_str().unwrap_or_default();
                let proxy_host = proxy_host.trim_start_matches('[').trim_end_matches(']');
                let mut stream = self.reach(proxy_host, proxy.port_or_known_default().unwrap_or(80)).await?;
                self.in_time(tunnel::open(&mut stream, target.host().unwrap_or_default(), port)).await?;
                stream
            }
            None => self.reach(host, port).await?,
        };
        let name = ServerName::try_from(host.to_owned())
            .map_err(|error| ConnectError::new(Cause::UnknownHost, io::Error::other(error)))?;
        let handshake = async {
            let done = self.tls.connect(name, stream).await;
            done.map_err(|error| ConnectError::new(cause::of_io(&error), error))
        };
        Ok(Wire::tls(self.in_time(handshake).await?))
    }

    /// A TCP connection to a host.
    async fn reach(&self, host: &str, port: u16) -> Result<TcpStream, ConnectError> {
        let resolved = timeout(self.limit, resolve::addresses(host, port)).await;
        let addresses = resolved.map_err(|_| ConnectError::from(Cause::NameServerTimeout))??;
        dial::dial(&addresses, self.limit)
            .await
            .map_err(|error| ConnectError::new(cause::of_dial(&error), error))
    }

    async fn in_time<T>(
        &self,
        step: impl Future<Output = Result<T, ConnectError>>,
    ) -> Result<T, ConnectError> {
        timeout(self.limit, step).await.unwrap_or_else(|_| Err(Cause::HandshakeTimeout.into()))
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Wire>;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, target: Uri) -> Self::Future {
        let connector = self.clone();
        // Read here, in the attempt's task, because another task may finish the connection.
        let progress = ATTEMPT.try_with(Arc::clone).unwrap_or_default();
        progress.is_connecting.store(true, Ordering::Relaxed);
        Box::pin(async move {
            let wire = connector.connect(&target).await?;
            // If an attempt connects twice, because an idle connection had ended, the bytes of the first connection
            // count.
            let _ = progress.first_bytes.set(wire.first_bytes().clone());
            progress.is_connecting.store(false, Ordering::Relaxed);
            Ok(TokioIo::new(wire))
        })
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector")
            .field("proxy", &self.proxy)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}
