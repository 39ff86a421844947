//! The forms of authentication that a kind can declare, each with the calls that its provider expects.

use super::*;

/// One way to authenticate: the lines of the kind, and the requests that the provider expects.
pub(super) struct Form {
    pub(super) name: &'static str,
    pub(super) kind: String,
    pub(super) account: &'static str,
    /// The expected requests with this secret.
    pub(super) routes: fn(secret: &str) -> Vec<ScriptedRoute>,
    pub(super) has_token: bool,
}

pub(super) const ONE_SECRET: &str = "secrets = { key = { file = \"SECRET\" } }";

pub(super) const PAIR: &str = "secrets = { id = { file = \"ID\" }, key = { file = \"SECRET\" } }";

pub(super) fn base64(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

pub(super) fn balance(headers: &[(&str, &str)]) -> ScriptedRoute {
    route(Operation::Balance, "GET", "/b", headers, "", BODY)
}

pub(super) fn bearer() -> ScriptedRoute {
    balance(&[("authorization", &format!("Bearer {TOKEN}"))])
}

pub(super) fn token(headers: &[(&str, &str)], body: &str, answer: &str) -> ScriptedRoute {
    route(Operation::Token, "POST", "/t", headers, body, answer)
}

pub(super) fn issued() -> String {
    format!(r#"{{"access_token":"{TOKEN}","token_type":"Bearer","expires_in":{LIFE}}}"#)
}

pub(super) fn forms() -> Vec<Form> {
    let one = |rest: &str| format!("path = \"/b\"\nsecrets = [\"key\"]\n{rest}\n{MAPPING}");
    let two = |rest: &str| format!("path = \"/b\"\nsecrets = [\"id\", \"key\"]\n{rest}\n{MAPPING}");
    let bearer_of = "headers = { Authorization = \"Bearer {token}\" }";
    vec![
        Form {
            name: "header",
            kind: one("headers = { access_token = \"{key}\" }"),
            account: ONE_SECRET,
            routes: |secret| vec![balance(&[("access_token", secret)])],
            has_token: false,
        },
        Form {
            name: "basic",
            kind: one("basic = [\"{key}\", \"\"]"),
            account: ONE_SECRET,
            routes: |secret| {
                vec![balance(&[("authorization", &format!("Basic {}", base64(&format!("{secret}:"))))])]
            },
            has_token: false,
        },
        Form {
            name: "a POST with a form",
            kind: one("method = \"POST\"\nform = { key = \"{key}\", currency_code = \"{currency}\" }"),
            account: ONE_SECRET,
            routes: |secret| {
                let body = format!("key={secret}&currency_code=BRL");
                let media_type = ("content-type", "application/x-www-form-urlencoded");
                vec![route(Operation::Balance, "POST", "/b", &[media_type], &body, BODY)]
            },
            has_token: false,
        },
        Form {
            name: "a POST without a body",
            kind: one("method = \"POST\"\nheaders = { x-key = \"{key}\" }"),
            account: ONE_SECRET,
            routes: |secret| {
                let headers = [("x-key", secret), ("content-length", "0")];
                vec![route(Operation::Balance, "POST", "/b", &headers, "", BODY)]
            },
            has_token: false,
        },
        Form {
            name: "a token by form",
            kind: two(&format!(
                "{bearer_of}\ntoken = {{ path = \"/t\", form = {{ grant_type = \"client_credentials\", client_id = \"{{id}}\", \
                 client_secret = \"{{key}}\" }}, at = \"/access_token\", seconds = \"/expires_in\" }}"
            )),
            account: PAIR,
            routes: |secret| {
                let body = format!("grant_type=client_credentials&client_id={CLIENT}&client_secret={secret}");
                vec![token(&[], &body, &issued()), bearer()]
            },
            has_token: true,
        },
        Form {
            name: "a token by JSON, without a life in the answer",
            kind: two(
                "headers = { X-API-KEY = \"{token}\" }\ntoken = { path = \"/t\", json = { clientId = \"{id}\", \
                 clientSecret = \"{key}\" }, at = \"/apiKey\", life = \"2h\" }",
            ),
            account: PAIR,
            routes: |secret| {
                let body = format!(r#"{{"clientId":"{CLIENT}","clientSecret":"{secret}"}}"#);
                let answer = format!(r#"{{"apiKey":"{TOKEN}"}}"#);
                vec![token(&[], &body, &answer), balance(&[("x-api-key", TOKEN)])]
            },
            has_token: true,
        },
        Form {
            name: "a token by Basic",
            kind: two(&format!(
                "{bearer_of}\ntoken = {{ path = \"/t\", basic = [\"{{id}}\", \"{{key}}\"], form = {{ grant_type = \
                 \"client_credentials\" }}, at = \"/access_token\", seconds = \"/expires_in\" }}"
            )),
            account: PAIR,
            routes: |secret| {
                let basic = format!("Basic {}", base64(&format!("{CLIENT}:{secret}")));
                vec![
                    token(&[("authorization", &basic)], "grant_type=client_credentials", &issued()),
                    bearer(),
                ]
            },
            has_token: true,
        },
        Form {
            name: "a token by headers, with an instant",
            kind: two(&format!(
                "{bearer_of}\ntoken = {{ path = \"/t\", headers = {{ x-client-id = \"{{id}}\", x-api-key = \"{{key}}\" }}, \
                 at = \"/token\", until = \"/expires_at\" }}"
            )),
            account: PAIR,
            routes: |secret| {
                let answer = format!(r#"{{"token":"{TOKEN}","expires_at":"{UNTIL}"}}"#);
                let headers = [("x-client-id", CLIENT), ("x-api-key", secret), ("content-length", "0")];
                vec![token(&headers, "", &answer), bearer()]
            },
            has_token: true,
        },
    ]
}
