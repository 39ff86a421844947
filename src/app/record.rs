//! Records a body for `try --save`: one call for the first balance of an account. The body is returned unchanged.

use super::assembly;
use super::build_info::{REVISION, VERSION};
use super::error::BuildError;
use crate::cache::BalanceCache;
use crate::clock;
use crate::config::Config;
use crate::domain::{AccountName, UpstreamError};
use crate::metrics::Metrics;

/// Why no body was recorded.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The provider's client cannot be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The call failed.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
}

/// Requests the account's first balance once.
///
/// # Errors
/// [`RecordError`] unless the provider answers with a success status and a body.
pub async fn record(config: &Config, account: &AccountName) -> Result<Vec<u8>, RecordError> {
    let metrics = Metrics::new(VERSION, REVISION).map_err(BuildError::from)?;
    let gateway = assembly::gateway(config, clock::now, &metrics, None, BalanceCache::new(clock::now))?;
    match gateway.account(account.as_str()) {
        Some(account) => Ok(account.upstream().record().await?),
        None => Err(UpstreamError::Defect.into()),
    }
}
