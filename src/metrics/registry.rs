//! Every metric of the gateway: a separate registry, handles made once, closed label sets.
//!
//! The prometheus crate finds children by a hash of the label values without a separator. Two pairs of values that
//! concatenate to the same text would share a child. So every second label is a closed set in which no member ends
//! with another, and families with free labels are built at scrape time (`live.rs`).

#[cfg(test)]
mod tests;

use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use prometheus::{Encoder, Gauge, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Registry, TextEncoder};

use super::error::MetricsError;
use super::events::{EventFamilies, HookMetrics, StreamMetrics};
use super::handles::{CallerMetrics, OperationMetrics, ProviderMetrics, RouteMetrics};
use super::labels::{
    AuthFailure, ConnectionRefusal, Label, LimitPolicy, Operation, Outcome, ReadRefusal, ReloadResult,
};
use super::live::Samples;
use super::maker::Maker;
use super::process;
use crate::domain::{CallerName, ErrorKind, HookName, ProviderName};

/// The prefix of every name.
const NAMESPACE: &str = "balance_gateway";
/// From a cached hit (well under a millisecond) to the default request timeout.
const REQUEST_BUCKETS: [f64; 13] =
    [0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 2.5, 5.0, 10.0];
/// From a nearby provider to the longest sensible attempt.
const UPSTREAM_BUCKETS: [f64; 11] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0];
/// The last finite bucket is the 60-second promise: any age above it breaks the promise.
const AGE_BUCKETS: [f64; 10] = [1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0];

/// All metrics of one gateway. Two gateways in one process share nothing.
#[derive(Debug)]
pub struct Metrics {
    pub(super) registry: Registry,
    /// `shared_state`, once there is a store.
    pub(super) shared_state: OnceLock<IntGauge>,
    /// Separate, because `process_*` is conventionally without our prefix.
    process: Registry,
    /// `http_requests_in_flight`.
    pub http_in_flight: IntGauge,
    http_requests: IntCounterVec,
    http_duration: HistogramVec,
    auth_failures: IntCounterVec,
    connections_refused: IntCounterVec,
    rate_limited: IntCounterVec,
    forced_reads: IntCounterVec,
    events: EventFamilies,
    cache_lookups: IntCounterVec,
    served_age: HistogramVec,
    upstream_duration: HistogramVec,
    upstream_errors: IntCounterVec,
    upstream_retries: IntCounterVec,
    reads_refused: IntCounterVec,
    balance_mismatch: IntCounterVec,
    observed_at_unreadable: IntCounterVec,
    config_reloads: IntCounterVec,
    /// `config_last_reload_success_timestamp_seconds`.
    pub config_last_reload_success: Gauge,
    certificate_expiry: IntGaugeVec,
}

fn last_reload_success(registry: &Registry) -> Result<Gauge, MetricsError> {
    let gauge = Gauge::new(
        "config_last_reload_success_timestamp_seconds",
        "When the configuration in force was loaded, in Unix seconds.",
    )?;
    registry.register(Box::new(gauge.clone()))?;
    Ok(gauge)
}

fn certificate_expiry(make: &Maker<'_>) -> Result<IntGaugeVec, MetricsError> {
    let help = "When the first certificate at a configuration key expires, in Unix seconds.";
    make.gauges("certificate_expiry_timestamp_seconds", help, &["name"])
}

impl Metrics {
    /// Creates and registers every family. `revision` is the source revision of the build.
    ///
    /// # Errors
    /// When a family is malformed or registered twice; no configuration can cause it.
    pub fn new(version: &str, revision: &str) -> Result<Self, MetricsError> {
        let registry = Registry::new_custom(Some(NAMESPACE.to_owned()), None)?;
        let make = Maker(&registry);
        make.build_info(version, revision)?;
        let in_flight =
            IntGauge::new("http_requests_in_flight", "Requests of callers that are being answered.")?;
        registry.register(Box::new(in_flight.clone()))?;
        let metrics = Self {
            http_requests: make.counters(
                "http_requests_total",
                "Answers to callers.",
                &["route", "status"],
            )?,
            http_duration: make.histograms(
                "http_request_duration_seconds",
                "Time from a request's head to its answer's head.",
                &["route"],
                &REQUEST_BUCKETS,
            )?,
            auth_failures: make.counters(
                "auth_failures_total",
                "Requests without a known key.",
                &["reason"],
            )?,
            connections_refused: make.counters(
                "connections_refused_total",
                "Connections closed before a request was served.",
                &["reason"],
            )?,
            rate_limited: make.counters(
                "rate_limited_total",
                "Requests refused because of the caller's limits.",
                &["caller", "policy"],
            )?,
            forced_reads: make.counters(
                "forced_reads_total",
                "Units of the forced limit spent by a caller's demands.",
                &["caller"],
            )?,
            events: EventFamilies::new(&make)?,
            cache_lookups: make.counters(
                "cache_lookups_total",
                "Balances asked for, by what the caller got.",
                &["provider", "outcome"],
            )?,
            served_age: make.histograms(
                "served_age_seconds",
                "Age of served balances since their upstream request was sent.",
                &["provider"],
                &AGE_BUCKETS,
            )?,
            upstream_duration: make.histograms(
                "upstream_request_duration_seconds",
                "Time of one attempt at a provider, body included.",
                &["provider", "operation"],
                &UPSTREAM_BUCKETS,
            )?,
            upstream_errors: make.counters(
                "upstream_errors_total",
                "Attempts at a provider that failed.",
                &["provider", "operation", "kind"],
            )?,
            upstream_retries: make.counters(
                "upstream_retries_total",
                "Attempts that repeat a failed one within the same read.",
                &["provider"],
            )?,
            reads_refused: make.counters(
                "reads_refused_total",
                "Reads that were refused without asking the provider.",
                &["provider", "reason"],
            )?,
            balance_mismatch: make.counters(
                "balance_mismatch_total",
                "Answers whose total is not net plus blocked.",
                &["provider"],
            )?,
            observed_at_unreadable: make.counters(
                "observed_at_unreadable_total",
                "Answers whose own timestamp was missing or unreadable.",
                &["provider"],
            )?,
            config_reloads: make.counters(
                "config_reloads_total",
                "Attempts to reload the configuration.",
                &["result"],
            )?,
            http_in_flight: in_flight,
            config_last_reload_success: last_reload_success(&registry)?,
            certificate_expiry: certificate_expiry(&make)?,
            registry: registry.clone(),
            shared_state: OnceLock::new(),
            process: process::registry()?,
        };
        Self::start_at_zero(&metrics.auth_failures, &AuthFailure::OF_KEYS);
        Self::start_at_zero(&metrics.connections_refused, &ConnectionRefusal::ALL);
        Self::start_at_zero(&metrics.config_reloads, &ReloadResult::ALL);
        Ok(metrics)
    }

