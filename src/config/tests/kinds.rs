//! Every rule for a declared kind: one line for each mistake, with the key that its message names.

use std::path::Path;

use crate::config::{self, Config, ConfigErrors};

/// A kind with one secret and one amount, its provider and an account.
const PLAIN: &str = r#"
[kinds.k]
base_url = "https://k.example"
path = "/balance"
secrets = ["key"]
headers = { x-key = "{key}" }
currency = "BRL"
units = "minor"
available = "/available"
blocked = "/blocked"
[[kinds.k.examples]]
body = { env = "PLAIN" }
available = "48734.91"
blocked = "1250.37"
[providers.p]
kind = "k"
budget = { requests = 60, per = "1m" }
[accounts.a]
provider = "p"
secrets = { key = { env = "SECRET" } }
[callers.c]
keys_sha256 = ["9F86D081884C7D659A2FEAA0C55AD015A3BF4F1B2B0B822CD15D6C15B0F00A08"]
accounts = ["*"]
"#;
/// A kind with a row for each currency.
const ROWS: &str = r#"
[kinds.k]
base_url = "https://k.example"
path = "/balance"
secrets = ["key"]
headers = { x-key = "{key}" }
rows = "/rows"
currency = { at = "/currency" }
units = "major"
available = "/amount"
[[kinds.k.examples]]
body = { env = "ROWS" }
currency = "BRL"
available = "48734.91"
[providers.p]
kind = "k"
budget = { requests = 60, per = "1m" }
[accounts.a]
provider = "p"
secrets = { key = { env = "SECRET" } }
balances = [{ currency = "BRL" }]
[callers.c]
keys_sha256 = ["9F86D081884C7D659A2FEAA0C55AD015A3BF4F1B2B0B822CD15D6C15B0F00A08"]
accounts = ["*"]
"#;
/// A kind that exchanges two secrets for a token.
const TOKEN: &str = r#"
[kinds.k]
base_url = "https://k.example"
path = "/balance"
secrets = ["id", "key"]
headers = { Authorization = "Bearer {token}" }
token = { path = "/token", basic = ["{id}", "{key}"], at = "/access_token", seconds = "/expires_in" }
currency = "BRL"
units = "minor"
available = "/available"
[[kinds.k.examples]]
body = { env = "PLAIN" }
available = "48734.91"
[providers.p]
kind = "k"
budget = { requests = 60, per = "1m" }
[accounts.a]
provider = "p"
secrets = { id = { env = "SECRET" }, key = { env = "SECRET" } }
[callers.c]
keys_sha256 = ["9F86D081884C7D659A2FEAA0C55AD015A3BF4F1B2B0B822CD15D6C15B0F00A08"]
accounts = ["*"]
"#;

fn parse(text: &str) -> Result<Config, ConfigErrors> {
    let env = |name: &str| {
        Some(match name {
            "PLAIN" => r#"{"available":4873491,"blocked":125037,"round":4873490,"more":7}"#,
            "ZERO" => r#"{"available":4873491,"blocked":0}"#,
            "EQUAL" => r#"{"available":4873491,"blocked":4873491}"#,
            "ROUND" => r#"{"available":4873490,"blocked":125030}"#,
            "ROWS" => {
                r#"{"rows":[{"currency":"USD","amount":1.01},{"currency":"BRL","amount":48734.91},{"currency":"EUR","amount":2.02}]}"#
            }
            "FIRST_ROW" => r#"{"rows":[{"currency":"BRL","amount":48734.91},{"currency":"USD","amount":1.01}]}"#,
            "SECRET" => "s3cr3t",
            _ => return None,
        }
        .to_owned())
    };
    config::parse(text, Path::new("g.toml"), &env)
}

