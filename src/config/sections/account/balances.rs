//! The balances of an account, for kinds with several, and their alerts.

use super::alerts;
use crate::config::reader::{Read, Section, Setting, Value, quoted};
use crate::config::sections::kinds;
use crate::domain::{BalanceType, Currency, Selector};
use crate::gateway::BalanceSettings;
use crate::providers::Provider;
use crate::providers::declared::Declared;

impl Setting for Currency {
    const EXPECTED: &'static str = "2 to 10 of A-Z and 0-9";

    fn read(value: &Value<'_>) -> Read<Self> {
        value.text(Self::EXPECTED, Self::parse)
    }

    fn show(&self) -> String {
        quoted(self.as_str())
    }
}

impl Setting for BalanceType {
    const EXPECTED: &'static str = "1 to 32 of A-Z, 0-9 and _";

    fn read(value: &Value<'_>) -> Read<Self> {
        value.text(Self::EXPECTED, Self::parse)
    }

    fn show(&self) -> String {
        quoted(self.as_str())
    }
}

const EXPECTED: &str = "{ currency = \"BTC\", type = \"CRYPTO\" }, type only if the provider needs it";

/// Reads the balances of a declared kind: a list if the body names the currency, else the only balance.
pub(super) fn read_declared(section: &mut Section<'_>, kind: &Declared) -> Read<Vec<BalanceSettings>> {
    if kind.only_currency().is_some() {
        return read(section, Ok(kind));
    }
    let Some(value) = section.value("balances") else {
        if section.recorded_account().is_some() {
            return Ok(vec![BalanceSettings::default()]);
        }
        return Err(section.wrong("balances", &format!("missing, expected a list of {EXPECTED}")));
    };
    let balances = read_list(section, Ok(kind))?;
    for (item, balance) in value.items(EXPECTED)?.iter().zip(&balances) {
        check_declared(item, &balance.selector, kind)?;
    }
    Ok(balances)
}

/// Checks a balance of a declared kind: its currency must have known digits, and it has a type only if a text of the
/// kind holds `{type}`.
fn check_declared(item: &Value<'_>, selector: &Selector, kind: &Declared) -> Read<()> {
    let Some(currency) = selector.currency else {
        return Err(item.wrong(&format!("expected a currency, {}", Currency::EXPECTED)));
    };
    if selector.r#type.is_some() && !kind.names("type") {
        let expected = "expected no type, as no text of the kind contains {type}: balances of two types could not be told apart";
        return Err(item.wrong(expected));
    }
    if selector.r#type.is_none() && kind.needs_type() {
        return Err(item.wrong("expected a type, as the path of the kind contains {type}"));
    }
    kinds::require_digits(item, kind, currency)
}

/// Reads the balances. A kind with one currency has no list: it has one balance, and `alerts` belongs to the account.
pub(in crate::config) fn read(
    section: &mut Section<'_>,
    adapter: Read<&dyn Provider>,
) -> Read<Vec<BalanceSettings>> {
    let Some(currency) = adapter.map(Provider::only_currency).ok().flatten() else {
        return read_list(section, adapter);
    };
    let alerts = alerts::read(section, adapter);
    if section.value("balances").is_some() {
        let only = currency.as_str();
        return Err(section
            .wrong("balances", &format!("not for this kind of provider, whose only balance is in {only}")));
    }
    Ok(vec![BalanceSettings { selector: Selector::of(currency), alerts: alerts? }])
}

fn read_list(section: &mut Section<'_>, adapter: Read<&dyn Provider>) -> Read<Vec<BalanceSettings>> {
    let is_misplaced = section.value("alerts").is_some() && adapter.is_ok();
    let misplaced = is_misplaced
        .then(|| section.wrong("alerts", "expected in the entries of balances, for this kind of provider"));
    let balances = match section.value("balances") {
        Some(value) => read_items(&value, adapter)?,
        None => vec![BalanceSettings::default()],
    };
    let shown: Vec<String> = balances.iter().map(show).collect();
    section.show_text("balances", format!("[{}]", shown.join(", ")));
    misplaced.map_or(Ok(balances), Err)
}

fn read_items(value: &Value<'_>, adapter: Read<&dyn Provider>) -> Read<Vec<BalanceSettings>> {
    let items = value.items(&format!("a list of {EXPECTED}"))?;
    if items.is_empty() {
        return Err(value.empty(EXPECTED));
    }
    let is_alone = items.len() == 1;
    let mut earlier: Vec<Selector> = Vec::new();
    let read: Vec<Read<BalanceSettings>> = items
        .iter()
        .map(|item| {
            let balance = read_item(item, adapter)?;
            if balance.selector.currency.is_none() && !is_alone {
                return Err(item.wrong("expected a currency, as there are several balances, found none"));
            }
            if earlier.contains(&balance.selector) {
                return Err(item.wrong(&format!("expected each balance once, not {} again", show(&balance))));
            }
            earlier.push(balance.selector.clone());
            Ok(balance)
        })
        .collect();
    read.into_iter().collect()
}

fn read_item(value: &Value<'_>, adapter: Read<&dyn Provider>) -> Read<BalanceSettings> {
    let mut section = value.section(EXPECTED)?;
    let currency: Read<Option<Currency>> = section.optional("currency");
    let r#type: Read<Option<BalanceType>> = section.optional("type");
    let alerts = alerts::read(&mut section, adapter);
    if currency == Ok(None) && section.has("type") {
        section.wrong("currency", &format!("missing beside type, expected {}", Currency::EXPECTED));
    }
    section.close();
    Ok(BalanceSettings { selector: Selector { currency: currency?, r#type: r#type? }, alerts: alerts? })
}

fn show(BalanceSettings { selector, alerts }: &BalanceSettings) -> String {
    let currency = selector.currency.as_ref().map(|currency| format!("currency = {}", currency.show()));
    let r#type = selector.r#type.as_ref().map(|r#type| format!("type = {}", r#type.show()));
    let alerts = alerts::show(alerts).map(|alerts| format!("alerts = {alerts}"));
    let parts: Vec<String> = [currency, r#type, alerts].into_iter().flatten().collect();
    format!("{{ {} }}", parts.join(", "))
}
