//! The NTX platform: NTX Pay in Brazil and Mexico, and Avista. Tokens, and one balance.

use std::time::Duration;

use percent_encoding::percent_decode_str;
use serde::Deserialize;

use super::{
    book::{Fields, quote},
    clock,
    drift::{self, Change},
    http::{Head, Request, Response, reason},
    kind::Kind,
    refusal::answer_error,
    state::State,
};

/// A token request with exactly these two fields.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct TokenRequest {
    client_id: String,
    client_secret: String,
}

/// The documented life of a token in seconds, and its scope, if documented.
struct TokenTerms {
    life_seconds: u64,
    scope: Option<&'static str>,
}

impl TokenTerms {
    fn of(kind: Kind, path: &str) -> Self {
        match (kind, path) {
            (Kind::NtxpayMx, _) => Self { life_seconds: 600, scope: Some("email profile") },
            (_, "/oauth/token") => {
                Self { life_seconds: 3600, scope: Some("pix:read pix:write balance:read") }
            }
            _ => Self { life_seconds: 1800, scope: None },
        }
    }
}

pub(super) fn issue_token(state: &State, request: &Request) -> Response {
    let head = &request.head;
    let wants_certificate = head.path == "/api/auth/token";
    if wants_certificate && state.lock().settings.require_certificate && !has_certificate(head) {
        return refuse_token(400, "X-SSL-Client-Cert is missing or malformed");
    }
    let Some(asked) = parse_token_request(request) else {
        return refuse_token(400, "expected clientId and clientSecret only");
    };
    let terms = TokenTerms::of(state.kind, &head.path);
    let mut changing = state.lock();
    if asked.client_id != state.credentials.client_id || !changing.secrets.contains(&asked.client_secret) {
        return refuse_token(401, "Invalid credentials");
    }
    let configured = changing.settings.token_life_seconds;
    let life_seconds = configured.unwrap_or(terms.life_seconds);
    let life = Duration::from_secs(life_seconds);
    let token = changing.tokens.issue(life, clock::now());
    drop(changing);
    let mut body = Fields::default();
    body.set("access_token", &quote(&token));
    body.set("token_type", &quote("Bearer"));
    body.set("expires_in", &life_seconds.to_string());
    if let Some(scope) = terms.scope {
        body.set("scope", &quote(scope));
    }
    Response::json(201, body.to_json())
}

pub(super) fn answer_balance(state: &State, head: &Head) -> Response {
    if !is_authorised(state, head) {
        return answer_error(401);
    }
    let mut changing = state.lock();
    let changing = &mut *changing;
    let Some(balance) = changing.book.find_mut(None, None) else {
        return answer_error(404);
    };
    if changing.settings.drift {
        drift::drift(state.kind, balance, Change::random(&mut changing.random));
    }
    let mut fields = balance.fields.clone();
    if let Some(name) = state.kind.timestamp_field()
        && let Some(raw) = changing.settings.timestamp.raw()
    {
        fields.set(name, &raw);
    }
    Response::json(200, fields.to_json())
}

