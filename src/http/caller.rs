//! Who asks: a caller is known by its key, of which only the SHA-256 is kept, or by its service account's token, and
//! sees only the accounts that its patterns name.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use http::HeaderMap;
use http::header::{AUTHORIZATION, HeaderValue};
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::kubernetes::ServiceAccounts;
use super::rate_limit::Limit;
use super::reply;
use super::settings::{CallerSettings, Identity};
use crate::domain::{CallerName, RetryAfter};
use crate::metrics::{AuthFailure, CallerMetrics, LimitPolicy, Metrics};
use crate::shared::Shared;

/// Which accounts a caller may see: a name in which each `*` stands for any text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountPattern(String);

impl AccountPattern {
    /// Reads a pattern of `a`–`z`, `0`–`9`, `-` and `*`; `None` for any other text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-*".contains(&byte);
        (!text.is_empty() && text.bytes().all(legal)).then(|| Self(text.to_owned()))
    }

    /// Whether this account is among those meant.
    #[must_use]
    pub fn matches(&self, account: &str) -> bool {
        let Some((prefix, rest)) = self.0.split_once('*') else { return self.0 == account };
        let Some(mut left) = account.strip_prefix(prefix) else { return false };
        let (inner, suffix) = rest.rsplit_once('*').unwrap_or(("", rest));
        for part in inner.split('*') {
            let Some(at) = left.find(part) else { return false };
            left = &left[at + part.len()..];
        }
        left.ends_with(suffix)
    }
}

/// One internal service.
pub(super) struct Caller {
    name: CallerName,
    accounts: Vec<AccountPattern>,
    limit: Arc<Limit>,
    forced: Option<Arc<Limit>>,
    policy: HeaderValue,
    metrics: CallerMetrics,
}

impl Caller {
    /// `before` is the caller of this name until now: a limit that did not change keeps its state.
    fn new(
        settings: CallerSettings,
        (before, shared): (Option<&Self>, Option<&Arc<Shared>>),
        metrics: &Metrics,
        now: Instant,
    ) -> Option<Self> {
        let name = &settings.name;
        let made = |policy, settings, before| Limit::new((name, policy), settings, (before, shared), now);
        let limit = made(LimitPolicy::Caller, settings.limit, before.map(|before| &before.limit))?;
        let forced = match settings.forced {
            Some(forced) => {
                let before = before.and_then(|before| before.forced.as_ref());
                Some(made(LimitPolicy::Forced, forced, before)?)
            }
            None => None,
        };
        let policies = [Some(limit.policy("caller")), forced.as_ref().map(|forced| forced.policy("forced"))];
        let policies: Vec<_> = policies.into_iter().flatten().collect();
        Some(Self {
            policy: reply::header(policies.join(", ")),
            metrics: metrics.caller(&settings.name),
            name: settings.name,
            accounts: settings.accounts,
            limit,
            forced,
        })
    }

    pub(super) fn name(&self) -> &CallerName {
        &self.name
    }

    /// Whether the caller may see an account of this name, whether or not there is one.
    pub(super) fn may_see(&self, account: &str) -> bool {
        self.accounts.iter().any(|pattern| pattern.matches(account))
    }

    /// Takes the unit that every request costs.
    pub(super) fn charge_request(&self, now: Instant) -> Result<(), RetryAfter> {
        self.counted(LimitPolicy::Caller, self.limit.take(1, 0, now))
    }

    /// Takes the units of a batch beyond the request's own. When they are not there, the whole batch must be paid
    /// for again, its first unit too.
    pub(super) fn charge_batch(&self, balances: usize, now: Instant) -> Result<(), RetryAfter> {
        let cost = u32::try_from(balances).unwrap_or(u32::MAX);
        self.counted(LimitPolicy::Caller, self.limit.take(cost, 1, now))
    }

    /// Takes a unit of the forced limit, if the caller has one.
    pub(super) fn charge_forced(&self, now: Instant) -> Result<(), RetryAfter> {
        if let Some(forced) = &self.forced {
            self.counted(LimitPolicy::Forced, forced.take(1, 0, now))?;
        }
        self.metrics.forced_read();
        Ok(())
    }

    fn counted(&self, policy: LimitPolicy, taken: Result<(), RetryAfter>) -> Result<(), RetryAfter> {
        if taken.is_err() {
            self.metrics.limited(policy);
        }
        taken
    }

    /// `RateLimit-Policy`, the same for every answer.
    pub(super) fn policy(&self) -> HeaderValue {
        self.policy.clone()
    }

    /// `RateLimit`, as it is at this moment.
    pub(super) fn state(&self, now: Instant) -> HeaderValue {
        let mut text = self.limit.state("caller", now);
        if let Some(forced) = &self.forced {
            text = [text, forced.state("forced", now)].join(", ");
        }
        reply::header(text)
    }
}

/// Every caller, by what tells it.
#[derive(Default)]
pub(super) struct Callers {
    by_digest: HashMap<[u8; 32], Arc<Caller>>,
    by_subject: HashMap<String, Arc<Caller>>,
}

