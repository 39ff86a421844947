//! The metrics page as Prometheus reads it: its initial series and its format.

use std::collections::BTreeSet;
use std::time::Duration;

use super::*;
use crate::domain::ErrorKind;
use crate::metrics::{Family, Operation, Outcome};

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

#[track_caller]
fn assert_zero(page: &str, series: &str) {
    assert_eq!(value(page, series), Some(0.0), "{series}");
}

/// Splits a line of the text format into name, labels and value.
#[track_caller]
fn parse_sample(line: &str) -> (&str, Vec<(&str, &str)>, f64) {
    let (series, value) = line.rsplit_once(' ').unwrap();
    let value = value.parse().unwrap();
    let Some((name, labels)) = series.split_once('{') else { return (series, Vec::new(), value) };
    let labels = labels.strip_suffix('}').unwrap().split(',').map(|label| {
        let (name, quoted) = label.split_once('=').unwrap();
        (name, quoted.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap())
    });
    (name, labels.collect(), value)
}

fn is_metric_name(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

/// The family of a sample; a histogram's samples have suffixes.
fn family<'a>(name: &'a str, histograms: &BTreeSet<&str>) -> &'a str {
    let endings = ["_bucket", "_sum", "_count"].into_iter();
    let stem = endings.filter_map(|ending| name.strip_suffix(ending)).find(|stem| histograms.contains(stem));
    stem.unwrap_or(name)
}

fn described<'a>(page: &'a str, word: &str) -> Vec<(&'a str, &'a str)> {
    let lines = page.lines().filter_map(|line| line.strip_prefix(word));
    lines.map(|rest| rest.trim_start().split_once(' ').unwrap()).collect()
}

#[test]
fn series_without_a_configured_name_start_at_zero() {
    let metrics = Metrics::new("1.2.3", "abc").unwrap();

    let page = page(&metrics);

    for reason in ["missing", "unknown", "throttled"] {
        assert_zero(&page, &format!("balance_gateway_auth_failures_total{{reason=\"{reason}\"}}"));
    }
    for reason in ["limit", "head", "tls"] {
        assert_zero(&page, &format!("balance_gateway_connections_refused_total{{reason=\"{reason}\"}}"));
    }
    for result in ["ok", "rejected"] {
        assert_zero(&page, &format!("balance_gateway_config_reloads_total{{result=\"{result}\"}}"));
    }
    assert_zero(&page, "balance_gateway_http_requests_in_flight");
}

#[test]
fn reasons_of_tokens_exist_only_when_tokens_are_accepted() {
    let metrics = Metrics::new("1.2.3", "abc").unwrap();
    assert!(!page(&metrics).contains("malformed"));

    metrics.expect_tokens();

    let page = page(&metrics);
    for reason in [
        "malformed",
        "algorithm",
        "unknown_key",
        "signature",
        "issuer",
        "audience",
        "expired",
        "not_yet_valid",
        "unknown_service_account",
    ] {
        assert_zero(&page, &format!("balance_gateway_auth_failures_total{{reason=\"{reason}\"}}"));
    }
}

#[test]
fn the_series_of_a_caller_exist_with_its_handles() {
    let (metrics, ..) = made();

    let page = page(&metrics);

    for policy in ["caller", "forced"] {
        let series = format!("balance_gateway_rate_limited_total{{caller=\"checkout\",policy=\"{policy}\"}}");
        assert_zero(&page, &series);
    }
    assert_zero(&page, "balance_gateway_forced_reads_total{caller=\"checkout\"}");
}

#[test]
fn the_series_of_a_provider_exist_with_its_handles() {
    let (metrics, ..) = made();

    let page = page(&metrics);

    for outcome in ["hit", "stale", "miss", "refresh", "collapsed", "not_cached", "error"] {
        let labels = format!("outcome=\"{outcome}\",provider=\"pluggo\"");
        assert_zero(&page, &format!("balance_gateway_cache_lookups_total{{{labels}}}"));
    }
    for operation in ["balance", "token"] {
        let labels = format!("operation=\"{operation}\",provider=\"pluggo\"");
        let histogram = "balance_gateway_upstream_request_duration_seconds";
        assert_zero(&page, &format!("{histogram}_count{{{labels}}}"));
        for kind in ["connect", "throttled", "timeout", "status", "refused", "invalid", "too_large"] {
            assert_zero(&page, &format!("balance_gateway_upstream_errors_total{{kind=\"{kind}\",{labels}}}"));
        }
    }
    for reason in ["hold", "breaker", "budget", "concurrency"] {
        let labels = format!("provider=\"pluggo\",reason=\"{reason}\"");
        assert_zero(&page, &format!("balance_gateway_reads_refused_total{{{labels}}}"));
    }
    for counter in ["upstream_retries", "balance_mismatch", "observed_at_unreadable"] {
        assert_zero(&page, &format!("balance_gateway_{counter}_total{{provider=\"pluggo\"}}"));
    }
    assert_zero(&page, "balance_gateway_served_age_seconds_count{provider=\"pluggo\"}");
    assert_zero(&page, "balance_gateway_http_request_duration_seconds_count{route=\"/v1/balances\"}");
}

