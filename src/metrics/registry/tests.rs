//! The metrics page as Prometheus reads it: what each event counts.

mod format;
mod initial;

use std::time::Duration;

use super::*;
use crate::domain::ErrorKind;
use crate::metrics::{Operation, Outcome};

/// A gateway's metrics with one route, one caller and one provider, and no request so far.
fn made() -> (Metrics, RouteMetrics, CallerMetrics, Arc<ProviderMetrics>) {
    let metrics = Metrics::new("1.2.3", "abc").unwrap();
    let route = metrics.route("/v1/balances");
    let caller = metrics.caller(&CallerName::parse("checkout").unwrap());
    let provider = metrics.provider(&ProviderName::parse("pluggo").unwrap());
    (metrics, route, caller, provider)
}

fn page(metrics: &Metrics) -> String {
    String::from_utf8(metrics.render(Samples::default())).unwrap()
}

/// The value of a series, by its name and labels as written on the page.
fn value(page: &str, series: &str) -> Option<f64> {
    let line = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))?;
    Some(line.parse().unwrap())
}

#[test]
fn a_status_has_a_series_after_its_first_answer() {
    let (metrics, route, ..) = made();
    let series = "balance_gateway_http_requests_total{route=\"/v1/balances\",status=\"200\"}";
    let before = page(&metrics);

    route.answered(200, 0.001);
    route.answered(200, 0.001);
    let after = page(&metrics);

    assert!(!before.contains("balance_gateway_http_requests_total{"), "{before}");
    assert_eq!(value(&after, series), Some(2.0));
    assert_eq!(after.matches("balance_gateway_http_requests_total{").count(), 1);
    let count = "balance_gateway_http_request_duration_seconds_count{route=\"/v1/balances\"}";
    assert_eq!(value(&after, count), Some(2.0));
}

#[test]
fn two_handles_of_one_name_share_their_counters() {
    let (metrics, .., provider) = made();
    let again = metrics.provider(&ProviderName::parse("pluggo").unwrap());

    provider.looked_up(Outcome::Hit);
    again.looked_up(Outcome::Hit);

    let series = "balance_gateway_cache_lookups_total{outcome=\"hit\",provider=\"pluggo\"}";
    assert_eq!(value(&page(&metrics), series), Some(2.0));
}

#[test]
fn two_gateways_in_one_process_share_nothing() {
    let (first, ..) = made();
    let (second, ..) = made();

    first.auth_failed(AuthFailure::Missing);

    let series = "balance_gateway_auth_failures_total{reason=\"missing\"}";
    assert_eq!(value(&page(&first), series), Some(1.0));
    assert_eq!(value(&page(&second), series), Some(0.0));
}

#[test]
fn a_failed_attempt_counts_only_for_its_kind_and_operation() {
    let (metrics, .., provider) = made();

    provider.attempted(Operation::Token, Duration::from_millis(30), Some(ErrorKind::TooLarge));
    provider.attempted(Operation::Balance, Duration::from_millis(30), None);

    let page = page(&metrics);
    let counted: Vec<&str> = page
        .lines()
        .filter(|line| line.starts_with("balance_gateway_upstream_errors_total{") && !line.ends_with(" 0"))
        .collect();
    let series = "kind=\"too_large\",operation=\"token\",provider=\"pluggo\"";
    assert_eq!(counted, [format!("balance_gateway_upstream_errors_total{{{series}}} 1")]);
}

#[test]
fn the_last_finite_bucket_of_the_served_age_is_60() {
    let (metrics, .., provider) = made();

    provider.served(Duration::from_mins(1));
    provider.served(Duration::from_millis(60_001));

    let page = page(&metrics);
    let bucket = |le| format!("balance_gateway_served_age_seconds_bucket{{provider=\"pluggo\",le=\"{le}\"}}");
    assert_eq!(value(&page, &bucket("60")), Some(1.0));
    assert_eq!(value(&page, &bucket("+Inf")), Some(2.0));
}
