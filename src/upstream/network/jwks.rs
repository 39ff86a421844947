//! Fetches the keys of a token issuer. The issuer is no provider: no budget, no retry, no metrics. The code that calls
//! this decides how often.

use std::fmt;
use std::time::Duration;

use http::header::{AUTHORIZATION, HeaderValue};
use secrecy::{ExposeSecret, SecretString};

use super::client::Client;
use super::tls::{self, ClientError, Trust};
use crate::domain::UpstreamError;

/// The time-outs to connect and for the whole fetch. They are short, because a caller's request may wait for the keys.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
const TIMEOUT: Duration = Duration::from_millis(2500);

/// The address of an issuer's keys, and the authorisation of the request.
#[derive(Clone, Debug)]
pub struct JwksSettings {
    /// The whole URL.
    pub url: String,
    /// The only CA to trust, in PEM, in place of the public ones.
    pub ca: Option<Vec<u8>>,
    /// Sent as a bearer token.
    pub token: Option<SecretString>,
}

/// One issuer's key set.
#[derive(Debug)]
pub struct JwksClient {
    settings: JwksSettings,
    client: Client,
}

/// Why the keys could not be fetched.
#[derive(Debug)]
pub enum JwksFetchError {
    /// The request cannot be built.
    Request(http::Error),
    /// The call failed.
    Call(UpstreamError),
}

impl fmt::Display for JwksFetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request(_) => f.write_str("the request cannot be built"),
            Self::Call(UpstreamError::Unreachable(cause)) => cause.fmt(f),
            Self::Call(UpstreamError::Timeout) => f.write_str("no answer in time"),
            Self::Call(UpstreamError::Status(status)) => write!(f, "status {status}"),
            Self::Call(UpstreamError::TooLarge) => f.write_str("more than 64 KiB"),
            Self::Call(UpstreamError::Invalid(error)) => error.fmt(f),
            Self::Call(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for JwksFetchError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Request(error) => Some(error),
            Self::Call(_) => None,
        }
    }
}

impl JwksClient {
    /// Creates the client; no call is made yet.
    ///
    /// # Errors
    /// [`ClientError`] when the CA cannot be used.
    pub fn new(settings: JwksSettings) -> Result<Self, ClientError> {
        let trust = settings.ca.as_deref().map_or(Trust::PublicAnd(None), Trust::Only);
        let client = Client::over(tls::config(trust, None)?, None, CONNECT_TIMEOUT, TIMEOUT);
        Ok(Self { settings, client })
    }

    /// Fetches the keys once. A redirect is not followed.
    ///
    /// # Errors
    /// [`JwksFetchError`] without a complete answer.
    pub async fn fetch(&self) -> Result<Vec<u8>, JwksFetchError> {
        let request = self.request().map_err(JwksFetchError::Request)?;
        let judge = |status, _: &_| match status {
            200..=299 => Ok(()),
            _ => Err(UpstreamError::Status(status)),
        };
        let answer = self.client.ask(request, TIMEOUT, judge).await.map_err(JwksFetchError::Call)?;
        Ok(answer.body.to_vec())
    }

    fn request(&self) -> Result<http::Request<Vec<u8>>, http::Error> {
        let mut request = http::Request::get(&self.settings.url).body(Vec::new())?;
        if let Some(token) = &self.settings.token {
            let mut value = HeaderValue::try_from(format!("Bearer {}", token.expose_secret()))?;
            value.set_sensitive(true);
            request.headers_mut().insert(AUTHORIZATION, value);
        }
        Ok(request)
    }
}
