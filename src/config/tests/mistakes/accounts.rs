//! Credentials of accounts, balances of an account, and names across sections.

use super::*;

#[test]
fn an_account_has_exactly_the_credential_of_its_kind() {
    let secret =
        "expected { file = \"…\" } or { env = \"…\" }: secrets come from a file or the environment only";
    let either = "expected either token, or client_id and client_secret";
    let token = "token = { env = \"TOKEN\" }";
    for (text, expected) in [
        ("", &[&*format!("accounts.a: {either}")][..]),
        ("token = \"plain\"", &[&format!("accounts.a.token: {secret}, not a text")]),
        (
            "token = { value = \"plain\" }",
            &[
                "accounts.a.token: expected exactly one of { file = \"…\" } or { env = \"…\" }: secrets come from a file or the environment only",
                "accounts.a.token.value: unknown key, expected one of file, env",
            ],
        ),
        (
            "token = { env = \"TOKEN\", file = \"/f\" }",
            &[
                "accounts.a.token: expected exactly one of { file = \"…\" } or { env = \"…\" }: secrets come from a file or the environment only",
            ],
        ),
        (
            "token = { env = \"ABSENT\" }",
            &["accounts.a.token: expected the environment variable ABSENT to be set"],
        ),
        (
            "token = { env = \"EMPTY\" }",
            &["accounts.a.token: expected contents, but the environment variable EMPTY is empty"],
        ),
        (
            "token = { env = \"SPACED\" }",
            &[
                "accounts.a.token: expected visible ASCII, not U+0020 (a space) as character 1 of the environment variable SPACED",
            ],
        ),
        (
            "token = { env = \"TWO_LINES\" }",
            &[
                "accounts.a.token: expected visible ASCII, not U+000A (a line feed) as character 5 of the environment variable TWO_LINES",
            ],
        ),
        (
            "token = { env = \"A-B\" }",
            &[
                "accounts.a.token.env: expected the name of an environment variable, of letters, digits and _, not a text",
            ],
        ),
        ("token = { file = \"\" }", &["accounts.a.token.file: expected the path of a file, not \"\""]),
        (
            "token = { file = \"/nowhere/t\" }",
            &[
                "accounts.a.token: expected a readable file, but /nowhere/t: No such file or directory (os error 2)",
            ],
        ),
        ("client_id = { env = \"TOKEN\" }", &[&format!("accounts.a.client_secret: missing, {secret}")]),
        ("client_secret = { env = \"TOKEN\" }", &[&format!("accounts.a.client_id: missing, {secret}")]),
        (
            "token = { env = \"TOKEN\" }\nclient_id = { env = \"TOKEN\" }",
            &[&format!("accounts.a.client_id: not together with token, {either}")],
        ),
        (
            "token = { env = \"TOKEN\" }\napi_key = { env = \"TOKEN\" }",
            &[&format!("accounts.a.api_key: not for the kind avista, {either}")],
        ),
        (
            "session_token = { env = \"TOKEN\" }",
            &[&format!("accounts.a.session_token: not for the kind avista, {either}")],
        ),
        (
            "token = { env = \"TOKEN\" }\nbalances = [{ currency = \"BRL\" }]",
            &["accounts.a.balances: not for this kind of provider, whose only balance is in BRL"],
        ),
        (
            "token = { env = \"TOKEN\" }\nprovide = 1",
            &[
                "accounts.a.provide: unknown key, expected one of provider, enabled, token, client_id, client_secret, certificate, api_key, session_token, secrets, parameters, alerts, balances, watch",
            ],
        ),
    ] {
        assert_mistakes(&with(token, text), expected);
    }
}

#[test]
fn pluggo_takes_two_keys_and_a_list_of_balances() {
    let currency = "expected 2 to 10 of A-Z and 0-9";
    for (text, expected) in [
        (
            "balances = []",
            "accounts.a.balances: expected at least one, { currency = \"BTC\", type = \"CRYPTO\" }, type only if the provider needs it, not an empty list".to_owned(),
        ),
        ("balances = [{ currency = \"usd\" }]", format!("accounts.a.balances[0].currency: {currency}, not \"usd\"")),
        (
            "balances = [{ type = \"FIAT\" }]",
            format!("accounts.a.balances[0].currency: missing beside type, {currency}"),
        ),
        (
            "balances = [{ currency = \"USD\", type = \"a\" }]",
            "accounts.a.balances[0].type: expected 1 to 32 of A-Z, 0-9 and _, not \"a\"".to_owned(),
        ),
        (
            "balances = [{ currency = \"USD\" }, {}]",
            "accounts.a.balances[1]: expected a currency, as there are several balances, found none".to_owned(),
        ),
        (
            "balances = [{ currency = \"USD\" }, { currency = \"BRL\" }, { currency = \"USD\" }]",
            "accounts.a.balances[2]: expected each balance once, not { currency = \"USD\" } again".to_owned(),
        ),
        (
            "balances = [{ currency = \"USD\", alerts = { blocked_ratio = \"0.5\" } }]",
            "accounts.a.balances[0].alerts.blocked_ratio: not for the kind pluggo, which reports no total"
                .to_owned(),
        ),
        (
            "alerts = { critical = \"500.00\" }",
            "accounts.a.alerts: expected in the entries of balances, for this kind of provider".to_owned(),
        ),
        (
            "balances = [{ curency = \"USD\" }]",
            "accounts.a.balances[0].curency: unknown key, expected one of currency, type, alerts".to_owned(),
        ),
        (
            "token = { env = \"TOKEN\" }",
            "accounts.a.token: not for the kind pluggo, expected api_key and session_token".to_owned(),
        ),
    ] {
        assert_mistakes(&pluggo(text), &[&expected]);
    }
}

