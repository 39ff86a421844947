//! One caller: which accounts it may see, and its limits.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use http::header::HeaderValue;

use super::header;
use super::settings::CallerSettings;
use crate::auth::{AccountPattern, Callers};
use crate::domain::{CallerName, RetryAfter};
use crate::limits::{Limit, Limiter};
use crate::metrics::{CallerMetrics, LimitPolicy, Metrics, StreamMetrics};

/// One caller of the API.
pub(super) struct Caller {
    name: CallerName,
    accounts: Vec<AccountPattern>,
    limit: Arc<Limit>,
    forced: Arc<Limit>,
    obeys_cache_control: bool,
    policy: HeaderValue,
    metrics: CallerMetrics,
    streams: Streams,
}

/// The permits for event streams of one caller.
struct Streams {
    most: usize,
    open: Arc<AtomicUsize>,
    metrics: StreamMetrics,
}

/// The permit of one open event stream. Dropping it returns the permit.
pub(super) struct StreamPermit {
    open: Arc<AtomicUsize>,
    metrics: StreamMetrics,
}

impl Caller {
    /// `before` is the caller with this name in the previous configuration. An unchanged limit keeps its state.
    fn new(
        settings: CallerSettings,
        before: Option<&Self>,
        limiter: &Limiter,
        metrics: &Metrics,
        now: Instant,
    ) -> Option<Self> {
        let name = &settings.name;
        let made = |policy, settings, before| limiter.limit(name, policy, settings, before, now);
        let limit = made(LimitPolicy::Caller, settings.limit, before.map(|before| &before.limit))?;
        let forced = made(LimitPolicy::Forced, settings.forced, before.map(|before| &before.forced))?;
        let policies = [limit.policy("caller"), forced.policy("forced")];
        Some(Self {
            policy: header::value(policies.join(", ")),
            metrics: metrics.caller(&settings.name),
            streams: Streams {
                most: settings.streams,
                metrics: metrics.streams_of(&settings.name),
                open: before.map_or_else(Arc::default, |before| Arc::clone(&before.streams.open)),
            },
            name: settings.name,
            accounts: settings.accounts,
            limit,
            forced,
            obeys_cache_control: settings.obeys_cache_control,
        })
    }

    pub(super) fn name(&self) -> &CallerName {
        &self.name
    }

    /// Whether the caller may read an account with this name, existing or not.
    pub(super) fn may_see(&self, account: &str) -> bool {
        self.accounts.iter().any(|pattern| pattern.matches(account))
    }

    /// Takes a permit for an event stream; `None` when all are taken.
    pub(super) fn open_stream(&self) -> Option<StreamPermit> {
        let Streams { most, open, metrics } = &self.streams;
        let take = |open: usize| (open < *most).then_some(open + 1);
        open.fetch_update(Ordering::AcqRel, Ordering::Acquire, take).ok()?;
        metrics.opened();
        Some(StreamPermit { open: Arc::clone(open), metrics: metrics.clone() })
    }

    /// The units that a request for this many balances costs; at most the burst of the limit.
    pub(super) fn units(&self, balances: usize) -> u32 {
        u32::try_from(balances).unwrap_or(u32::MAX).min(self.limit.burst())
    }

    /// Takes the units that a request costs, all or none.
    pub(super) fn charge(&self, units: u32, now: Instant) -> Result<(), RetryAfter> {
        let taken = self.limit.take(units, now);
        if taken.is_err() {
            self.metrics.limited(LimitPolicy::Caller);
        }
        taken
    }

    /// Gives units back that the request did not need.
    pub(super) fn give_back(&self, units: u32) {
        self.limit.put_back(units);
    }

    /// Takes a unit of the forced limit.
    pub(super) fn charge_forced(&self, now: Instant) -> Result<(), RetryAfter> {
        self.forced.take(1, now).inspect_err(|_| self.metrics.limited(LimitPolicy::Forced))
    }

    /// Gives a unit of the forced limit back.
    pub(super) fn give_forced_back(&self) {
        self.forced.put_back(1);
    }

    /// Counts a spent unit of the forced limit.
    pub(super) fn note_forced_read(&self) {
        self.metrics.forced_read();
    }

    /// Whether `Cache-Control` in the caller's requests counts as a demand.
    pub(super) fn obeys_cache_control(&self) -> bool {
        self.obeys_cache_control
    }

    /// `RateLimit-Policy`, the same for every answer.
    pub(super) fn policy(&self) -> HeaderValue {
        self.policy.clone()
    }

    /// `RateLimit` at this moment.
    pub(super) fn state(&self, now: Instant) -> HeaderValue {
        header::written(|text| {
            self.limit.write_state("caller", now, text);
            text.extend_from_slice(b", ");
            self.forced.write_state("forced", now, text);
        })
    }
}

impl StreamPermit {
    /// The metrics of the caller's streams.
    pub(super) fn metrics(&self) -> &StreamMetrics {
        &self.metrics
    }
}

impl Drop for StreamPermit {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::AcqRel);
        self.metrics.closed();
    }
}

/// Makes the callers of a configuration. A limit that is unchanged since `before` keeps its state.
pub(super) fn callers(
    settings: Vec<CallerSettings>,
    before: Option<&Callers<Caller>>,
    limiter: &Limiter,
    metrics: &Metrics,
    now: Instant,
) -> Callers<Caller> {
    let before: HashMap<&CallerName, &Caller> =
        before.into_iter().flat_map(Callers::iter).map(|caller| (caller.name(), &**caller)).collect();
    Callers::new(settings.into_iter().filter_map(|settings| {
        let identity = settings.identity.clone();
        let before = before.get(&settings.name).copied();
        let caller = Caller::new(settings, before, limiter, metrics, now)?;
        Some((identity, Arc::new(caller)))
    }))
}
