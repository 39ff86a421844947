//! Connects `auth`, which verifies tokens, with `upstream`, which fetches the keys.

use std::sync::Arc;

use super::error::BuildError;
use crate::auth::{FetchKeys, Jwks, KeySource, KubernetesSettings};
use crate::config::{Config, JwksConfig, KubernetesConfig};
use crate::upstream::{ClientError, JwksClient, JwksSettings};

/// The settings for verifying tokens; no call is made yet.
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

/// Fetches the issuer's keys once; `None` unless the configuration gives a URL for them. The error says why the fetch
/// failed.
pub(super) async fn try_keys(config: &Config) -> Option<Result<(), String>> {
    let Some(KubernetesConfig { jwks: JwksConfig::Url(settings), .. }) = config.kubernetes.clone() else {
        return None;
    };
    let fetch = async {
        let client = JwksClient::new(settings).map_err(|error| error.to_string())?;
        let answer = client.fetch().await.map_err(|error| error.to_string())?;
        Jwks::parse(&answer).map_err(|error| error.to_string())
    };
    Some(fetch.await.map(drop))
}

fn fetch(settings: JwksSettings) -> Result<FetchKeys, ClientError> {
    let client = Arc::new(JwksClient::new(settings)?);
    Ok(Arc::new(move || {
        let client = Arc::clone(&client);
        Box::pin(async move { Ok(client.fetch().await?) })
    }))
}
