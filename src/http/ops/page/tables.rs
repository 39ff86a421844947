//! The tables of the page. On a narrow screen each row becomes a block, whose cells show their heading.

use jiff::Timestamp;

use super::problems::is_budget_low;
use super::time;
use crate::domain::{BalanceType, Currency, Level};
use crate::gateway::{AccountStatus, BalanceStatus, ProviderStatus};
use crate::http::pages::html::Html;

/// The text of a cell without a value.
const NONE: &str = "–";

/// How a cell looks.
#[derive(Clone, Copy)]
enum Tone {
    Plain,
    Good,
    Bad,
}

/// Breakers, calls in flight, and the results of the last calls.
pub(super) fn providers(page: &mut Html, providers: &[ProviderStatus], now: Timestamp) {
    begin(page, "Providers", &["Provider", "Breaker", "In flight", "Last success", "Last failure"]);
    for provider in providers {
        let ago = |moment: Option<Timestamp>| moment.map(|moment| time::relative(moment, now));
        let reason = provider.last_failure_reason.as_deref().unwrap_or_default();
        let failure = ago(provider.last_failure).map(|ago| format!("{ago}: {reason}"));
        let (breaker, tone) = match provider.breaker_level {
            0 => ("closed", Tone::Good),
            1 => ("half-open", Tone::Bad),
            _ => ("open", Tone::Bad),
        };
        row(page, provider.provider.as_str());
        cell(page, "Breaker", breaker, tone);
        cell(page, "In flight", &provider.in_flight.to_string(), Tone::Plain);
        cell(page, "Last success", ago(provider.last_success).as_deref().unwrap_or(NONE), Tone::Plain);
        cell(page, "Last failure", failure.as_deref().unwrap_or(NONE), Tone::Plain);
        page.raw("</tr>\n");
    }
    end(page);
}

/// Budgets, tokens and credentials.
pub(super) fn accounts(page: &mut Html, accounts: &[AccountStatus], now: Timestamp) {
    begin(page, "Accounts", &["Account", "Provider", "State", "Budget left", "Token expires", "Credential"]);
    for account in accounts {
        let (state, tone) = if account.enabled { ("on", Tone::Plain) } else { ("off", Tone::Bad) };
        let expiry = account.token_expires_at;
        let is_expired = account.enabled && expiry.is_some_and(|expiry| expiry <= now);
        let expiry = expiry.map(|expiry| time::relative(expiry, now));
        let budget = format!("{} of {}", account.budget_remaining, account.budget_limit);
        let (credential, health) = if account.credential_rejected {
            ("new one refused", Tone::Bad)
        } else {
            ("current", Tone::Plain)
        };
        row(page, account.account.as_str());
        cell(page, "Provider", account.provider.as_str(), Tone::Plain);
        cell(page, "State", state, tone);
        cell(page, "Budget left", &budget, bad_if(is_budget_low(account)));
        cell(page, "Token expires", expiry.as_deref().unwrap_or(NONE), bad_if(is_expired));
        cell(page, "Credential", credential, health);
        page.raw("</tr>\n");
    }
    end(page);
}

/// Ages and alert levels; no amounts.
pub(super) fn balances(page: &mut Html, accounts: &[AccountStatus]) {
    begin(page, "Balances in the cache", &["Account", "Currency", "Type", "Age", "Alerts"]);
    for account in accounts {
        for balance in &account.balances {
            row(page, account.account.as_str());
            let currency = balance.currency.as_ref().map_or(NONE, Currency::as_str);
            cell(page, "Currency", currency, Tone::Plain);
            cell(page, "Type", balance.r#type.as_ref().map_or(NONE, BalanceType::as_str), Tone::Plain);
            cell(page, "Age", &age(balance), Tone::Plain);
            let alerts = balance.alerts.iter().filter(|(_, is_active)| *is_active);
            let alerts: Vec<_> = alerts.map(|(level, _)| Level::as_str(*level)).collect();
            let text = if alerts.is_empty() { NONE.to_owned() } else { alerts.join(" ") };
            cell(page, "Alerts", &text, bad_if(!alerts.is_empty()));
            page.raw("</tr>\n");
        }
    }
    end(page);
}

/// How old the cached balance is, and whether it may still be served.
fn age(balance: &BalanceStatus) -> String {
    match (balance.age_seconds, &balance.served) {
        (None, _) => "not read yet".to_owned(),
        (Some(age), Some(_)) => time::length(age),
        (Some(age), None) => format!("{}, expired", time::length(age)),
    }
}

fn bad_if(is_bad: bool) -> Tone {
    if is_bad { Tone::Bad } else { Tone::Plain }
}

fn begin(page: &mut Html, title: &'static str, headings: &[&'static str]) {
    page.raw("<h2>").raw(title).raw("</h2>\n<table>\n<thead><tr>");
    for heading in headings {
        page.raw("<th scope=\"col\">").raw(heading).raw("</th>");
    }
    page.raw("</tr></thead>\n<tbody>\n");
}

fn row(page: &mut Html, name: &str) {
    page.raw("<tr><th scope=\"row\">").text(name).raw("</th>");
}

fn cell(page: &mut Html, heading: &'static str, text: &str, tone: Tone) {
    page.raw("<td data-heading=\"").raw(heading).raw("\">");
    match tone {
        Tone::Plain => page.text(text),
        Tone::Good => page.raw("<span class=\"good\">").text(text).raw("</span>"),
        Tone::Bad => page.raw("<strong class=\"bad\">").text(text).raw("</strong>"),
    };
    page.raw("</td>");
}

fn end(page: &mut Html) {
    page.raw("</tbody>\n</table>\n");
}
