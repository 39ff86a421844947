//! The HTTP client of one provider: our own TLS configuration, nothing from the environment, every wait and every
//! body bounded.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bytes::BytesMut;
use http::header::{ACCEPT, CACHE_CONTROL, HeaderValue};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::clock;
use crate::domain::{ParseError, UpstreamError};

use super::transport::{Response, Sending, Transport};
use super::{Operation, classify};

/// A balance is some 300 bytes and a token a few kilobytes; anything over this is no answer of theirs.
pub(super) const MAX_BODY: usize = 64 * 1024;
/// Common load balancers keep idle connections for 60 s or 75 s: half of it leaves no race.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// A connection's DNS answer and route are followed anew after this.
const MAX_LIFETIME: Duration = Duration::from_mins(5);

/// What the client of one provider is made from.
#[derive(Clone, Debug)]
pub struct ClientSettings {
    /// Time for DNS, TCP and TLS together.
    pub connect_timeout: Duration,
    /// An HTTP proxy to `CONNECT` through, for https.
    pub proxy: Option<Url>,
    /// A CA in PEM to trust besides the public ones.
    pub extra_ca: Option<Vec<u8>>,
    /// Our certificate chain and key in PEM, for mutual TLS.
    pub identity: Option<(SecretString, SecretString)>,
}

impl ClientSettings {
    /// Tries whether TLS takes our certificate and its key together.
    ///
    /// # Errors
    /// [`ClientError`] when it does not.
    pub fn check_identity(&self) -> Result<(), ClientError> {
        tls_config(rustls::RootCertStore::empty(), self.identity.as_ref()).map(drop)
    }

    /// Whether both show the same certificate, proven by the same key.
    #[must_use]
    pub fn has_identity_of(&self, other: &Self) -> bool {
        let identity = |settings: &Self| {
            let pem = settings.identity.as_ref();
            pem.map(|(chain, key)| [chain, key].map(|pem| pem.expose_secret().to_owned()))
        };
        identity(self) == identity(other)
    }
}

impl PartialEq for ClientSettings {
    fn eq(&self, other: &Self) -> bool {
        self.connect_timeout == other.connect_timeout
            && self.proxy == other.proxy
            && self.extra_ca == other.extra_ca
            && self.has_identity_of(other)
    }
}

/// Why a client cannot be made from its settings.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// A certificate or key that cannot be read.
    #[error("not readable as PEM: {0}")]
    Pem(#[from] rustls::pki_types::pem::Error),
    /// A certificate or key that TLS does not accept.
    #[error("not usable for TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// The HTTP client refuses its settings.
    #[error("the HTTP client cannot be made: {0}")]
    Http(#[from] reqwest::Error),
}

/// One provider's client, renewed every few minutes so that its connections follow DNS.
#[derive(Debug)]
pub(super) struct Client {
    settings: ClientSettings,
    tls: rustls::ClientConfig,
    current: ArcSwap<Made>,
}

#[derive(Debug)]
struct Made {
    client: reqwest::Client,
    made_at: Instant,
}

impl Transport for Client {
    fn send(&self, operation: Operation, request: http::Request<Vec<u8>>, timeout: Duration) -> Sending<'_> {
        Box::pin(self.attempt(operation, request, timeout))
    }
}

impl Client {
    pub(super) fn new(settings: ClientSettings) -> Result<Self, ClientError> {
        let tls = tls_config(roots(settings.extra_ca.as_deref(), true)?, settings.identity.as_ref())?;
        let made = make(&settings, &tls)?;
        Ok(Self { settings, tls, current: ArcSwap::from_pointee(made) })
    }

