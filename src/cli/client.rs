//! The HTTP client of the commands that call a running gateway: its address, the caller key, one request at a time.

mod error;
mod tls;

use std::path::PathBuf;
use std::time::Duration;

use http::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue, RETRY_AFTER};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

pub(super) use error::{ClientError, Problem};

/// For DNS, TCP and TLS.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longer than a gateway takes for a whole request.
const TIMEOUT: Duration = Duration::from_mins(1);

/// The gateway to call, and the caller key.
#[derive(Debug, clap::Args)]
pub(super) struct GatewayArguments {
    /// The gateway's address.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    url: Url,
    /// The caller key.
    #[arg(long, env = "BALANCE_GATEWAY_KEY", hide_env_values = true)]
    key: SecretString,
    /// CA certificates (PEM) to trust besides the public ones.
    #[arg(long, value_name = "FILE", env = "SSL_CERT_FILE")]
    ca: Option<PathBuf>,
    /// A client certificate (PEM), for a gateway that requires one.
    #[arg(long, value_name = "FILE", requires = "private_key")]
    certificate: Option<PathBuf>,
    /// The private key (PEM) of the client certificate.
    #[arg(long, value_name = "FILE", requires = "certificate")]
    private_key: Option<PathBuf>,
}

/// Asks one gateway with one key.
pub(super) struct Client {
    http: reqwest::Client,
    url: Url,
    authorization: HeaderValue,
}

/// An answer with status 200.
pub(super) struct GatewayAnswer {
    pub(super) headers: HeaderMap,
    /// The body as it came.
    pub(super) body: String,
}

impl Client {
    /// Makes the client; everything that can fail here is a mistake in the arguments.
    pub(super) fn new(arguments: &GatewayArguments) -> Result<Self, ClientError> {
        let GatewayArguments { url, key, ca, certificate, private_key } = arguments;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(ClientError::Unusable("the URL must begin with http:// or https://"));
        }
        let identity = certificate.as_deref().zip(private_key.as_deref());
        if url.scheme() == "http" && identity.is_some() {
            return Err(ClientError::Unusable("a client certificate needs an https:// URL"));
        }
        let ca = ca.as_deref().filter(|path| url.scheme() == "https" && !path.as_os_str().is_empty());
        let mut authorization = HeaderValue::try_from(format!("Bearer {}", key.expose_secret()))
            .map_err(|_| ClientError::Unusable("the key has characters that cannot be sent"))?;
        authorization.set_sensitive(true);
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls::config(ca, identity)?)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .user_agent(concat!("balance-gateway/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| ClientError::unreachable(url, &error))?;
        Ok(Self { http, url: url.clone(), authorization })
    }

    /// Requests a path in this media type.
    pub(super) async fn get(&self, path: &str, accept: &'static str) -> Result<GatewayAnswer, ClientError> {
        let mut url = self.url.clone();
        url.set_path(&format!("{}{path}", url.path().trim_end_matches('/')));
        let request = self.http.get(url).header(AUTHORIZATION, self.authorization.clone());
        let response =
            request.header(ACCEPT, accept).send().await.map_err(|error| self.unreachable(&error))?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.text().await.map_err(|error| self.unreachable(&error))?;
        match status {
            200 => Ok(GatewayAnswer { headers, body }),
            401 => Err(ClientError::Unauthenticated),
            _ => {
                let mut problem: Problem =
                    serde_json::from_str(&body).map_err(|_| self.not_a_gateway(status))?;
                problem.retry_after = problem.retry_after.or(seconds(&headers, &RETRY_AFTER));
                Err(ClientError::Refused { status, problem })
            }
        }
    }

    /// The error for an answer that does not come from a balance gateway.
    pub(super) fn not_a_gateway(&self, status: u16) -> ClientError {
        ClientError::NotAGateway { address: error::shown(&self.url), status }
    }

    fn unreachable(&self, error: &reqwest::Error) -> ClientError {
        ClientError::unreachable(&self.url, error)
    }
}

/// A header that holds whole seconds.
pub(super) fn seconds(headers: &HeaderMap, name: &http::HeaderName) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.parse().ok()
}
