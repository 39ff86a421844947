//! The settings of service-account tokens: issuer, audience and the source of keys.

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tower::BoxError;

use super::jwks::Jwks;

/// Fetches the issuer's keys once, as a JSON Web Key Set.
pub type FetchKeys = Arc<dyn Fn() -> BoxFuture<'static, Result<Vec<u8>, BoxError>> + Send + Sync>;

/// The accepted issuer and audience.
#[derive(Clone, Debug)]
pub struct KubernetesSettings {
    /// The required `iss` of a token.
    pub issuer: String,
    /// The required `aud` of a token.
    pub audience: String,
    /// The keys that verify tokens.
    pub keys: KeySource,
}

/// The source of the issuer's keys.
#[derive(Clone)]
pub enum KeySource {
    /// Keys from the configuration.
    Known(Jwks),
    /// Keys that this function fetches.
    Fetched(FetchKeys),
}

impl fmt::Debug for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(keys) => f.debug_tuple("Known").field(keys).finish(),
            Self::Fetched(_) => f.write_str("Fetched"),
        }
    }
}