impl Callers {
    /// Makes the callers of a configuration, given those of the one before and who shares their limits.
    pub(super) fn new(
        settings: Vec<CallerSettings>,
        (before, shared): (Option<&Self>, Option<&Arc<Shared>>),
        metrics: &Metrics,
        now: Instant,
    ) -> Self {
        let before: HashMap<&CallerName, &Caller> = before
            .into_iter()
            .flat_map(|before| before.by_digest.values().chain(before.by_subject.values()))
            .map(|caller| (caller.name(), &**caller))
            .collect();
        let mut callers = Self::default();
        for settings in settings {
            let identity = settings.identity.clone();
            let before = before.get(&settings.name).copied();
            let Some(caller) = Caller::new(settings, (before, shared), metrics, now).map(Arc::new) else {
                continue;
            };
            match identity {
                Identity::Keys(digests) => {
                    callers.by_digest.extend(digests.into_iter().map(|digest| (digest, Arc::clone(&caller))));
                }
                Identity::ServiceAccount(account) => {
                    callers.by_subject.insert(account.subject(), caller);
                }
            }
        }
        callers
    }

    /// Finds the caller of a request by its key, or else by its token.
    pub(super) fn identify(
        &self,
        headers: &HeaderMap,
        service_accounts: &ServiceAccounts,
        now: Timestamp,
    ) -> Result<&Arc<Caller>, AuthFailure> {
        let key = bearer(headers).ok_or(AuthFailure::Missing)?;
        let digest: [u8; 32] = Sha256::digest(key).into();
        if let Some(caller) = self.with_key(&digest) {
            return Ok(caller);
        }
        let subject = service_accounts.subject(key, &digest, now)?;
        self.by_subject.get(&*subject).ok_or(AuthFailure::UnknownServiceAccount)
    }

    fn with_key(&self, digest: &[u8; 32]) -> Option<&Arc<Caller>> {
        // The map compares in varying time, but only digests: what it tells is of no use for finding a key. The
        // comparison in constant time is the one that decides.
        let found = self.by_digest.get_key_value(digest);
        let known = found.map_or([0; 32], |(known, _)| *known);
        let is_known = bool::from(known.ct_eq(digest));
        found.map(|(_, caller)| caller).filter(|_| is_known)
    }
}

/// The key of exactly one `Authorization: Bearer`.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let mut lines = headers.get_all(AUTHORIZATION).iter();
    let line = lines.next()?.as_bytes();
    let (scheme, key) = line.split_at_checked(7)?;
    let is_one = lines.next().is_none();
    (is_one && scheme.eq_ignore_ascii_case(b"bearer "))
        .then(|| key.trim_ascii())
        .filter(|key| !key.is_empty())
}

#[cfg(test)]
mod tests {
    use super::super::settings::LimitSettings;
    use super::*;
    use std::time::Duration;

    fn callers() -> Callers {
        let caller = |name: &str, key: &str| CallerSettings {
            name: CallerName::parse(name).unwrap(),
            identity: Identity::Keys(vec![Sha256::digest(key).into()]),
            accounts: vec![],
            limit: LimitSettings { requests: 1, per: Duration::from_secs(1), burst: 1 },
            forced: None,
        };
        let metrics = Metrics::new("0", "0").unwrap();
        let now = crate::http::clock::now().monotonic;
        Callers::new(
            vec![caller("checkout", "key-1"), caller("dashboard", "key-2")],
            (None, None),
            &metrics,
            now,
        )
    }

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, account, expected) in [
            ("treasury-br", "treasury-br", true),
            ("treasury-br", "treasury-br-2", false),
            ("treasury-*", "treasury-br", true),
            ("treasury-*", "treasury-", true),
            ("treasury-*", "treasury", false),
            ("*", "anything", true),
            ("*-br", "treasury-br", true),
            ("*-br", "treasury-br-2", false),
            ("a*b*c", "abc", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "acb", false),
            ("a*a", "a", false),
            ("*a*", "bab", true),
            ("**", "x", true),
        ] {
            assert_eq!(
                AccountPattern::parse(pattern).unwrap().matches(account),
                expected,
                "{pattern} {account}"
            );
        }
        for text in ["", "A*", "a b", "a.b"] {
            assert_eq!(AccountPattern::parse(text), None);
        }
    }

    #[test]
    fn a_caller_is_known_by_one_bearer_key_only() {
        let callers = callers();
        let identify = |lines: &[&str]| {
            let headers = lines.iter().map(|line| (AUTHORIZATION, line.parse().unwrap())).collect();
            let none = ServiceAccounts::new(Arc::new(Metrics::new("0", "0").unwrap()));
            callers.identify(&headers, &none, Timestamp::UNIX_EPOCH).map(|caller| caller.name().to_string())
        };

        assert_eq!(identify(&["Bearer key-1"]).as_deref(), Ok("checkout"));
        assert_eq!(identify(&["bEARER  key-2 "]).as_deref(), Ok("dashboard"));
        assert_eq!(identify(&["Bearer key-3"]), Err(AuthFailure::Unknown));
        for missing in
            [&[][..], &["Bearer"], &["Bearer "], &["Basic key-1"], &["Bearer key-1", "Bearer key-1"]]
        {
            assert_eq!(identify(missing), Err(AuthFailure::Missing), "{missing:?}");
        }
    }
}