#[test]
fn the_build_info_has_version_and_revision() {
    let (metrics, ..) = made();

    let series = "balance_gateway_build_info{revision=\"abc\",version=\"1.2.3\"}";

    assert_eq!(value(&page(&metrics), series), Some(1.0));
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

#[test]
fn every_line_is_a_comment_or_a_sample() {
    let (metrics, route, ..) = made();
    route.answered(503, 0.5);
    let mut live = Samples::default();
    live.add(Family::BreakerState, &["pluggo"], 2.0);
    live.add(Family::SnapshotTimestamp, &["payouts-mx", "MXN", ""], 1_795_244_400.5);

    let page = String::from_utf8(metrics.render(live)).unwrap();

    let mut seen = BTreeSet::new();
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let (name, labels, _) = parse_sample(line);
        assert!(is_metric_name(name), "{line}");
        assert!(labels.iter().all(|(label, _)| is_metric_name(label)), "{line}");
        assert!(seen.insert(line.rsplit_once(' ').unwrap().0), "twice: {line}");
    }
    let snapshot = "balance_gateway_snapshot_timestamp_seconds\
        {account=\"payouts-mx\",currency=\"MXN\",type=\"\"}";
    assert_eq!(value(&page, snapshot), Some(1_795_244_400.5));
}

#[test]
fn every_family_has_one_help_and_one_type() {
    let (metrics, route, ..) = made();
    route.answered(200, 0.001);
    let mut live = Samples::default();
    live.add(Family::LogLinesDropped, &[], 0.0);

    let page = String::from_utf8(metrics.render(live)).unwrap();

    let (help, types) = (described(&page, "# HELP"), described(&page, "# TYPE"));
    let histograms: BTreeSet<_> =
        types.iter().filter(|(_, kind)| *kind == "histogram").map(|(name, _)| *name).collect();
    let samples: BTreeSet<_> = page
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| family(parse_sample(line).0, &histograms))
        .collect();
    for described in [&help, &types] {
        assert!(described.iter().map(|(name, _)| *name).is_sorted_by(|a, b| a != b));
        assert_eq!(described.iter().map(|(name, _)| *name).collect::<BTreeSet<_>>(), samples);
        assert_eq!(described.len(), samples.len());
    }
    assert!(help.iter().all(|(_, text)| !text.trim().is_empty()));
    let is_counter = |(name, kind): &(&str, &str)| (*kind == "counter") == name.ends_with("_total");
    assert!(types.iter().all(is_counter), "{types:?}");
}

#[test]
fn a_live_family_without_a_sample_is_absent() {
    let (metrics, ..) = made();

    let page = page(&metrics);

    for family in ["breaker_state", "budget_remaining", "token_expiry_timestamp_seconds"] {
        assert!(!page.contains(family), "{family}");
    }
}

#[test]
fn every_name_has_our_prefix_except_process_metrics() {
    let (metrics, ..) = made();

    let page = page(&metrics);

    for line in page.lines().filter(|line| !line.starts_with('#')) {
        assert!(line.starts_with("balance_gateway_") || line.starts_with("process_"), "{line}");
    }
    assert!(!page.contains("balance_gateway_process_"));
    for name in ["process_resident_memory_bytes", "process_open_fds", "process_start_time_seconds"] {
        assert!(value(&page, name).is_some_and(|value| value > 0.0), "{name}");
    }
}

#[test]
fn processor_time_is_a_number_of_seconds() {
    let (metrics, ..) = made();

    let seconds = value(&page(&metrics), "process_cpu_seconds_total").unwrap();

    assert!(seconds.is_finite() && seconds >= 0.0, "{seconds}");
}
