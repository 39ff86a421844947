//! The HTTP client for the collector: OTLP as protobuf. It ignores the environment, and every wait is bounded.

use std::sync::Arc;
use std::time::Duration;

use http::header::CONTENT_TYPE;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;
use rustls::{ClientConfig, RootCertStore};

use super::wire::{self, Span};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// For one batch, from connecting to the last byte of the answer.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The longest answer that is read, in bytes; a usual one has a few. An answer without `Content-Length` is not read.
const MOST_ANSWER: u64 = 64 * 1024;

/// Why the exporter cannot start.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// A defect in our TLS settings.
    #[error("not usable for TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// The HTTP client refuses its settings.
    #[error("the HTTP client cannot be built: {0}")]
    Http(#[from] reqwest::Error),
}

/// Why a batch was not delivered.
#[derive(Debug, thiserror::Error)]
pub(super) enum SendError {
    #[error("the collector cannot be reached")]
    Transport(#[source] reqwest::Error),
    #[error("the collector answered {0}")]
    Status(u16),
}

#[derive(Debug)]
pub(super) struct Collector {
    client: reqwest::Client,
    url: String,
}

impl Collector {
    /// Builds the client; it trusts the public certificate authorities.
    pub(super) fn new(otlp: &str) -> Result<Self, TraceError> {
        let mut roots = RootCertStore::empty();
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .user_agent(concat!("balance-gateway/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self { client, url: format!("{otlp}/v1/traces") })
    }

    /// Sends a batch; returns the number of spans that the collector rejected.
    pub(super) async fn send(&self, spans: Vec<Span>) -> Result<u64, SendError> {
        let body = wire::batch(spans).encode_to_vec();
        let request = self.client.post(&self.url).header(CONTENT_TYPE, "application/x-protobuf").body(body);
        let transport = |error: reqwest::Error| SendError::Transport(error.without_url());
        let response = request.send().await.map_err(transport)?;
        if !response.status().is_success() {
            return Err(SendError::Status(response.status().as_u16()));
        }
        if response.content_length().is_none_or(|length| length > MOST_ANSWER) {
            return Ok(0);
        }
        let answer = response.bytes().await.map_err(transport)?;
        let partial = ExportTraceServiceResponse::decode(answer).ok().and_then(|it| it.partial_success);
        Ok(partial.map_or(0, |it| u64::try_from(it.rejected_spans).unwrap_or(0)))
    }
}
