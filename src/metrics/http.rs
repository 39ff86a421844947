//! The families of requests and connections.

use std::sync::OnceLock;

use prometheus::{HistogramVec, IntCounterVec};

use super::error::MetricsError;
use super::handles::RouteMetrics;
use super::labels::{AuthFailure, ConnectionRefusal, Label};
use super::maker::{Maker, start_at_zero};

/// From a cached hit (well under a millisecond) to the default request timeout.
const REQUEST_BUCKETS: [f64; 13] =
    [0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 2.5, 5.0, 10.0];

/// The families of requests and connections.
#[derive(Debug)]
pub(super) struct HttpFamilies {
    requests: IntCounterVec,
    duration: HistogramVec,
    connections_refused: IntCounterVec,
    auth_failures: IntCounterVec,
}

impl HttpFamilies {
    pub(super) fn new(make: &Maker<'_>) -> Result<Self, MetricsError> {
        Ok(Self {
            requests: make.counters("http_requests_total", "Answers to callers.", &["route", "status"])?,
            duration: make.histograms(
                "http_request_duration_seconds",
                "Time from a request's head to its answer's head.",
                &["route"],
                &REQUEST_BUCKETS,
            )?,
            connections_refused: make.counters(
                "connections_refused_total",
                "Connections closed before a request was served.",
                &["reason"],
            )?,
            auth_failures: make.counters(
                "auth_failures_total",
                "Requests without a known key or token.",
                &["reason"],
            )?,
        })
    }

    /// The handles of one route of the API.
    pub(super) fn route(&self, route: &'static str) -> RouteMetrics {
        RouteMetrics {
            route,
            requests: self.requests.clone(),
            duration: self.duration.with_label_values(&[route]),
            by_status: std::array::from_fn(|_| OnceLock::new()),
        }
    }

    /// Shows the failure reasons of caller keys and of connections at zero.
    pub(super) fn start_at_zero(&self) {
        start_at_zero(&self.auth_failures, &AuthFailure::OF_KEYS);
        start_at_zero(&self.connections_refused, &ConnectionRefusal::ALL);
    }

    /// Shows the failure reasons of service-account tokens at zero.
    pub(super) fn expect_tokens(&self) {
        start_at_zero(&self.auth_failures, &AuthFailure::ALL);
    }

    pub(super) fn auth_failed(&self, reason: AuthFailure) {
        self.auth_failures.with_label_values(&[reason.as_str()]).inc();
    }

    pub(super) fn connection_refused(&self, reason: ConnectionRefusal) {
        self.connections_refused.with_label_values(&[reason.as_str()]).inc();
    }
}
