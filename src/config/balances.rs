//! `balances` of an account: which there are, where the kind of provider does not say.

use super::reading::Read;
use super::section::{Section, Setting, Value};
use super::setting::quoted;
use crate::domain::{BalanceType, Currency, Selector};
use crate::providers::Provider;

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

impl Setting for Selector {
    const EXPECTED: &'static str = "{ currency = \"BTC\", type = \"CRYPTO\" }, the type where it matters";

    fn read(value: &Value<'_>) -> Read<Self> {
        let mut section = value.section(Self::EXPECTED)?;
        let currency: Read<Option<Currency>> = section.optional("currency");
        let r#type: Read<Option<BalanceType>> = section.optional("type");
        section.unavailable("alerts");
        if currency == Ok(None) && section.has("type") {
            section.wrong("currency", &format!("missing beside type, expected {}", Currency::EXPECTED));
        }
        section.close();
        Ok(Self { currency: currency?, r#type: r#type? })
    }

    fn show(&self) -> String {
        let currency = self.currency.as_ref().map(|currency| format!("currency = {}", currency.show()));
        let r#type = self.r#type.as_ref().map(|r#type| format!("type = {}", r#type.show()));
        let parts: Vec<String> = currency.into_iter().chain(r#type).collect();
        format!("{{ {} }}", parts.join(", "))
    }
}

/// Reads the list. A kind with one currency has no such list, and one balance.
pub(super) fn read(section: &mut Section<'_>, adapter: Read<&'static dyn Provider>) -> Read<Vec<Selector>> {
    let Some(currency) = adapter.map(Provider::only_currency).ok().flatten() else {
        return read_list(section);
    };
    if section.value("balances").is_some() {
        let only = currency.as_str();
        return Err(section
            .wrong("balances", &format!("not for this kind of provider, whose only balance is in {only}")));
    }
    Ok(vec![Selector::of(currency)])
}

fn read_list(section: &mut Section<'_>) -> Read<Vec<Selector>> {
    let Some(value) = section.value("balances") else {
        let unfiltered = vec![Selector::default()];
        section.show("balances", &unfiltered);
        return Ok(unfiltered);
    };
    let items = value.items(&format!("a list of {}", Selector::EXPECTED))?;
    if items.is_empty() {
        return Err(value.wrong("expected at least one balance"));
    }
    let is_alone = items.len() == 1;
    let mut earlier: Vec<Selector> = Vec::new();
    let read: Vec<Read<Selector>> = items
        .iter()
        .map(|item| {
            let selector = Selector::read(item)?;
            if selector.currency.is_none() && !is_alone {
                return Err(item.wrong("expected a currency, as there are several balances"));
            }
            if earlier.contains(&selector) {
                return Err(item.wrong("expected each balance once"));
            }
            earlier.push(selector.clone());
            Ok(selector)
        })
        .collect();
    let selectors = read.into_iter().collect::<Read<Vec<Selector>>>()?;
    section.show("balances", &selectors);
    Ok(selectors)
}
