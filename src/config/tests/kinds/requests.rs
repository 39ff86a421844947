//! Mistakes in how a kind sends a request: secrets, texts, addresses, tokens, and keys that a declared kind does not
//! have.

use super::{Mistake, PLAIN, TOKEN};

/// The mistakes by the number of their rule.
pub(super) const MISTAKES: &[(u8, &[Mistake])] = &[
    (
        4,
        &[
            (
                PLAIN,
                "\"{key}\"",
                "\"{kye}{key}\"",
                "kinds.k.headers: ",
                "one of key, currency, type, not {kye}",
            ),
            (
                PLAIN,
                "secrets = [\"key\"]",
                "secrets = [\"key\", \"other\"]",
                "kinds.k.secrets: ",
                "no text contains {other}",
            ),
            (
                PLAIN,
                "secrets = [\"key\"]",
                "secrets = [\"key\"]\nparameters = [\"profile\"]",
                "kinds.k.parameters: ",
                "no text contains {profile}",
            ),
            (
                PLAIN,
                "secrets = [\"key\"]",
                "secrets = [\"key\", \"currency\"]",
                "kinds.k.secrets[1]: ",
                "other than currency, type and token",
            ),
            (
                PLAIN,
                "\"{key}\"",
                "\"{key}{token}\"",
                "kinds.k.headers: ",
                "one of key, currency, type, not {token}",
            ),
            (TOKEN, "Bearer {token}", "Bearer {key}", "kinds.k.token: ", "{token} in a text"),
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
    (
        14,
        &[
            (
                TOKEN,
                "at = \"/access_token\"",
                "form = { a = \"{id}\" }, json = { a = \"{id}\" }, at = \"/access_token\"",
                "kinds.k.token.json: ",
                "not together with form",
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
];
