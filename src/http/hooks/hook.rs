//! The hooks of one configuration, each with its proof, its known ids, and its accounts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::StatusCode;
use http::header::HeaderName;
use http::request::Parts;
use percent_encoding::percent_decode_str;

use super::event_ids::EventIds;
use super::proof::Proof;
use super::settings::HookSettings;
use crate::domain::HookName;
use crate::gateway::{Account, Gateway};
use crate::metrics::{HookMetrics, Metrics};

/// The hooks of one configuration, by name.
pub(crate) struct Hooks(BTreeMap<HookName, Arc<Hook>>);

/// One hook.
pub(super) struct Hook {
    pub(super) name: HookName,
    pub(super) proof: Proof,
    pub(super) answer: StatusCode,
    pub(super) metrics: HookMetrics,
    event_id: Option<HeaderName>,
    known: Arc<EventIds>,
    accounts: Vec<Arc<Account>>,
    settle: Duration,
}

impl Hooks {
    /// Makes the hooks of a configuration. A hook of `before` with the same name keeps its known ids.
    pub(crate) fn new(
        settings: Vec<HookSettings>,
        before: Option<&Self>,
        gateway: &Gateway,
        metrics: &Metrics,
    ) -> Self {
        let make = |settings: HookSettings| {
            let before = before.and_then(|before| before.0.get(&settings.name));
            let is_meant = |account: &&Arc<Account>| {
                settings.accounts.iter().any(|pattern| pattern.matches(account.name().as_str()))
            };
            let hook = Hook {
                proof: Proof::new(settings.proof),
                answer: settings.answer,
                metrics: metrics.hook(&settings.name),
                event_id: settings.event_id,
                known: before.map_or_else(Arc::default, |before| Arc::clone(&before.known)),
                accounts: gateway.accounts().filter(is_meant).cloned().collect(),
                settle: settings.settle,
                name: settings.name.clone(),
            };
            (settings.name, Arc::new(hook))
        };
        Self(settings.into_iter().map(make).collect())
    }

    /// The hook that a path names, if it exists. The name may be percent-encoded, like the name of an account.
    pub(super) fn find(&self, path: &str) -> Option<Arc<Hook>> {
        let name = percent_decode_str(path.strip_prefix("/hooks/")?).decode_utf8().ok()?;
        self.0.get(&*name).cloned()
    }
}

impl Hook {
    /// Whether this notification is a duplicate of a proven one. Remembers its id.
    pub(super) fn is_duplicate(&self, request: &Parts, now: Instant) -> bool {
        let id = self.event_id.as_ref().and_then(|name| request.headers.get(name));
        id.is_some_and(|id| !self.known.remember(id.as_bytes(), now))
    }

    /// Starts new reads of the balances that may have changed, and returns at once.
    pub(super) fn act(&self, gateway: &Arc<Gateway>) {
        for account in &self.accounts {
            gateway.notified(account, self.settle);
        }
    }
}
