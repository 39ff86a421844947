//! Brings together who verifies tokens, in `http`, and who asks for the keys, in `upstream`.

use std::sync::Arc;

use super::error::BuildError;
use crate::auth::{FetchKeys, Jwks, KeySource, KubernetesSettings};
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

/// Asks for the issuer's keys once; `None` when they are not asked for. The error says why they did not come.
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
