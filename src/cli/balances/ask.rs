//! One request to a running gateway, and its possible errors.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use http::header::{AGE, AUTHORIZATION, HeaderMap, HeaderValue, RETRY_AFTER};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::Url;

/// For DNS, TCP and TLS.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longer than the usual request time-out of a gateway.
const TIMEOUT: Duration = Duration::from_mins(1);

/// A client for one gateway with one key.
pub(super) struct Client {
    http: reqwest::Client,
    balances: Url,
    authorization: HeaderValue,
    /// The URL as given, for messages.
    shown: String,
}

/// What the gateway answered.
#[derive(Deserialize)]
pub(super) struct Answer {
    pub(super) balances: Vec<Balance>,
    pub(super) errors: Vec<Missing>,
    #[serde(rename = "complete")]
    pub(super) is_complete: bool,
    /// The age of the oldest balance, in seconds.
    #[serde(skip)]
    pub(super) age: u64,
    /// The unchanged body.
    #[serde(skip)]
    pub(super) body: String,
}

/// One balance; amounts stay texts.
#[derive(Deserialize)]
pub(super) struct Balance {
    pub(super) account: String,
    pub(super) currency: String,
    pub(super) r#type: Option<String>,
    pub(super) available: String,
    pub(super) blocked: Option<String>,
    pub(super) total: Option<String>,
    pub(super) fetched_at: jiff::Timestamp,
}

/// One missing balance.
#[derive(Deserialize)]
pub(super) struct Missing {
    pub(super) account: String,
    pub(super) currency: Option<String>,
    pub(super) r#type: Option<String>,
    pub(super) problem: Problem,
}

/// Why a balance is missing.
#[derive(Debug, Deserialize)]
pub(super) struct Problem {
    pub(super) title: String,
    pub(super) detail: String,
    pub(super) code: String,
    pub(super) retry_after: Option<u64>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    /// The address or the key cannot be used.
    #[error("{0}")]
    Unusable(&'static str),
    /// The TLS library rejects its settings.
    #[error("TLS cannot be used: {0}")]
    Tls(#[from] rustls::Error),
    /// No connection, or it broke, or it took too long.
    #[error("no answer from {address}: {cause}")]
    Unreachable { address: String, cause: String },
    /// The key is not known.
    #[error("the gateway does not know this key (401)")]
    Unauthenticated,
    /// Another problem.
    #[error("{} ({status} {}): {}{}", .problem.title, .problem.code, .problem.detail, again(.problem))]
    Refused { status: u16, problem: Problem },
    /// An answer that no balance gateway gives.
    #[error("{address} answered {status}, but not as a balance gateway does")]
    Strange { address: String, status: u16 },
}

fn again(problem: &Problem) -> String {
    problem.retry_after.map(|seconds| format!("; ask again in {seconds} s")).unwrap_or_default()
}

impl AskError {
    /// How long to wait before the next request.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { problem, .. } => problem.retry_after.map(Duration::from_secs),
            Self::Unusable(_)
            | Self::Tls(_)
            | Self::Unreachable { .. }
            | Self::Unauthenticated
            | Self::Strange { .. } => None,
        }
    }
}

impl Client {
    pub(super) fn new(url: &Url, key: &SecretString) -> Result<Self, AskError> {
        let mut balances = url.clone();
        let path = format!("{}/v1/balances", url.path().trim_end_matches('/'));
        balances.set_path(&path);
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(AskError::Unusable("the URL is neither http:// nor https://"));
        }
        let mut authorization = HeaderValue::try_from(format!("Bearer {}", key.expose_secret()))
            .map_err(|_| AskError::Unusable("the key has signs that cannot be sent"))?;
        authorization.set_sensitive(true);
        let shown = url.as_str().trim_end_matches('/').to_owned();
        let http = http_client()?.build().map_err(|error| unreachable(&shown, &error))?;
        Ok(Self { http, balances, authorization, shown })
    }

    pub(super) async fn ask(&self) -> Result<Answer, AskError> {
        let request = self.http.get(self.balances.clone()).header(AUTHORIZATION, self.authorization.clone());
        let response = request.send().await.map_err(|error| unreachable(&self.shown, &error))?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.text().await.map_err(|error| unreachable(&self.shown, &error))?;
        let strange = || AskError::Strange { address: self.shown.clone(), status };
        match status {
            200 => {
                let answer: Answer = serde_json::from_str(&body).map_err(|_| strange())?;
                Ok(Answer { age: seconds(&headers, &AGE).unwrap_or(0), body, ..answer })
            }
            401 => Err(AskError::Unauthenticated),
            _ => {
                let mut problem: Problem = serde_json::from_str(&body).map_err(|_| strange())?;
                problem.retry_after = problem.retry_after.or(seconds(&headers, &RETRY_AFTER));
                Err(AskError::Refused { status, problem })
            }
        }
    }
}

fn seconds(headers: &HeaderMap, name: &http::HeaderName) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.parse().ok()
}

fn http_client() -> Result<reqwest::ClientBuilder, rustls::Error> {
    let roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(TIMEOUT)
        .user_agent(concat!("balance-gateway/", env!("CARGO_PKG_VERSION"))))
}

/// The innermost cause of the failure; the outer ones only repeat the address.
fn unreachable(address: &str, error: &reqwest::Error) -> AskError {
    let mut cause: &dyn Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    AskError::Unreachable { address: address.to_owned(), cause: cause.to_string() }
}
