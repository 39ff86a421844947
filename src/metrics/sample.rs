//! One value of a counter or gauge that is computed at a scrape.

use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricType};

/// A value with its labels. Everything but a counter is a gauge.
pub(super) fn sample(kind: MetricType, labels: Vec<LabelPair>, value: f64) -> Metric {
    let mut metric = Metric::from_label(labels);
    if kind == MetricType::COUNTER {
        let mut counter = Counter::default();
        counter.set_value(value);
        metric.set_counter(counter);
    } else {
        let mut gauge = Gauge::default();
        gauge.set_value(value);
        metric.set_gauge(gauge);
    }
    metric
}
