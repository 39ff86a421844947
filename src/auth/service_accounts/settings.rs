//! Which service-account tokens are accepted, and where the keys that verify them come from.

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tower::BoxError;

use super::jwks::Jwks;

/// Asks for the issuer's keys once; the answer is a JSON Web Key Set.
pub type FetchKeys = Arc<dyn Fn() -> BoxFuture<'static, Result<Vec<u8>, BoxError>> + Send + Sync>;

/// Whose tokens are accepted.
#[derive(Clone, Debug)]
pub struct KubernetesSettings {
    /// `iss` of every token.
    pub issuer: String,
    /// Among the `aud` of every token.
    pub audience: String,
    /// What tokens are verified with.
    pub keys: KeySource,
}

/// Where the issuer's keys come from.
#[derive(Clone)]
pub enum KeySource {
    /// They are known.
    Known(Jwks),
    /// They are asked for.
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
