//! The balances of one simulated account. Every value is kept as JSON text, so that it is sent
//! exactly as it was set, even if it is not a number.

use super::kind::Kind;

/// Field names with their raw JSON values, in the order of the answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Fields(Vec<(String, String)>);

/// One balance. Look-ups use `currency` and `type`, not the fields, because a test may falsify the fields.
#[derive(Debug, Clone)]
pub(super) struct Balance {
    pub(super) currency: String,
    pub(super) r#type: String,
    pub(super) fields: Fields,
}

/// All balances of the account; the first is the default.
#[derive(Debug, Clone)]
pub(super) struct Book {
    balances: Vec<Balance>,
    /// Whether look-ups filter by currency and type. The NTX kinds have one balance and no filters.
    has_filters: bool,
}

impl Fields {
    fn new<const N: usize>(fields: [(&str, &str); N]) -> Self {
        let owned = fields.map(|(name, raw)| (name.to_owned(), raw.to_owned()));
        Self(owned.into())
    }

    pub(super) fn find(&self, name: &str) -> Option<&str> {
        let mut fields = self.0.iter();
        fields.find(|(present, _)| present == name).map(|(_, raw)| raw.as_str())
    }

    pub(super) fn set(&mut self, name: &str, raw: &str) {
        match self.0.iter_mut().find(|(present, _)| present == name) {
            Some((_, present)) => raw.clone_into(present),
            None => self.0.push((name.to_owned(), raw.to_owned())),
        }
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.0.retain(|(present, _)| present != name);
    }

    /// The fields as a JSON object; it is valid if all values are.
    pub(super) fn to_json(&self) -> String {
        let fields: Vec<String> = self.0.iter().map(|(name, raw)| format!("{}:{raw}", quote(name))).collect();
        format!("{{{}}}", fields.join(","))
    }
}

impl Balance {
    fn new(currency: &str, r#type: &str, fields: Fields) -> Self {
        Self { currency: currency.to_owned(), r#type: r#type.to_owned(), fields }
    }

    fn matches(&self, currency: Option<&str>, r#type: Option<&str>) -> bool {
        currency.is_none_or(|currency| currency == self.currency)
            && r#type.is_none_or(|r#type| r#type == self.r#type)
    }
}

impl Book {
    /// The balances of the providers' documentation. Avista's differ from NTX Pay's, so that a
    /// mix-up of the two brands is visible.
    pub(super) fn of(kind: Kind) -> Self {
        let balances = match kind {
            Kind::NtxpayBr => vec![brazilian("48734.90", "0.00", "48734.90")],
            Kind::Avista => vec![brazilian("20150.35", "150.10", "20000.25")],
            Kind::NtxpayMx => vec![mexican()],
            Kind::Declared => Vec::new(),
            Kind::Pluggo => vec![
                pluggo("BRL", "FIAT", ["1250.75", "120.0", "80.0", "45.5"]),
                pluggo("USD", "FIAT", ["310.20", "0.00", "25.00", "0.00"]),
                pluggo("BTC", "CRYPTO", ["0.12345678", "0.00100000", "0.00000000", "0.00000500"]),
            ],
        };
        Self { balances, has_filters: kind == Kind::Pluggo }
    }

    pub(super) fn find(&self, currency: Option<&str>, r#type: Option<&str>) -> Option<&Balance> {
        let (currency, r#type) = self.filters(currency, r#type);
        self.balances.iter().find(|balance| balance.matches(currency, r#type))
    }

    pub(super) fn find_mut(&mut self, currency: Option<&str>, r#type: Option<&str>) -> Option<&mut Balance> {
        let (currency, r#type) = self.filters(currency, r#type);
        self.balances.iter_mut().find(|balance| balance.matches(currency, r#type))
    }

    /// Finds a balance, or adds one with zeros. Without a currency none can be added.
    pub(super) fn find_or_add(
        &mut self,
        currency: Option<&str>,
        r#type: Option<&str>,
    ) -> Option<&mut Balance> {
        if self.find(currency, r#type).is_none() {
            let zeros = ["0.00"; 4];
            let added = pluggo(currency?, r#type.unwrap_or("FIAT"), zeros);
            self.balances.push(added);
        }
        self.find_mut(currency, r#type)
    }

    fn filters<'a>(
        &self,
        currency: Option<&'a str>,
        r#type: Option<&'a str>,
    ) -> (Option<&'a str>, Option<&'a str>) {
        if self.has_filters { (currency, r#type) } else { (None, None) }
    }
}

pub(super) fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn brazilian(gross: &str, blocked: &str, net: &str) -> Balance {
    let fields = [("grossBalance", gross), ("blockedBalance", blocked), ("netBalance", net)];
    Balance::new("BRL", "FIAT", Fields::new(fields))
}

fn mexican() -> Balance {
    let fields = [("availableCentavos", "4873490"), ("pendingCentavos", "0"), ("currency", "\"MXN\"")];
    Balance::new("MXN", "FIAT", Fields::new(fields))
}

fn pluggo(currency: &str, r#type: &str, amounts: [&str; 4]) -> Balance {
    let [balance, blocked, reserve, processing] = amounts;
    let quoted = quote(currency);
    let fields = [
        ("currency", quoted.as_str()),
        ("balance", balance),
        ("blocked", blocked),
        ("reserve", reserve),
        ("processing", processing),
    ];
    Balance::new(currency, r#type, Fields::new(fields))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_sent_as_it_was_set() {
        let mut fields = Fields::default();
        for raw in ["48734.9", "\"48734.90\"", "1e2", "null", "NaN", "-0.00"] {
            fields.set("netBalance", raw);

            assert_eq!(fields.to_json(), format!("{{\"netBalance\":{raw}}}"));
        }
    }

    #[test]
    fn a_removed_field_is_missing_from_the_object() {
        let mut fields = Fields::new([("a", "1"), ("b", "2")]);

        fields.remove("a");

        assert_eq!(fields.to_json(), "{\"b\":2}");
    }

    #[test]
    fn filters_choose_a_balance_exactly() {
        let book = Book::of(Kind::Pluggo);
        let table = [
            (None, None, Some("BRL")),
            (None, Some("FIAT"), Some("BRL")),
            (Some("USD"), None, Some("USD")),
            (Some("USD"), Some("FIAT"), Some("USD")),
            (None, Some("CRYPTO"), Some("BTC")),
            (Some("BTC"), Some("CRYPTO"), Some("BTC")),
            (Some("BTC"), Some("FIAT"), None),
            (Some("usd"), None, None),
            (Some("EUR"), None, None),
        ];
        for (currency, r#type, expected) in table {
            let found = book.find(currency, r#type);

            let found = found.map(|balance| balance.currency.as_str());
            assert_eq!(found, expected, "{currency:?} {type:?}");
        }
    }

    #[test]
    fn a_single_balance_ignores_filters() {
        let book = Book::of(Kind::NtxpayMx);

        assert!(book.find(Some("BRL"), Some("CRYPTO")).is_some());
    }

    #[test]
    fn a_new_currency_starts_at_zero() {
        let mut book = Book::of(Kind::Pluggo);

        let added = book.find_or_add(Some("JPY"), None).unwrap();

        assert_eq!(added.fields.find("balance"), Some("0.00"));
        assert_eq!(added.fields.find("currency"), Some("\"JPY\""));
        assert!(book.find_or_add(None, Some("METAL")).is_none());
    }
}