    /// Shows when certificates expire, by the configuration key that names them, in place of those before.
    pub fn set_certificate_expiries<'a>(&self, expiries: impl Iterator<Item = (&'a str, Timestamp)>) {
        self.certificate_expiry.reset();
        for (key, not_after) in expiries {
            self.certificate_expiry.with_label_values(&[key]).set(not_after.as_second());
        }
    }

    /// Counts a reload.
    pub fn reloaded(&self, result: ReloadResult) {
        self.config_reloads.with_label_values(&[result.as_str()]).inc();
    }

    /// How many reloads were rejected since the start.
    #[must_use]
    pub fn rejected_reloads(&self) -> u64 {
        self.config_reloads.with_label_values(&[ReloadResult::Rejected.as_str()]).get()
    }

    fn start_at_zero<L: Label>(counters: &IntCounterVec, labels: &[L]) {
        for label in labels {
            counters.with_label_values(&[label.as_str()]).inc_by(0);
        }
    }

    /// Adds the failure reasons of service-account tokens, starting at zero.
    pub fn expect_tokens(&self) {
        Self::start_at_zero(&self.auth_failures, &AuthFailure::ALL);
    }

    /// Counts a request without a known key.
    pub fn auth_failed(&self, reason: AuthFailure) {
        self.auth_failures.with_label_values(&[reason.as_str()]).inc();
    }

    /// Counts a connection that was closed before a request was served.
    pub fn connection_refused(&self, reason: ConnectionRefusal) {
        self.connections_refused.with_label_values(&[reason.as_str()]).inc();
    }

    /// The handles of one route of the API.
    #[must_use]
    pub fn route(&self, route: &'static str) -> RouteMetrics {
        RouteMetrics {
            route,
            requests: self.http_requests.clone(),
            duration: self.http_duration.with_label_values(&[route]),
            by_status: std::array::from_fn(|_| OnceLock::new()),
        }
    }

    /// The handles of one caller.
    #[must_use]
    pub fn caller(&self, caller: &CallerName) -> CallerMetrics {
        CallerMetrics {
            rate_limited: LimitPolicy::ALL
                .map(|policy| self.rate_limited.with_label_values(&[caller.as_str(), policy.as_str()])),
            forced_reads: self.forced_reads.with_label_values(&[caller.as_str()]),
        }
    }

    /// The handles of one caller's event streams.
    #[must_use]
    pub fn streams_of(&self, caller: &CallerName) -> StreamMetrics {
        self.events.streams_of(caller)
    }

    /// The handles of one hook.
    #[must_use]
    pub fn hook(&self, hook: &HookName) -> HookMetrics {
        self.events.hook(hook)
    }

    /// The handles of one provider.
    #[must_use]
    pub fn provider(&self, provider: &ProviderName) -> Arc<ProviderMetrics> {
        let name = provider.as_str();
        let operation = |operation: Operation| OperationMetrics {
            duration: self.upstream_duration.with_label_values(&[name, operation.as_str()]),
            errors: ErrorKind::ALL.map(|kind| {
                self.upstream_errors.with_label_values(&[name, operation.as_str(), kind.as_str()])
            }),
        };
        Arc::new(ProviderMetrics {
            lookups: Outcome::ALL
                .map(|outcome| self.cache_lookups.with_label_values(&[name, outcome.as_str()])),
            served_age: self.served_age.with_label_values(&[name]),
            operations: Operation::ALL.map(operation),
            retries: self.upstream_retries.with_label_values(&[name]),
            refused: ReadRefusal::ALL
                .map(|reason| self.reads_refused.with_label_values(&[name, reason.as_str()])),
            mismatch: self.balance_mismatch.with_label_values(&[name]),
            observed_at_unreadable: self.observed_at_unreadable.with_label_values(&[name]),
        })
    }

    /// The page in Prometheus' text format; `live` holds the gauges of the current state.
    #[must_use]
    pub fn render(&self, live: Samples) -> Vec<u8> {
        let mut page = Vec::with_capacity(32 * 1024);
        let families =
            [self.registry.gather(), live.into_families(NAMESPACE), self.process.gather()].concat();
        if let Err(error) = TextEncoder::new().encode(&families, &mut page) {
            tracing::error!(error = &error as &dyn std::error::Error, "the metrics page cannot be written");
        }
        page
    }
}