#[test]
fn names_references_and_digests_are_checked_across_sections() {
    let digest = "expected the SHA-256 of a key, 64 hex digits (see `balance-gateway new-key`)";
    let key = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    let keys = "keys_sha256 = [\"9F86D081884C7D659A2FEAA0C55AD015A3BF4F1B2B0B822CD15D6C15B0F00A08\"]";
    let name = "expected 1 to 63 of a-z, 0-9 and -, the first not -";
    for (from, to, expected) in [
        ("[accounts.a]", "[accounts.A]", format!("accounts.A: {name}")),
        ("[callers.c]", "[callers.\"c d\"]", format!("callers.\"c d\": {name}")),
        (
            "provider = \"p\"",
            "provider = \"q\"",
            "accounts.a.provider: expected the name of a provider, one of p, not \"q\"".to_owned(),
        ),
        (
            "provider = \"p\"",
            "",
            "accounts.a.provider: missing, expected the name of a provider, one of p".to_owned(),
        ),
        (
            keys,
            "",
            format!(
                "callers.c.keys_sha256: missing, {}, or service_account",
                digest.replace("expected", "expected at least one,")
            ),
        ),
        (
            keys,
            "keys_sha256 = []",
            format!(
                "callers.c.keys_sha256: {}, not an empty list",
                digest.replace("expected", "expected at least one,")
            ),
        ),
        (
            keys,
            "keys_sha256 = [\"9f86\"]",
            format!("callers.c.keys_sha256[0]: {digest}, not a text of 4 characters"),
        ),
        (
            keys,
            &format!("keys_sha256 = [\"{}g\"]", &key[1..]),
            format!("callers.c.keys_sha256[0]: {digest}, not a text of 64 characters"),
        ),
        (
            keys,
            &format!("keys_sha256 = [\"{key}\", \"{key}\"]"),
            "callers.c.keys_sha256[1]: expected each key once, but callers.c.keys_sha256[0] already has it"
                .to_owned(),
        ),
        (
            "[metrics]",
            &format!("[callers.d]\nkeys_sha256 = [\"{key}\"]"),
            "callers.d.keys_sha256[0]: expected each key once, but callers.c.keys_sha256[0] already has it"
                .to_owned(),
        ),
    ] {
        assert!(LEAST.contains(from), "{from}");
        assert_mistakes(&LEAST.replace(from, to), &[&expected]);
    }
}

#[test]
fn service_accounts_need_an_issuer_and_are_unique() {
    let folder = Folder::new();
    let jwks = folder.file("jwks.json", super::super::JWKS);
    let empty = folder.file("empty.json", "{\"keys\": []}");
    let keys = "keys_sha256 = [\"9F86D081884C7D659A2FEAA0C55AD015A3BF4F1B2B0B822CD15D6C15B0F00A08\"]";
    let account = "service_account = \"payments/checkout\"";
    let with_keys = |jwks: &str| {
        let section =
            format!("[auth.kubernetes]\nissuer = \"i\"\naudience = \"a\"\njwks = {{ {jwks} }}\n[log]");
        LEAST.replace(keys, account).replace("[log]", &section)
    };
    let known = with_keys(&format!("file = {jwks:?}"));
    let either = "auth.kubernetes.jwks: expected either { file = \"…\" } or { url = \"https://…\" }, a url optionally with ca and token";

    assert!(parse(&known).is_ok());
    assert!(
        parse(&with_keys(
            "url = \"https://kubernetes.default.svc/openid/v1/jwks/\", token = { env = \"TOKEN\" }"
        ))
        .is_ok()
    );
    for (text, mistake) in [
        (LEAST.replace(keys, account), "callers.c.service_account: expected [auth.kubernetes], which names the issuer of accepted tokens; it is missing".to_owned()),
        (known.replace(account, &format!("{keys}\n{account}")), "callers.c.service_account: not together with keys_sha256, expected one of them".to_owned()),
        (known.replace("payments/checkout", "payments"), "callers.c.service_account: expected a service account as \"namespace/name\", not \"payments\"".to_owned()),
        (
            known.replace("[log]", &format!("[callers.d]\n{account}\n[log]")),
            "callers.d.service_account: expected each service account once, but callers.c.service_account already has it".to_owned(),
        ),
        (known.replace("issuer = \"i\"", "issuer = \"\""), "auth.kubernetes.issuer: expected a text that is not empty, not \"\"".to_owned()),
        (known.replace("audience = \"a\"", ""), "auth.kubernetes.audience: missing, expected a text that is not empty".to_owned()),
        (with_keys(&format!("file = {empty:?}")), format!("auth.kubernetes.jwks: expected at least one key for RS256 or ES256 with a kid in the file {empty}")),
        (with_keys("file = \"/nowhere/j\""), "auth.kubernetes.jwks: expected a readable file, but /nowhere/j: No such file or directory (os error 2)".to_owned()),
        (with_keys(&format!("file = {jwks:?}, token = {{ env = \"TOKEN\" }}")), either.to_owned()),
        (with_keys(&format!("file = {jwks:?}, url = \"https://a.example\"")), either.to_owned()),
        (
            with_keys("url = \"http://10.0.0.1/jwks\""),
            "auth.kubernetes.jwks.url: expected an https URL (http only to 127.0.0.0/8, [::1] or localhost) without user, query and fragment, not \"http://10.0.0.1/jwks\"".to_owned(),
        ),
        (
            with_keys("url = \"https://a.example\", key = 1"),
            "auth.kubernetes.jwks.key: unknown key, expected one of file, url, ca, token".to_owned(),
        ),
    ] {
        assert_mistakes(&text, &[&mistake]);
    }
}
