//! Effective values of an account: its balances, alerts, watch and identity.

use std::time::Duration;

use super::super::{LEAST, parse, pluggo, with};
use crate::domain::{AlertLevels, BalanceType, Currency, Ratio, Selector, Threshold};
use crate::gateway::BalanceSettings;

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
