//! Creates and registers metric families for `Metrics::new`.

use prometheus::{Gauge, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry};

use super::error::MetricsError;
use super::labels::Label;

/// Creates families in one registry.
pub(super) struct Maker<'a>(pub(super) &'a Registry);

impl Maker<'_> {
    pub(super) fn counters(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<IntCounterVec, MetricsError> {
        let counters = IntCounterVec::new(Opts::new(name, help), labels)?;
        self.0.register(Box::new(counters.clone()))?;
        Ok(counters)
    }

    pub(super) fn gauges(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<IntGaugeVec, MetricsError> {
        let gauges = IntGaugeVec::new(Opts::new(name, help), labels)?;
        self.0.register(Box::new(gauges.clone()))?;
        Ok(gauges)
    }

    pub(super) fn histograms(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
        buckets: &[f64],
    ) -> Result<HistogramVec, MetricsError> {
        let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
        let histograms = HistogramVec::new(options, labels)?;
        self.0.register(Box::new(histograms.clone()))?;
        Ok(histograms)
    }

    /// A gauge of 1 with information in its labels.
    pub(super) fn build_info(&self, version: &str, revision: &str) -> Result<(), MetricsError> {
        let options = Opts::new("build_info", "The version and source revision that runs; always 1.");
        let gauge =
            Gauge::with_opts(options.const_label("version", version).const_label("revision", revision))?;
        gauge.set(1.0);
        self.0.register(Box::new(gauge))
    }
}

/// Shows counters with these labels at zero.
pub(super) fn start_at_zero<L: Label>(counters: &IntCounterVec, labels: &[L]) {
    for label in labels {
        counters.with_label_values(&[label.as_str()]).inc_by(0);
    }
}
