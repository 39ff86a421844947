//! The kinds in `config/kinds`: each is proven by its own examples, and a mistake such as a unit that is wrong by a
//! factor of one hundred is refused at load.

use std::path::{Path, PathBuf};

use balance_gateway::config::{self, Config};

/// Every shipped kind.
const SHIPPED: [&str; 14] = [
    "adyen", "asaas", "celcoin", "conekta", "efi", "fintoc", "inter", "mollie", "payzu", "paypal", "stripe",
    "wise", "woovi", "xendit",
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config/kinds")
}

fn text_of(kind: &str) -> String {
    std::fs::read_to_string(folder().join(format!("{kind}.toml"))).unwrap()
}

/// Loads a kind's text together with a provider of it.
fn load(kind: &str, text: &str) -> Result<Config, String> {
    let text = text.replace("\"config/kinds/", &format!("\"{}/", folder().display()));
    // Switched off, and without an account: the kind alone is judged.
    let whole = format!(
        "{text}\n[providers.p]\nkind = \"{kind}\"\nbase_url = \"https://a.example\"\n\
         budget = {{ requests = 60, per = \"1m\" }}\n\
         [providers.q]\nkind = \"ntxpay-br\"\n[accounts.a]\nprovider = \"q\"\ntoken = {{ env = \"T\" }}\n\
         [callers.c]\nkeys_sha256 = [\"{}\"]\naccounts = [\"*\"]\n",
        "0".repeat(64)
    );
    config::parse(&whole, Path::new("kinds.toml"), &|_| Some("secret".to_owned()))
        .map_err(|errors| errors.to_string())
}

#[test]
fn every_shipped_kind_is_proven_by_its_examples() {
    let mut files: Vec<String> = std::fs::read_dir(folder())
        .unwrap()
        .filter_map(|entry| {
            entry.unwrap().file_name().into_string().unwrap().strip_suffix(".toml").map(str::to_owned)
        })
        .collect();
    files.sort();
    let mut shipped = SHIPPED;
    shipped.sort_unstable();
    assert_eq!(files, shipped);

    for kind in SHIPPED {
        let loaded = load(kind, &text_of(kind));

        assert!(loaded.is_ok(), "{kind}: {}", loaded.unwrap_err());
    }
}

/// Replaces a text in a kind; the text must exist.
#[track_caller]
fn spoilt(kind: &str, changes: &[(&str, &str)]) -> String {
    changes.iter().fold(text_of(kind), |text, (from, to)| {
        assert!(text.contains(from), "{kind} has no {from}");
        replaced(&text, from, to)
    })
}

/// Replaces a text in the kind itself, not in its examples.
fn replaced(text: &str, from: &str, to: &str) -> String {
    let (kind, examples) = text.split_at(text.find("[[kinds.").unwrap());
    kind.replace(from, to) + examples
}

#[track_caller]
fn assert_refused(kind: &str, changes: &[(&str, &str)]) {
    let Err(error) = load(kind, &spoilt(kind, changes)) else { panic!("{kind} {changes:?} is accepted") };

    assert!(error.contains(&format!("kinds.{kind}")), "{kind} {changes:?}: {error}");
}

#[test]
fn a_wrong_unit_is_refused() {
    for kind in SHIPPED {
        let text = text_of(kind);
        let (from, to) = if text.contains("units = \"minor\"") {
            ("units = \"minor\"", "units = \"major\"")
        } else {
            ("units = \"major\"", "units = \"minor\"")
        };
        let digits = text.lines().find(|line| line.starts_with("digits = ")).unwrap_or("\n");

        assert_refused(kind, &[(from, to), (digits, "\n")]);
    }
}

#[test]
fn two_swapped_fields_are_refused() {
    for (kind, one, other) in [
        ("adyen", "available = \"/available\"", "reserved = \"/reserved\""),
        ("conekta", "rows = \"/available\"", "rows = \"/pending\""),
        ("efi", "available = \"/saldo\"", "blocked = \"/bloqueios/total\""),
        ("fintoc", "available = \"/balance/available\"", "total = \"/balance/current\""),
        ("mollie", "/availableAmount", "/pendingAmount"),
        ("payzu", "available = \"/available\"", "blocked = \"/blocked\""),
        ("paypal", "/available_balance/", "/withheld_balance/"),
        ("stripe", "rows = \"/available\"", "rows = \"/pending\""),
        ("wise", "/amount/", "/reservedAmount/"),
        ("woovi", "available = \"/account/balance/available\"", "blocked = \"/account/balance/blocked\""),
    ] {
        // Only the values after the equals signs are exchanged.
        let value = |text: &str| text.split_once(" = ").map_or(text, |(_, value)| value).to_owned();
        let (first, second) = (value(one), value(other));

        assert_refused(kind, &[(&first, "\u{1}"), (&second, &first), ("\u{1}", &second)]);
    }
}

