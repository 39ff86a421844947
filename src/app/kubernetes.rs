//! Brings together who verifies tokens, in `http`, and who asks for the keys, in `upstream`.

use std::sync::Arc;

use super::error::BuildError;
use crate::auth::{FetchKeys, KeySource, KubernetesSettings};
use crate::config::{Config, JwksConfig, KubernetesConfig};
use crate::upstream::{ClientError, JwksClient, JwksSettings};

/// What verifying tokens needs of the configuration; nobody is asked yet.
pub(super) fn settings(config: &Config) -> Result<Option<KubernetesSettings>, BuildError> {
    let Some(KubernetesConfig { issuer, audience, jwks }) = config.kubernetes.clone() else {
        return Ok(None);
    };
    let keys = match jwks {
        JwksConfig::File(keys) => KeySource::Known(keys),
        JwksConfig::Url(settings) => KeySource::Fetched(fetch(settings).map_err(BuildError::Jwks)?),
    };
    Ok(Some(KubernetesSettings { issuer, audience, keys }))
}

fn fetch(settings: JwksSettings) -> Result<FetchKeys, ClientError> {
    let client = Arc::new(JwksClient::new(settings)?);
    Ok(Arc::new(move || {
        let client = Arc::clone(&client);
        Box::pin(async move { Ok(client.fetch().await?) })
    }))
}
