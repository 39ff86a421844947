//! Tokens of Kubernetes service accounts: whom to trust, replaceable at run time, and the keys of the issuer.
//!
//! A signature costs 50 to 100 µs to verify, and a token is sent with every request for an hour: one that holds is
//! remembered by its digest. What is remembered goes with the keys it was verified with.

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

/// Between two fetches because of keys that are not known.
const FETCH_INTERVAL: Duration = Duration::from_secs(10);
/// Requests that may wait for a fetch: a twentieth of what may be in flight, since anybody can name an unknown key.
const MOST_WAITING: usize = 1_000;

/// Knows the service account of a token.
pub struct ServiceAccounts {
    /// `None` when no tokens are accepted.
    trust: ArcSwapOption<Trust>,
    /// When keys were last asked for; locked while they are.
    asked: Mutex<Option<Instant>>,
    waiting: Semaphore,
    metrics: Arc<Metrics>,
}

/// What a token is held against, and which did hold.
struct Trust {
    settings: KubernetesSettings,
    keys: Jwks,
    verified: VerifiedTokens,
}

impl ServiceAccounts {
    /// Nobody's tokens are accepted, nor keys asked for, before [`ServiceAccounts::replace`].
    #[must_use]
    pub fn new(metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self {
            trust: ArcSwapOption::empty(),
            asked: Mutex::default(),
            waiting: Semaphore::new(MOST_WAITING),
            metrics,
        })
    }

    /// Accepts tokens by these settings from now on; `None` accepts none. Keys that must be asked for are, behind;
    /// until they are there, those of the same issuer that are known stay. To be called within a runtime.
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
            // These keys have not been asked for, whatever was before.
            *this.asked.lock().await = None;
            this.fetch().await;
        });
    }

    /// The subject of a token, given also as its SHA-256. A text that is no token is an unknown key.
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

    /// Asks for the keys once more, since a token was signed with one that is not known, or waits while somebody
    /// does. Returns at once when that was tried a moment ago, or too many wait.
    pub(crate) async fn fetch_again(self: &Arc<Self>) {
        let Ok(_place) = self.waiting.try_acquire() else { return };
        let this = Arc::clone(self);
        // A task of its own: who leaves does not end what others wait for. It ends by itself, so waiting cannot fail.
        let _ = tokio::spawn(async move { this.fetch().await }).await;
    }

    async fn fetch(&self) {
        let mut asked = self.asked.lock().await;
        let Some(trust) = self.trust.load_full() else { return };
        let KeySource::Fetched(fetch) = &trust.settings.keys else { return };
        let now = clock::monotonic();
        if asked.is_some_and(|asked| now.saturating_duration_since(asked) < FETCH_INTERVAL) {
            return;
        }
        *asked = Some(now);
        let keys = match fetch().await.and_then(|body| Ok(Jwks::parse(&body)?)) {
            Ok(keys) => keys,
            Err(error) => {
                tracing::warn!(
                    error = &*error as &dyn std::error::Error,
                    issuer = trust.settings.issuer,
                    "the keys of service-account tokens were not fetched; those that are known stay"
                );
                return;
            }
        };
        let settings = trust.settings.clone();
        let fetched = Arc::new(Trust { settings, keys, verified: VerifiedTokens::default() });
        // Not if the settings were replaced meanwhile: these are the keys of the old ones.
        self.trust.compare_and_swap(&Some(trust), Some(fetched));
    }
}

#[cfg(test)]
mod tests;