/// The token of `Authorization: Bearer …`.
pub(super) fn bearer(head: &Head) -> Option<&str> {
    let (scheme, token) = head.header("authorization")?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

fn is_authorised(state: &State, head: &Head) -> bool {
    bearer(head).is_some_and(|token| {
        token == state.credentials.token || state.lock().tokens.is_live(token, clock::now())
    })
}

fn parse_token_request(request: &Request) -> Option<TokenRequest> {
    let content_type = request.head.header("content-type")?;
    if !content_type.starts_with("application/json") {
        return None;
    }
    let asked: TokenRequest = serde_json::from_slice(&request.body).ok()?;
    let has_length = |text: &str| (8..=64).contains(&text.chars().count());
    (has_length(&asked.client_id) && has_length(&asked.client_secret)).then_some(asked)
}

/// Whether the header holds a percent-encoded PEM certificate: spaces, line ends and `+` must be encoded.
fn has_certificate(head: &Head) -> bool {
    let Some(encoded) = head.header("x-ssl-client-cert") else {
        return false;
    };
    let is_encoded = !encoded.contains([' ', '+']);
    let decoded = percent_decode_str(encoded).decode_utf8_lossy();
    let pem = decoded.trim();
    is_encoded
        && pem.starts_with("-----BEGIN CERTIFICATE-----\n")
        && pem.ends_with("\n-----END CERTIFICATE-----")
}

fn refuse_token(status: u16, message: &str) -> Response {
    let mut body = Fields::default();
    body.set("statusCode", &status.to_string());
    body.set("message", &quote(message));
    body.set("error", &quote(reason(status)));
    Response::json(status, body.to_json())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{super::state::Timestamp, *};

    fn head(method: &str, path: &str, headers: &[(&str, &str)]) -> Head {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Head {
            method: method.to_owned(),
            target: path.to_owned(),
            path: path.to_owned(),
            query: String::new(),
            headers: headers.collect(),
            keep_alive: true,
            content_length: 0,
        }
    }

    fn ask(state: &State, path: &str, body: &str) -> Response {
        let request = Request {
            head: head("POST", path, &[("Content-Type", "application/json")]),
            body: body.as_bytes().to_vec(),
        };
        issue_token(state, &request)
    }

    fn pair(state: &State) -> String {
        let (id, secret) = (&state.credentials.client_id, &state.credentials.client_secret);
        json!({"clientId": id, "clientSecret": secret}).to_string()
    }

    fn parsed(response: &Response) -> Value {
        serde_json::from_slice(&response.body).unwrap()
    }

    fn balance(state: &State, token: &str) -> Response {
        let value = format!("Bearer {token}");
        answer_balance(state, &head("GET", "/api/balance", &[("authorization", &value)]))
    }

    #[test]
    fn each_token_path_has_its_documented_terms() {
        let table = [
            (Kind::NtxpayBr, "/api/auth/token", 1800, Value::Null),
            (Kind::Avista, "/api/auth/token", 1800, Value::Null),
            (Kind::Avista, "/oauth/token", 3600, json!("pix:read pix:write balance:read")),
            (Kind::NtxpayMx, "/api/auth/token", 600, json!("email profile")),
        ];
        for (kind, path, life, scope) in table {
            let state = State::new(kind);

            let response = ask(&state, path, &pair(&state));

            let body = parsed(&response);
            assert_eq!(response.status, 201);
            assert_eq!(body["token_type"], "Bearer");
            assert_eq!(body["expires_in"], life);
            assert_eq!(body["scope"], scope);
        }
    }

    #[test]
    fn a_token_request_with_other_fields_is_refused() {
        let state = State::new(Kind::NtxpayBr);
        let mut extended: Value = serde_json::from_str(&pair(&state)).unwrap();
        extended["scope"] = Value::from("all");
        let table = [
            (extended.to_string(), 400),
            (r#"{"clientId":"client-12345678"}"#.to_owned(), 400),
            (r#"{"clientId":"short","clientSecret":"secret-1234"}"#.to_owned(), 400),
            ("clientId=a".to_owned(), 400),
            (r#"{"clientId":"client-12345678","clientSecret":"secret-1234"}"#.to_owned(), 401),
        ];
        for (body, status) in table {
            let response = ask(&state, "/api/auth/token", &body);

            assert_eq!(response.status, status, "{body}");
            assert_eq!(parsed(&response)["statusCode"], status);
        }
    }

    #[test]
    fn an_issued_token_is_accepted_until_it_is_revoked() {
        let state = State::new(Kind::NtxpayBr);
        let response = ask(&state, "/api/auth/token", &pair(&state));
        let body = parsed(&response);
        let token = body["access_token"].as_str().unwrap();

        let before = balance(&state, token);
        state.lock().tokens.revoke_all();
        let after = balance(&state, token);
        let fixed = balance(&state, &state.credentials.token);

        assert_eq!(before.status, 200);
        assert_eq!(after.status, 401);
        assert_eq!(after.body, br#"{"statusCode":401,"message":"Unauthorized"}"#);
        assert_eq!(fixed.status, 200);
    }

    #[test]
    fn a_balance_has_the_documented_form() {
        let state = State::new(Kind::NtxpayBr);
        let fixed = "\"2025-11-19T20:18:29.384Z\"".to_owned();
        state.lock().settings.timestamp = Timestamp::Fixed(fixed);

        let response = balance(&state, &state.credentials.token);

        let body = r#"{"grossBalance":48734.90,"blockedBalance":0.00,"netBalance":48734.90,"consultedAt":"2025-11-19T20:18:29.384Z"}"#;
        assert_eq!(String::from_utf8(response.body).unwrap(), body);
    }

    #[test]
    fn a_mexican_balance_has_no_timestamp() {
        let state = State::new(Kind::NtxpayMx);

        let response = balance(&state, &state.credentials.token);

        let body = r#"{"availableCentavos":4873490,"pendingCentavos":0,"currency":"MXN"}"#;
        assert_eq!(String::from_utf8(response.body).unwrap(), body);
    }

    #[test]
    fn a_certificate_must_be_pem_and_percent_encoded() {
        let encoded = "-----BEGIN%20CERTIFICATE-----%0AMII%2B%0A-----END%20CERTIFICATE-----%0A";
        let with_plus = encoded.replace("%20", "+");
        let table =
            [(Some(encoded), true), (Some(with_plus.as_str()), false), (Some("MIIB"), false), (None, false)];
        for (value, expected) in table {
            let headers: Vec<_> = value.map(|value| ("X-SSL-Client-Cert", value)).into_iter().collect();

            let found = has_certificate(&head("POST", "/api/auth/token", &headers));

            assert_eq!(found, expected, "{value:?}");
        }
    }

    #[test]
    fn only_the_documented_path_requires_a_certificate() {
        let state = State::new(Kind::NtxpayBr);
        state.lock().settings.require_certificate = true;

        assert_eq!(ask(&state, "/api/auth/token", &pair(&state)).status, 400);
        assert_eq!(ask(&state, "/oauth/token", &pair(&state)).status, 201);
    }
}
