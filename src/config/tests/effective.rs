//! Effective values: defaults, inheritance, shares.

use std::time::Duration;

use secrecy::ExposeSecret;

use super::{Folder, LEAST, parse, pluggo, with};
use crate::domain::{AlertLevels, BalanceType, Currency, Ratio, Selector, Threshold};
use crate::gateway::BalanceSettings;
use crate::providers::Authorisation;
use crate::upstream::Credential;

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
fn an_account_is_disabled_with_its_provider() {
    for (place, is_enabled) in [("[log]", true), ("[accounts.a]", false), ("[providers.p]", false)] {
        let text = if place == "[log]" { LEAST.to_owned() } else { with(place, "enabled = false") };

        assert_eq!(parse(&text).unwrap().accounts[0].settings.is_enabled, is_enabled, "{place}");
    }
}

#[test]
fn an_account_has_the_listed_balances_or_its_only_one() {
    let of = |currency| Selector::of(Currency::parse(currency).unwrap());
    let bitcoin = Selector { r#type: BalanceType::parse("CRYPTO"), ..of("BTC") };
    for (text, selectors) in [
        (LEAST.to_owned(), vec![of("BRL")]),
        (pluggo(""), vec![Selector::default()]),
        (pluggo("balances = [{}]"), vec![Selector::default()]),
        (pluggo("balances = [{ currency = \"USD\" }]"), vec![of("USD")]),
        (
            pluggo(
                "balances = [{ currency = \"BRL\" }, { currency = \"BTC\", type = \"CRYPTO\" }, { currency = \"BTC\" }]",
            ),
            vec![of("BRL"), bitcoin, of("BTC")],
        ),
    ] {
        let balances = parse(&text).unwrap().accounts.remove(0).settings.balances;
        let found: Vec<Selector> = balances.into_iter().map(|balance| balance.selector).collect();
        assert_eq!(found, selectors, "{text}");
    }
}

#[test]
fn alerts_belong_to_the_account_or_to_each_balance() {
    let all = "{ critical = \"500.00\", warning = \"2000.00\", high = \"10000\", blocked_ratio = \"0.5\" }";
    let levels = AlertLevels {
        critical: Threshold::parse("500.00"),
        warning: Threshold::parse("2000.00"),
        high: Threshold::parse("10000"),
        blocked_ratio: Ratio::parse("0.5"),
    };
    let critical = AlertLevels { critical: Threshold::parse("-0.10"), ..AlertLevels::default() };
    let none = AlertLevels::default();
    for (text, expected) in [
        (LEAST.to_owned(), vec![none]),
        (with("[accounts.a]", &format!("alerts = {all}")), vec![levels]),
        (with("[accounts.a]", "alerts = {}"), vec![none]),
        (pluggo("balances = [{ alerts = { critical = \"-0.10\" } }]"), vec![critical]),
        (
            pluggo(
                "balances = [{ currency = \"USD\" }, { currency = \"BTC\", alerts = { critical = \"-0.10\" } }]",
            ),
            vec![none, critical],
        ),
    ] {
        let config = parse(&text).unwrap();

        let balances: &[BalanceSettings] = &config.accounts[0].settings.balances;
        let found: Vec<AlertLevels> = balances.iter().map(|balance| balance.alerts).collect();
        assert_eq!(found, expected, "{text}");
        for part in ["critical = \"-0.10\"", all] {
            assert_eq!(config.masked().contains(part), text.contains(part), "{}", config.masked());
        }
    }
}

#[test]
fn an_account_is_watched_only_when_configured() {
    for (text, watch) in [("", None), ("watch = \"5m\"", Some(300)), ("watch = \"1s\"", Some(1))] {
        let config = parse(&with("[accounts.a]", text)).unwrap();

        assert_eq!(config.accounts[0].settings.watch, watch.map(Duration::from_secs), "{text}");
        assert!(config.masked().contains(text));
    }
}

#[test]
fn amounts_become_gauges_only_when_configured() {
    assert!(!parse(LEAST).unwrap().server.shows_balances);
    assert!(parse(&with("[metrics]", "balances = true")).unwrap().server.shows_balances);
}

#[test]
fn an_identity_is_the_url_and_the_client_of_the_credential() {
    let identity = |text: &str| parse(text).unwrap().accounts.remove(0).settings.identity;
    let client = |id: &str| {
        let secret = "client_secret = { env = \"TOKEN\" }";
        identity(&with("token = { env = \"TOKEN\" }", &format!("client_id = {{ env = \"{id}\" }}\n{secret}")))
    };

    assert_eq!(identity(LEAST), ["p", "https://api.avista.global", "/api/balance"]);
    assert_eq!(client("API_KEY").len(), 4);
    assert_ne!(client("API_KEY"), client("SESSION"));
    assert_eq!(client("API_KEY"), client("API_KEY"));
    assert_eq!(client("API_KEY")[3], identity(&pluggo(""))[3]);
}

#[test]
fn one_newline_at_the_end_of_a_file_is_dropped() {
    let folder = Folder::new();
    for (index, (contents, read)) in [
        ("t0k3n", Some("t0k3n")),
        ("t0k3n\n", Some("t0k3n")),
        ("t0k3n\r\n", Some("t0k3n")),
        ("t0k3n\n\n", None),
        ("t0k3n ", None),
        ("\tt0k3n\n", None),
        ("\n", None),
        ("", None),
    ]
    .into_iter()
    .enumerate()
    {
        let file = folder.file(&index.to_string(), contents);

        let config = parse(&LEAST.replace("env = \"TOKEN\"", &format!("file = {file:?}")));

        let token = config.ok().map(|config| match &config.accounts[0].credential {
            Credential::Static(Authorisation::Bearer(token)) => token.expose_secret().to_owned(),
            other => format!("{other:?}"),
        });
        assert_eq!(token.as_deref(), read, "{contents:?}");
    }
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

#[test]
fn with_a_shared_store_shares_apply_only_while_it_is_unavailable() {
    let shared = "[shared]\nurl = { env = \"STORE\" }\nkey = { env = \"SHARED_KEY\" }";
    let text = with("[server]", "replicas = 7").replace("[log]", shared);

    let config = parse(&text).unwrap();

    let shared = config.shared.as_ref().unwrap();
    assert_eq!(shared.replicas.get(), 7);
    assert_eq!((shared.prefix.as_str(), shared.timeout), ("balance-gateway", Duration::from_millis(30)));
    assert_eq!((shared.keys.len(), shared.ca.is_none()), (1, true));
    assert_eq!(shared.url.to_string(), "rediss://store:6380/2");
    assert_eq!((config.providers[0].settings.budget.requests, config.callers[0].limit.burst), (300, 100));
    let shown = "\n[shared]\nurl = \"***\"\n# ca: not set\nkey = \"***\"\nprefix = \"balance-gateway\"\n\
                 timeout = \"30ms\"\n";
    assert!(config.masked().contains(shown), "{}", config.masked());
    for timeout in ["1ms", "1s"] {
        assert!(parse(&format!("{text}\ntimeout = {timeout:?}")).is_ok(), "{timeout}");
    }
    assert!(parse(LEAST).unwrap().shared.is_none());
    assert!(!parse(LEAST).unwrap().masked().contains("shared"));
}

#[test]
fn a_store_url_without_a_password_may_be_text_and_keys_may_use_either_alphabet() {
    let folder = Folder::new();
    let (standard, url_safe) = (format!("{}/+8=", "A".repeat(40)), format!("{}_-8", "A".repeat(40)));
    for (file, key) in [("1", standard), ("2", url_safe)] {
        let file = folder.file(file, key);
        std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let keys = format!("[{{ file = {file:?} }}, {{ env = \"SHARED_KEY\" }}]");
        let shared = format!("[shared]\nurl = \"valkey-sentinel://a,b/main\"\nkey = {keys}");

        let config = parse(&with("[server]", "replicas = 2").replace("[log]", &shared)).unwrap();

        let keys = &config.shared.as_ref().unwrap().keys;
        assert_eq!(keys[0].expose_secret()[30..], [255, 239]);
        assert_eq!((keys.len(), &keys[1].expose_secret()[..6]), (2, &b"shared"[..]));
        let shown = "url = \"valkey-sentinel://a,b/main\"\n# ca: not set\nkey = [\"***\", \"***\"]\n";
        assert!(config.masked().contains(shown), "{}", config.masked());
    }
}

#[test]
fn a_change_names_each_section_that_differs() {
    let with_budget =
        |requests: u32| with("[providers.p]", &format!("budget = {{ requests = {requests}, per = \"1m\" }}"));
    let other_caller = LEAST.replace("[callers.c]", "[callers.d]");
    let table = [
        (LEAST.to_owned(), LEAST.to_owned(), vec![]),
        (LEAST.to_owned(), format!("# a comment\n{LEAST}"), vec![]),
        (with_budget(10), with_budget(20), vec!["providers.p"]),
        (LEAST.to_owned(), with("[freshness]", "fresh_for = \"9s\""), vec!["freshness", "providers.p"]),
        (LEAST.to_owned(), other_caller, vec!["callers.c", "callers.d"]),
        (LEAST.to_owned(), format!("{LEAST}level = \"debug\"\n"), vec!["log"]),
    ];
    for (before, after, expected) in table {
        let (before, after) = (parse(&before).unwrap(), parse(&after).unwrap());

        assert_eq!(after.changes_since(&before), expected);
    }
}

#[test]
fn a_changed_secret_changes_its_section() {
    let folder = Folder::new();
    let path = folder.file("token", "t0k3n-1");
    let text = LEAST.replace("{ env = \"TOKEN\" }", &format!("{{ file = \"{path}\" }}"));
    let before = parse(&text).unwrap();
    folder.file("token", "t0k3n-2");

    let after = parse(&text).unwrap();

    assert_eq!(after.changes_since(&before), ["accounts.a"]);
    assert_eq!(after.masked(), before.masked());
}
