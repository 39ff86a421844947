//! Effective values of the whole and of each provider: defaults, inheritance, shares.

mod accounts;
mod changes;
mod shared_store;

use std::time::Duration;

use super::{LEAST, parse, with};

#[test]
fn only_three_sections_are_required() {
    let bare = LEAST.replace("[server]\n", "").replace("[freshness]\n", "").replace("[metrics]\n[log]\n", "");

    let config = parse(&bare).unwrap();

    assert_eq!(config.masked(), parse(LEAST).unwrap().masked());
    assert_eq!(config.masked(), include_str!("effective.toml"));
    assert!(config.warnings().is_empty(), "{:?}", config.warnings());
}

#[test]
fn a_provider_inherits_limits_and_reduces_them_to_its_max_age() {
    for (freshness, provider, fresh_for, max_age) in [
        ("", "", 10, 60),
        ("fresh_for = \"20s\"\nmax_age = \"40s\"", "", 20, 40),
        ("max_age = \"5s\"", "", 5, 5),
        ("", "max_age = \"5s\"", 5, 5),
        ("max_age = \"40s\"", "fresh_for = \"30s\"", 30, 40),
        ("", "fresh_for = \"2s\"\nmax_age = \"3s\"", 2, 3),
    ] {
        let text =
            with("[freshness]", freshness).replace("[providers.p]", &format!("[providers.p]\n{provider}"));

        let limits = parse(&text).unwrap().providers[0].limits;

        let seconds = (limits.fresh_for.get().as_secs(), limits.max_age.get().as_secs());
        assert_eq!(seconds, (fresh_for, max_age), "{freshness} {provider}");
    }
}

#[test]
fn budgets_and_limits_are_divided_among_replicas() {
    let text = with("[server]", "replicas = 7").replace(
        "accounts = [\"*\"]",
        "accounts = [\"*\"]\nforced = { requests = 60, per = \"1m\", burst = 3 }",
    );

    let config = parse(&text).unwrap();

    let caller = &config.callers[0];
    let forced = caller.forced;
    assert_eq!(config.providers[0].settings.budget.requests, 42);
    assert_eq!((caller.limit.requests, caller.limit.burst), (85, 14));
    assert_eq!((forced.requests, forced.burst), (8, 1));
    assert!(config.masked().contains("\nbudget = { requests = 42, per = \"1m\" }\n"), "{}", config.masked());
    assert!(config.masked().contains("\nforced = { requests = 8, per = \"1m\", burst = 1 }\n"));
}

#[test]
fn a_missing_forced_limit_is_a_tenth_of_the_limit() {
    for (limit, replicas, requests, burst) in [
        ("", 1, 60, 10),
        ("limit = { requests = 45, per = \"10s\", burst = 9 }", 1, 4, 1),
        ("limit = { requests = 9, per = \"1m\" }", 1, 1, 1),
        ("limit = { requests = 600, per = \"1m\" }", 2, 30, 5),
    ] {
        let text = with("[server]", &format!("replicas = {replicas}"))
            .replace("[callers.c]", &format!("[callers.c]\n{limit}"));

        let config = parse(&text).unwrap();

        let forced = config.callers[0].forced;
        assert_eq!((forced.requests, forced.burst), (requests, burst), "{limit} {replicas}");
        assert!(!config.callers[0].is_forced_configured);
    }
}

#[test]
fn endpoints_join_base_and_path_with_one_slash() {
    let text = with("[providers.p]", "base_url = \"http://localhost:81/v2/\"\ntoken_path = \"/t\"");

    let settings = parse(&text).unwrap().providers.remove(0).settings;

    assert_eq!(settings.balance_endpoint, "http://localhost:81/v2/api/balance");
    assert_eq!(settings.token_endpoint, "http://localhost:81/v2/t");
}

#[test]
fn the_default_budget_depends_on_the_kind() {
    let mexico = "kind = \"ntxpay-mx\"\nbase_url = \"https://mx.example\"";

    let config = parse(&with("kind = \"avista\"", mexico)).unwrap();

    assert_eq!(config.providers[0].settings.budget.requests, 50);
    assert_eq!(config.providers[0].settings.budget.per, Duration::from_mins(1));
}

#[test]
fn amounts_become_gauges_only_when_configured() {
    assert!(!parse(LEAST).unwrap().server.shows_balances);
    assert!(parse(&with("[metrics]", "balances = true")).unwrap().server.shows_balances);
}

#[test]
fn the_request_log_setting_reaches_the_server() {
    let config = parse(&with("[log]", "requests = true\nlevel = \"debug\"")).unwrap();

    assert!(config.server.log_requests && config.log.requests);
    assert_eq!(config.log.level, super::super::Level::Debug);
}

#[test]
fn tracing_is_off_by_default() {
    let text = with("[log]", "level = \"info\"\n[tracing]\notlp = \"http://collector:4318/\"");
    let (off, on) = (parse(LEAST).unwrap(), parse(&text).unwrap());

    assert_eq!(off.tracing, None);
    assert!(!off.masked().contains("tracing"));
    let settings = on.tracing.as_ref().unwrap();
    assert_eq!((&*settings.otlp, settings.sample.as_str()), ("http://collector:4318", "0.01"));
    assert!(on.masked().contains("[tracing]\notlp = \"http://collector:4318\"\nsample = \"0.01\""));
}