/// A configuration, a text in it and what replaces that, and the start and a part of the message.
type Mistake = (&'static str, &'static str, &'static str, &'static str, &'static str);

/// The mistakes by the number of their rule.
const MISTAKES: &[(u8, &[Mistake])] = &[
    (
        1,
        &[
            (PLAIN, "units = \"minor\"\n", "", "kinds.k.units: ", "missing"),
            (PLAIN, "currency = \"BRL\"\n", "", "kinds.k.currency: ", "missing"),
            (
                PLAIN,
                "available = \"/available\"",
                "available = { at = \"/available\", units = \"major\" }",
                "kinds.k.available.units: ",
                "unknown key",
            ),
        ],
    ),
    (
        2,
        &[
            (
                PLAIN,
                "currency = \"BRL\"",
                "currency = \"CLP\"",
                "kinds.k.digits: ",
                "Adyen counts CLP in hundredths",
            ),
            (
                ROWS,
                "units = \"major\"",
                "units = \"minor\"\ndigits = { USD = 2 }",
                "kinds.k.digits.USD: ",
                "other digits than ISO 4217's 2",
            ),
            (
                PLAIN,
                "units = \"minor\"",
                "units = \"major\"\ndigits = { CLP = 2 }",
                "kinds.k.digits: ",
                "only beside units = \"minor\"",
            ),
        ],
    ),
    (
        3,
        &[
            (
                PLAIN,
                "[[kinds.k.examples]]\nbody = { env = \"PLAIN\" }\navailable = \"48734.91\"\nblocked = \"1250.37\"\n",
                "",
                "kinds.k.examples: ",
                "missing",
            ),
            (
                PLAIN,
                "\"PLAIN\" }\navailable = \"48734.91\"\nblocked = \"1250.37\"",
                "\"ZERO\" }\navailable = \"48734.91\"\nblocked = \"0.00\"",
                "kinds.k.examples: ",
                "none of them zero",
            ),
            (
                PLAIN,
                "\"PLAIN\" }\navailable = \"48734.91\"\nblocked = \"1250.37\"",
                "\"EQUAL\" }\navailable = \"48734.91\"\nblocked = \"48734.91\"",
                "kinds.k.examples: ",
                "all different",
            ),
            (
                PLAIN,
                "\"PLAIN\" }\navailable = \"48734.91\"\nblocked = \"1250.37\"",
                "\"ROUND\" }\navailable = \"48734.90\"\nblocked = \"1250.30\"",
                "kinds.k.examples: ",
                "last digit is not 0",
            ),
            (PLAIN, "blocked = \"1250.37\"\n", "", "kinds.k.examples[0]: ", "blocked: missing"),
            (
                PLAIN,
                "\"48734.91\"",
                "\"48734.92\"",
                "kinds.k.examples[0]: ",
                "expected 48734.92, but the mapping gives 48734.91",
            ),
            (PLAIN, "\"48734.91\"", "\"48734.910\"", "kinds.k.examples[0]: ", "with the 2 digits of BRL"),
            (
                ROWS,
                "\"ROWS\"",
                "\"FIRST_ROW\"",
                "kinds.k.examples: ",
                "another row before and after the right one",
            ),
        ],
    ),
    (
        4,
        &[
            (PLAIN, "\"{key}\"", "\"{kye}{key}\"", "kinds.k.headers: ", "{kye} is none of key"),
            (
                PLAIN,
                "secrets = [\"key\"]",
                "secrets = [\"key\", \"other\"]",
                "kinds.k.secrets: ",
                "no text holds {other}",
            ),
            (
                PLAIN,
                "secrets = [\"key\"]",
                "secrets = [\"key\"]\nparameters = [\"profile\"]",
                "kinds.k.parameters: ",
                "no text holds {profile}",
            ),
            (
                PLAIN,
                "secrets = [\"key\"]",
                "secrets = [\"key\", \"currency\"]",
                "kinds.k.secrets[1]: ",
                "other than currency, type and token",
            ),
            (PLAIN, "\"{key}\"", "\"{key}{token}\"", "kinds.k.headers: ", "{token} is none of key"),
            (TOKEN, "Bearer {token}", "Bearer {key}", "kinds.k.token: ", "a text with {token}"),
            (
                TOKEN,
                "\"/token\"",
                "\"/token/{currency}\"",
                "kinds.k.token: ",
                "names of secrets and parameters only",
            ),
        ],
    ),
    (
        5,
        &[
            (PLAIN, "\"/balance\"", "\"/balance/{key}\"", "kinds.k.path: ", "no secret in a path"),
            (TOKEN, "\"/token\"", "\"/token/{key}\"", "kinds.k.token: ", "no secret in a path"),
            (PLAIN, "x-key =", "Host =", "kinds.k.headers.Host: ", "host"),
            (PLAIN, "x-key =", "cache-control =", "kinds.k.headers.cache-control: ", "cache-control"),
            (
                PLAIN,
                "x-key = \"{key}\"",
                "x-key = \"{key}\", X-Key = \"{key}\"",
                "kinds.k.headers.X-Key: ",
                "once, whatever its case",
            ),
        ],
    ),
    (
        6,
        &[
            (PLAIN, "https://k.example", "http://k.example", "kinds.k.base_url: ", "expected"),
            (PLAIN, "https://k.example", "https://user@k.example", "kinds.k.base_url: ", "expected"),
            (TOKEN, "path = \"/token\"", "url = \"http://t.example\"", "kinds.k.token.url: ", "expected"),
            (PLAIN, "\"/balance\"", "\"/balance?a=b\"", "kinds.k.path: ", "without query"),
            (PLAIN, "\"/balance\"", "\"/../balance\"", "kinds.k.path: ", "a path that starts with /"),
        ],
    ),
    (
        7,
        &[
            (PLAIN, "\"/blocked\"", "\"blocked\"", "kinds.k.blocked: ", "a JSON pointer"),
            (PLAIN, "\"/blocked\"", "\"/block~2ed\"", "kinds.k.blocked: ", "~0 for ~"),
            (PLAIN, "\"/blocked\"", "\"/1/2/3/4/5/6/7/8/9\"", "kinds.k.blocked: ", "at most 8"),
            (
                PLAIN,
                "blocked = \"/blocked\"",
                "blocked = \"/available\"",
                "kinds.k.blocked: ",
                "each pointer once",
            ),
        ],
    ),
    (
        8,
        &[
            (
                PLAIN,
                "available = \"/available\"",
                "available = { sum = [\"/available\", \"/more\"] }",
                "kinds.k.available",
                "",
            ),
            (
                PLAIN,
                "available = \"/available\"",
                "available = \"/available\"\ntotal = { sum = [\"/more\", \"/round\"] }",
                "kinds.k.total",
                "",
            ),
            (
                PLAIN,
                "blocked = \"/blocked\"",
                "blocked = { sum = [\"/blocked\"] }",
                "kinds.k.blocked: ",
                "2 to 8",
            ),
            (
                PLAIN,
                "blocked = \"/blocked\"",
                "blocked = { sum = [\"/blocked\", { at = \"/more\", optional = true }] }",
                "kinds.k.blocked: ",
                "no optional amount in a sum",
            ),
        ],
    ),
    (
        9,
        &[
            (
                PLAIN,
                "units =",
                "where = { \"/kind\" = \"main\" }\nunits =",
                "kinds.k.where: ",
                "only beside rows",
            ),
            (
                ROWS,
                "currency = { at = \"/currency\" }",
                "currency = \"BRL\"",
                "kinds.k.currency: ",
                "a row could be in another currency",
            ),
            (
                ROWS,
                "available = \"/amount\"",
                "available = \"/0/amount\"",
                "kinds.k.available: ",
                "no number of a row",
            ),
        ],
    ),
    (
        10,
        &[
            (PLAIN, "path = \"/balance\"\n", "method = \"POST\"\n", "kinds.k.path: ", "missing"),
            (PLAIN, "path =", "form = { a = \"b\" }\npath =", "kinds.k.method: ", "expected \"POST\""),
            (PLAIN, "path =", "method = \"PUT\"\npath =", "kinds.k.method: ", "\"GET\", or \"POST\""),
        ],
    ),
    (
        11,
        &[
            (
                PLAIN,
                "budget =",
                "balance_path = \"/b\"\nbudget =",
                "providers.p.balance_path: ",
                "not for the kind k",
            ),
            (
                PLAIN,
                "budget =",
                "token_path = \"/b\"\nbudget =",
                "providers.p.token_path: ",
                "not for the kind k",
            ),
            (
                PLAIN,
                "provider = \"p\"",
                "provider = \"p\"\ntoken = { env = \"SECRET\" }",
                "accounts.a.token: ",
                "not for the kind k",
            ),
            (
                PLAIN,
                "provider = \"p\"",
                "provider = \"p\"\nclient_id = { env = \"SECRET\" }",
                "accounts.a.client_id: ",
                "not for the kind k",
            ),
            (
                PLAIN,
                "provider = \"p\"",
                "provider = \"p\"\napi_key = { env = \"SECRET\" }",
                "accounts.a.api_key: ",
                "not for the kind k",
            ),
            (
                PLAIN,
                "provider = \"p\"",
                "provider = \"p\"\nsession_token = { env = \"SECRET\" }",
                "accounts.a.session_token: ",
                "not for the kind k",
            ),
            (
                PLAIN,
                "provider = \"p\"",
                "provider = \"p\"\ncertificate = { env = \"SECRET\" }",
                "accounts.a.certificate: ",
                "not for the kind k",
            ),
            (PLAIN, "kind = \"k\"", "kind = \"avista\"", "accounts.a.secrets: ", "not for the kind avista"),
        ],
    ),
    (12, &[(PLAIN, "budget = { requests = 60, per = \"1m\" }\n", "", "providers.p.budget: ", "missing")]),
    (
        13,
        &[(
            PLAIN,
            "body = { env = \"PLAIN\" }",
            "body = { env = \"PLAIN\" }\nobserved_at = \"2026-11-21 06:59\"",
            "kinds.k.examples[0].observed_at: ",
            "an instant in quotes",
        )],
    ),
    (
        14,
        &[
            (
                TOKEN,
                "at = \"/access_token\"",
                "form = { a = \"{id}\" }, json = { a = \"{id}\" }, at = \"/access_token\"",
                "kinds.k.token.json: ",
                "not beside form",
            ),
            (
                TOKEN,
                ", seconds = \"/expires_in\"",
                "",
                "kinds.k.token.seconds: ",
                "exactly one of seconds, until and life",
            ),
            (
                TOKEN,
                "seconds = \"/expires_in\"",
                "seconds = \"/expires_in\", life = \"1h\"",
                "kinds.k.token.seconds: ",
                "exactly one of seconds, until and life",
            ),
            (TOKEN, "seconds = \"/expires_in\"", "life = \"25h\"", "kinds.k.token.life: ", "at most 24h"),
            (TOKEN, "path = \"/token\",", "", "kinds.k.token.path: ", "exactly one of path and url"),
        ],
    ),
    (15, &[(PLAIN, "units =", "unit = \"minor\"\nunits =", "kinds.k.unit: ", "unknown key")]),
    (
        16,
        &[(
            PLAIN,
            "provider = \"p\"",
            "provider = \"p\"\nalerts = { blocked_ratio = \"0.5\" }",
            "accounts.a.alerts.blocked_ratio: ",
            "",
        )],
    ),
];

#[test]
fn each_mistake_of_a_kind_is_refused_with_its_key() {
    for text in [PLAIN, ROWS, TOKEN] {
        parse(text).unwrap_or_else(|errors| panic!("{errors}"));
    }
    let mut wrong = Vec::new();
    for (rule, mistakes) in MISTAKES {
        for (text, from, to, key, expected) in *mistakes {
            assert!(text.contains(from), "rule {rule}: {from}");

            let read = parse(&text.replacen(from, to, 1));
            let errors = read.err().map_or("it is accepted".to_owned(), |errors| errors.to_string());

            let start = format!("g.toml: {key}");
            if !errors.lines().any(|line| line.starts_with(&start) && line.contains(expected)) {
                wrong.push(format!("rule {rule}, {to:?}: expected {key}{expected}, not\n{errors}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn unwise_kinds_are_warned_of() {
    for (text, from, to, expected) in [
        (
            PLAIN,
            "path =",
            "query = { key = \"{key}\" }\npath =",
            "kinds.k.query: key holds a secret, and proxies log URLs",
        ),
        (
            PLAIN,
            "path =",
            "method = \"POST\"\npath =",
            "kinds.k.method: is repeated like a GET; make sure that it only reads",
        ),
        (
            PLAIN,
            "[providers.p]",
            "[kinds.unused]\npath = \"/b\"\ncurrency = \"BRL\"\nunits = \"minor\"\navailable = \"/available\"\n\
            [[kinds.unused.examples]]\nbody = { env = \"PLAIN\" }\navailable = \"48734.91\"\n[providers.p]",
            "kinds.unused: no provider is of this kind",
        ),
    ] {
        let config = parse(&text.replacen(from, to, 1)).unwrap_or_else(|errors| panic!("{errors}"));

        let warnings: Vec<String> = config.warnings().iter().map(ToString::to_string).collect();
        assert!(warnings.iter().any(|warning| warning == expected), "{warnings:?}");
    }
}