    async fn attempt(
        &self,
        operation: Operation,
        mut request: http::Request<Vec<u8>>,
        timeout: Duration,
    ) -> Result<Response, UpstreamError> {
        let headers = request.headers_mut();
        // A declared kind may choose a version by its own.
        headers.entry(ACCEPT).or_insert(HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        let client = self.renewed().client.clone();
        let mut request = reqwest::Request::try_from(request).map_err(|error| classify::transport(&error))?;
        *request.timeout_mut() = Some(timeout);
        let response = client.execute(request).await.map_err(|error| log_transport(error, operation))?;
        classify::status(operation, response.status().as_u16(), response.headers(), clock::now().wall)?;
        if classify::is_encoded(response.headers()) {
            return Err(UpstreamError::Invalid(ParseError {
                field: "body",
                problem: "an encoding nobody asked for",
            }));
        }
        let headers = response.headers().clone();
        Ok(Response { headers, body: read_body(response, operation).await? })
    }

    /// The client in use, made anew when its connections are too old. The old one's calls finish undisturbed.
    fn renewed(&self) -> Arc<Made> {
        let made = self.current.load_full();
        let now = clock::now().monotonic;
        if now.saturating_duration_since(made.made_at) < MAX_LIFETIME {
            return made;
        }
        match make(&self.settings, &self.tls) {
            Ok(fresh) => self.current.store(Arc::new(fresh)),
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the connections to a provider are not renewed"
                );
            }
        }
        self.current.load_full()
    }
}

async fn read_body(mut response: reqwest::Response, operation: Operation) -> Result<BytesMut, UpstreamError> {
    let announced = response.content_length().unwrap_or(0);
    if announced > MAX_BODY as u64 {
        return Err(UpstreamError::TooLarge);
    }
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| log_transport(error, operation))? {
        if body.len() + chunk.len() > MAX_BODY {
            return Err(UpstreamError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The chain of causes is lost with the classification, so it is logged here; never with the URL.
fn log_transport(error: reqwest::Error, operation: Operation) -> UpstreamError {
    let classified = classify::transport(&error);
    let error = error.without_url();
    tracing::debug!(?operation, error = &error as &dyn std::error::Error, "a call to a provider failed");
    classified
}

fn make(settings: &ClientSettings, tls: &rustls::ClientConfig) -> Result<Made, ClientError> {
    let mut builder = builder(tls.clone(), settings.connect_timeout);
    if let Some(proxy) = &settings.proxy {
        // For https alone, which goes through as CONNECT: a request for http would be handed over with its secrets.
        builder = builder.proxy(reqwest::Proxy::https(proxy.clone())?);
    }
    Ok(Made { client: builder.build()?, made_at: clock::now().monotonic })
}

/// What every client of ours has in common: nothing from the environment, nothing asked that is not counted.
pub(super) fn builder(tls: rustls::ClientConfig, connect_timeout: Duration) -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .connect_timeout(connect_timeout)
        // A connection that has gone silent would be used on: HTTP/2 ends a timed-out call, not what carries it.
        .http2_keep_alive_interval(connect_timeout)
        .http2_keep_alive_timeout(connect_timeout)
        .pool_idle_timeout(POOL_IDLE_TIMEOUT)
        .user_agent(concat!("balance-gateway/", env!("CARGO_PKG_VERSION")))
}

/// The public authorities, or none, and those in PEM.
pub(super) fn roots(pem: Option<&[u8]>, with_public: bool) -> Result<rustls::RootCertStore, ClientError> {
    let mut roots = rustls::RootCertStore::empty();
    if with_public {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    for certificate in CertificateDer::pem_slice_iter(pem.unwrap_or_default()) {
        roots.add(certificate?)?;
    }
    Ok(roots)
}

pub(super) fn tls_config(
    roots: rustls::RootCertStore,
    identity: Option<&(SecretString, SecretString)>,
) -> Result<rustls::ClientConfig, ClientError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots);
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain: Result<Vec<_>, _> =
                CertificateDer::pem_slice_iter(certificate.expose_secret().as_bytes()).collect();
            let key = PrivateKeyDer::from_pem_slice(key.expose_secret().as_bytes())?;
            builder.with_client_auth_cert(chain?, key)?
        }
    };
    // A configuration handed to reqwest is taken as it is: without this line HTTP/2 would be off.
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}
