//! The series that exist before the first request.

use super::*;

#[track_caller]
fn assert_zero(page: &str, series: &str) {
    assert_eq!(value(page, series), Some(0.0), "{series}");
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
fn a_live_family_without_a_sample_is_absent() {
    let (metrics, ..) = made();

    let page = page(&metrics);

    for family in ["breaker_state", "budget_remaining", "token_expiry_timestamp_seconds"] {
        assert!(!page.contains(family), "{family}");
    }
}