#[test]
fn available_and_total_exchanged_are_refused() {
    for (kind, one, other) in [
        ("adyen", "\"/available\"", "\"/balance\""),
        ("fintoc", "\"/balance/available\"", "\"/balance/current\""),
        ("payzu", "\"/available\"", "\"/total\""),
        ("paypal", "/available_balance/", "/total_balance/"),
        ("wise", "/amount/", "/totalWorth/"),
        ("woovi", "\"/account/balance/available\"", "\"/account/balance/total\""),
    ] {
        assert_refused(kind, &[(one, "\u{1}"), (other, one), ("\u{1}", other)]);
    }
}

#[test]
fn the_first_row_in_place_of_the_matching_one_is_refused() {
    for (kind, from, to) in [
        ("adyen", "available = \"/available\"", "available = \"/0/available\""),
        (
            "conekta",
            "{ rows = \"/available\", at = \"/amount\" }",
            "{ rows = \"/available\", at = \"/0/amount\" }",
        ),
        ("paypal", "at = \"/available_balance/value\"", "at = \"/0/available_balance/value\""),
        (
            "stripe",
            "available = { rows = \"/available\", at = \"/amount\" }",
            "available = \"/available/0/amount\"",
        ),
        ("wise", "at = \"/amount/value\"", "at = \"/0/amount/value\""),
    ] {
        assert_refused(kind, &[(from, to)]);
    }
    // Without `where`, two rows of one currency match.
    assert_refused("wise", &[("where = { \"/type\" = \"STANDARD\" }", "")]);
}

#[test]
fn a_wrong_currency_is_refused() {
    for kind in SHIPPED {
        let whole = text_of(kind);
        let (text, _) = whole.split_at(whole.find("[[kinds.").unwrap());
        let (from, to) = if let Some(line) = text.lines().find(|line| line.starts_with("currency = \"")) {
            (line.to_owned(), "currency = \"USD\"".to_owned())
        } else {
            let line = text.lines().find(|line| line.starts_with("currency = {")).unwrap();
            // Another member that every body or row has, or the other `case`.
            let other = match kind {
                "stripe" => line.replace(", case = \"lower\"", ""),
                "fintoc" => line.replace("/currency", "/id"),
                "mollie" => line.replace("/currency", "/mode"),
                _ => line.replace(" }", ", case = \"lower\" }"),
            };
            (line.to_owned(), other)
        };

        assert_refused(kind, &[(&from, &to)]);
    }
}

#[test]
fn a_missing_field_is_never_read_as_zero() {
    for (kind, from, to) in [
        ("asaas", "\"/balance\"", "\"/saldo\""),
        ("celcoin", "\"/body/amount\"", "\"/body/value\""),
        ("efi", "\"/bloqueios/total\"", "\"/bloqueios/soma\""),
        ("inter", "\"/bloqueadoAdministrativo\"", "\"/bloqueadoOutro\""),
        ("xendit", "available = \"/balance\"", "available = \"/amount\""),
        ("woovi", "/account/balance/blocked", "/account/balance/held"),
    ] {
        assert_refused(kind, &[(from, to)]);
    }
    // A body whose part is missing is refused by the shipped kind; were it optional in a sum, it would be read as zero.
    assert_refused(
        "inter",
        &[("\"/bloqueadoAdministrativo\"]", "{ at = \"/bloqueadoAdministrativo\", optional = true }]")],
    );
}

#[test]
fn digits_that_matter_must_be_stated() {
    assert_refused("adyen", &[("digits = { CLP = 2, CVE = 0, ISK = 2 }", "")]);
    assert_refused("adyen", &[("CLP = 2", "CLP = 0")]);
    assert_refused("fintoc", &[("digits = { CLP = 0 }", "")]);
    assert_refused("fintoc", &[("CLP = 0", "CLP = 2")]);
    assert_refused("stripe", &[("digits = { ISK = 2, UGX = 2 }", "")]);
    assert_refused("stripe", &[("ISK = 2", "ISK = 0")]);
}

#[test]
fn an_account_may_not_list_a_currency_without_stated_digits() {
    for (code, is_fine) in [("UGX", true), ("ISK", true), ("CLP", false), ("JPY", false), ("BTC", false)] {
        let account = format!(
            "\n[accounts.s]\nprovider = \"p\"\nsecrets = {{ secret_key = {{ env = \"S\" }} }}\n\
             balances = [{{ currency = \"{code}\" }}]\n"
        );
        let loaded = load("stripe", &(text_of("stripe") + &account));

        assert_eq!(loaded.is_ok(), is_fine, "{code}");
        if let Err(error) = loaded {
            assert!(error.contains("kinds.stripe.digits"), "{error}");
        }
    }
}
