//! The settings of one provider's HTTP client.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::tls::{self, ClientError, Trust};

/// The settings of one provider's HTTP client.
#[derive(Clone, Debug)]
pub struct ClientSettings {
    /// Time for one address to accept a connection. The look-up of the name and the TLS handshake have the same time.
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
        tls::config(Trust::PublicAnd(None), self.identity.as_ref()).map(drop)
    }

    /// Whether both have the same certificate and key.
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
