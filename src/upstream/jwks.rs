//! Asks an issuer of tokens for its keys. Not a provider: no budget, no retry, no metrics; who asks decides how often.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use super::client::{self, ClientError, MAX_BODY};

/// To connect, and for everything together; a request may wait for it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
const TIMEOUT: Duration = Duration::from_millis(2500);

/// Where an issuer's keys are, and how they are asked for.
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
    client: reqwest::Client,
}

/// Why the keys did not come.
#[derive(Debug, thiserror::Error)]
pub enum JwksError {
    /// The call failed.
    #[error("the call failed")]
    Transport(#[source] reqwest::Error),
    /// Another status than a success; a redirect is not followed.
    #[error("status {0}")]
    Status(u16),
    /// More than keys could be.
    #[error("more than 64 KiB")]
    TooLarge,
}

impl JwksClient {
    /// Makes the client; nothing is asked yet.
    ///
    /// # Errors
    /// [`ClientError`] when the CA cannot be used.
    pub fn new(settings: JwksSettings) -> Result<Self, ClientError> {
        let tls = client::tls_config(client::roots(settings.ca.as_deref(), settings.ca.is_none())?, None)?;
        let client = client::builder(tls, CONNECT_TIMEOUT).timeout(TIMEOUT).build()?;
        Ok(Self { settings, client })
    }

    /// Asks once.
    ///
    /// # Errors
    /// [`JwksError`] when no whole answer came.
    pub async fn fetch(&self) -> Result<Vec<u8>, JwksError> {
        let mut request = self.client.get(&self.settings.url);
        if let Some(token) = &self.settings.token {
            request = request.bearer_auth(token.expose_secret());
        }
        let mut response = request.send().await?;
        if !response.status().is_success() {
            return Err(JwksError::Status(response.status().as_u16()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > MAX_BODY {
                return Err(JwksError::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

impl From<reqwest::Error> for JwksError {
    fn from(error: reqwest::Error) -> Self {
        Self::Transport(error.without_url())
    }
}
