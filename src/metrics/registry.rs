//! All metrics of one gateway: its families, the handles that they give out, and the page.

#[cfg(test)]
mod tests;

use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use prometheus::{Encoder, Gauge, IntCounterVec, IntGauge, IntGaugeVec, Registry, TextEncoder};

use super::caller::CallerFamilies;
use super::error::MetricsError;
use super::events::{EventFamilies, HookMetrics, StreamMetrics};
use super::handles::{CallerMetrics, ProviderMetrics, RouteMetrics};
use super::http::HttpFamilies;
use super::labels::{AuthFailure, ConnectionRefusal, Label, ReloadResult};
use super::maker::{Maker, start_at_zero};
use super::process;
use super::provider::ProviderFamilies;
use super::samples::Samples;
use crate::domain::{CallerName, HookName, ProviderName};

/// The target of this file's log lines: a constant, so that moving the file changes none.
const LOG_TARGET: &str = "balance_gateway::metrics";
/// The prefix of every name.
const NAMESPACE: &str = "balance_gateway";

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
    http: HttpFamilies,
    callers: CallerFamilies,
    providers: ProviderFamilies,
    events: EventFamilies,
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
            http: HttpFamilies::new(&make)?,
            callers: CallerFamilies::new(&make)?,
            providers: ProviderFamilies::new(&make)?,
            events: EventFamilies::new(&make)?,
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
        metrics.http.start_at_zero();
        start_at_zero(&metrics.config_reloads, &ReloadResult::ALL);
        Ok(metrics)
    }

    /// Sets when certificates expire, each under the configuration key that names it. Earlier values are removed.
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

    /// Adds the failure reasons of service-account tokens, starting at zero.
    pub fn expect_tokens(&self) {
        self.http.expect_tokens();
    }

    /// Counts a request without a known key.
    pub fn auth_failed(&self, reason: AuthFailure) {
        self.http.auth_failed(reason);
    }

    /// Counts a connection that was closed before a request was served.
    pub fn connection_refused(&self, reason: ConnectionRefusal) {
        self.http.connection_refused(reason);
    }

    /// The handles of one route of the API.
    #[must_use]
    pub fn route(&self, route: &'static str) -> RouteMetrics {
        self.http.route(route)
    }

    /// The handles of one caller.
    #[must_use]
    pub fn caller(&self, caller: &CallerName) -> CallerMetrics {
        self.callers.caller(caller)
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
        self.providers.provider(provider)
    }

    /// The page in Prometheus' text format; `live` holds the gauges of the current state.
    #[must_use]
    pub fn render(&self, live: Samples) -> Vec<u8> {
        let mut page = Vec::with_capacity(32 * 1024);
        let families =
            [self.registry.gather(), live.into_families(NAMESPACE), self.process.gather()].concat();
        if let Err(error) = TextEncoder::new().encode(&families, &mut page) {
            tracing::error!(target: LOG_TARGET, error = &error as &dyn std::error::Error, "the metrics page cannot be written");
        }
        page
    }
}
