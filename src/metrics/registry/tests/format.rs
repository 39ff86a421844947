//! The text format of the page: its lines, names, help, types and numbers.

use std::collections::BTreeSet;

use super::*;
use crate::metrics::Family;

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
