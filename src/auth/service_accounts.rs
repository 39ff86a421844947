//! Tokens of Kubernetes service accounts: the trusted issuer, replaceable at run time, and its keys.
//!
//! Verifying a signature costs 50 to 100 µs, and the same token is sent for an hour. So a valid token is remembered by
//! its digest until the keys that verified it are replaced.

mod jwks;
mod service_account;
mod settings;
mod token;
mod verified;

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use jiff::Timestamp;
use tokio::sync::{Mutex, Semaphore};

pub use jwks::{Jwks, JwksError};
pub use service_account::ServiceAccount;
pub use settings::{FetchKeys, KeySource, KubernetesSettings};

use crate::clock;
use crate::metrics::{AuthFailure, Metrics};
use token::Token;
use verified::VerifiedTokens;

/// The target of this file's log lines: a constant, so that moving the file changes none.
const LOG_TARGET: &str = "balance_gateway::http::kubernetes";
/// Shortest time between two fetches because of unknown keys.
const FETCH_INTERVAL: Duration = Duration::from_secs(10);
/// Most requests that may wait for a fetch. Bounded, because any peer can send a token with an unknown key.
const MOST_WAITING: usize = 1_000;

/// Verifies tokens and returns their service accounts.
pub struct ServiceAccounts {
    /// `None` when no tokens are accepted.
    trust: ArcSwapOption<Trust>,
    /// When keys were last fetched; locked during a fetch.
    fetched_at: Mutex<Option<Instant>>,
    waiting: Semaphore,
    metrics: Arc<Metrics>,
}

/// The requirements for tokens, and the verified tokens.
struct Trust {
    settings: KubernetesSettings,
    keys: Jwks,
    verified: VerifiedTokens,
}

impl ServiceAccounts {
    /// Accepts no token and fetches no keys before [`ServiceAccounts::replace`].
    #[must_use]
    pub fn new(metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self {
            trust: ArcSwapOption::empty(),
            fetched_at: Mutex::default(),
            waiting: Semaphore::new(MOST_WAITING),
            metrics,
        })
    }

    /// Replaces the settings; `None` accepts no tokens. Keys are fetched in the background; until they arrive, the
    /// known keys of the same issuer stay in use. Call it within a runtime.
    pub fn replace(self: &Arc<Self>, settings: Option<KubernetesSettings>) {
        let old = self.trust.load_full();
        let is_of_issuer = |settings: &KubernetesSettings| {
            old.as_deref().is_some_and(|old| old.settings.issuer == settings.issuer)
        };
        let trust = settings.map(|settings| {
            let keys = match (&settings.keys, &old) {
                (KeySource::Known(keys), _) => keys.clone(),
                (KeySource::Fetched(_), Some(old)) if is_of_issuer(&settings) => old.keys.clone(),
                (KeySource::Fetched(_), _) => Jwks::default(),
            };
            Arc::new(Trust { settings, keys, verified: VerifiedTokens::default() })
        });
        if trust.is_some() {
            self.metrics.expect_tokens();
        }
        self.trust.store(trust);
        let this = Arc::clone(self);
        tokio::spawn(async move {
            // The keys of the new settings were never fetched, so no interval applies.
            *this.fetched_at.lock().await = None;
            this.fetch().await;
        });
    }

    /// Returns the subject of a valid token. `digest` is the token's SHA-256. A text that is not a token counts as an
    /// unknown key.
    pub(crate) fn subject(
        &self,
        token: &[u8],
        digest: &[u8; 32],
        now: Timestamp,
    ) -> Result<Arc<str>, AuthFailure> {
        let trust = self.trust.load();
        let trust = trust.as_deref().ok_or(AuthFailure::Unknown)?;
        if let Some(verified) = trust.verified.find(digest) {
            return verified.at(now);
        }
        let verified = Token::parse(token)?.verify(&trust.keys, &trust.settings)?;
        let subject = verified.at(now)?;
        trust.verified.keep(*digest, verified, now);
        Ok(subject)
    }

    /// Fetches the keys again, because a token names an unknown one, or waits for a running fetch. Returns at once if the
    /// last fetch was recent, or too many requests wait.
    pub(crate) async fn fetch_again(self: &Arc<Self>) {
        let Ok(_place) = self.waiting.try_acquire() else { return };
        let this = Arc::clone(self);
        // In its own task, so that an abandoned request does not end a fetch that others wait for. The task fails only
        // if it panics, and panics are logged.
        let _ = tokio::spawn(async move { this.fetch().await }).await;
    }

    async fn fetch(&self) {
        let mut fetched_at = self.fetched_at.lock().await;
        let Some(trust) = self.trust.load_full() else { return };
        let KeySource::Fetched(fetch) = &trust.settings.keys else { return };
        let now = clock::monotonic();
        if fetched_at.is_some_and(|fetched_at| now.saturating_duration_since(fetched_at) < FETCH_INTERVAL) {
            return;
        }
        *fetched_at = Some(now);
        let keys = match fetch().await.and_then(|body| Ok(Jwks::parse(&body)?)) {
            Ok(keys) => keys,
            Err(error) => {
                tracing::warn!(
                    target: LOG_TARGET,
                    error = &*error as &dyn std::error::Error,
                    issuer = trust.settings.issuer,
                    "cannot fetch the keys of service-account tokens; the known keys stay in use"
                );
                return;
            }
        };
        let settings = trust.settings.clone();
        let fetched = Arc::new(Trust { settings, keys, verified: VerifiedTokens::default() });
        // Skipped if the settings were replaced during the fetch: these keys belong to the old ones.
        self.trust.compare_and_swap(&Some(trust), Some(fetched));
    }
}

#[cfg(test)]
mod tests;
