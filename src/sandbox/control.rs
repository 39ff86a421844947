//! The control API over HTTP; the module `sandbox` documents it.

use std::collections::BTreeMap;

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json, value::RawValue};

use super::{
    book::{Fields, quote},
    fault::Fault,
    http::{Head, Request, Response},
    kind::Kind,
    refusal::answer_wrong_method,
    state::{Settings, State, Timestamp},
};

const PREFIX: &str = "/_sandbox/";

/// Why a control call changed nothing.
#[derive(Debug, PartialEq, Eq)]
enum ControlError {
    /// The input is invalid, for this reason.
    Bad(String),
    /// The balance does not exist.
    UnknownBalance,
}

impl ControlError {
    fn into_response(self) -> Response {
        match self {
            Self::Bad(reason) => answer_error(400, &reason),
            Self::UnknownBalance => answer_error(404, "there is no such balance"),
        }
    }
}

pub(super) fn is_control(head: &Head) -> bool {
    head.path.starts_with(PREFIX)
}

pub(super) fn answer(state: &State, request: &Request) -> Response {
    let head = &request.head;
    let name = head.path.strip_prefix(PREFIX).unwrap_or_default();
    let answered = match (name, head.method.as_str()) {
        ("balance", "GET") => show_balance(state, head),
        ("balance", "PUT") => change_balance(state, request),
        ("balance", "DELETE") => remove_field(state, head),
        ("faults", "POST") => queue_faults(state, &request.body),
        ("faults", "DELETE") => Ok(clear(|| state.lock().faults.clear())),
        ("calls", "GET") => Ok(show_calls(state)),
        ("calls", "DELETE") => Ok(clear(|| state.lock().calls.clear())),
        ("settings", "GET") => Ok(show_settings(&state.lock().settings)),
        ("settings", "PUT") => change_settings(state, &request.body),
        ("expire-tokens", "POST") => Ok(clear(|| state.lock().tokens.revoke_all())),
        ("credentials", "GET") => Ok(show_credentials(state)),
        ("balance", _) => Ok(answer_wrong_method("GET, PUT, DELETE")),
        ("faults", _) => Ok(answer_wrong_method("POST, DELETE")),
        ("calls", _) => Ok(answer_wrong_method("GET, DELETE")),
        ("settings", _) => Ok(answer_wrong_method("GET, PUT")),
        ("expire-tokens", _) => Ok(answer_wrong_method("POST")),
        ("credentials", _) => Ok(answer_wrong_method("GET")),
        _ => Ok(answer_error(404, "unknown control path")),
    };
    if answered.is_ok() && name == "balance" && head.method != "GET" {
        state.changed.notify_one();
    }
    answered.unwrap_or_else(ControlError::into_response)
}

fn show_balance(state: &State, head: &Head) -> Result<Response, ControlError> {
    let (currency, r#type) = filters(head);
    let changing = state.lock();
    if state.kind == Kind::Declared {
        let body = changing.script.balance().ok_or(ControlError::UnknownBalance)?;
        return Ok(Response::json(200, body));
    }
    let balance =
        changing.book.find(currency.as_deref(), r#type.as_deref()).ok_or(ControlError::UnknownBalance)?;
    Ok(show_fields(&balance.fields))
}

fn change_balance(state: &State, request: &Request) -> Result<Response, ControlError> {
    let (currency, r#type) = filters(&request.head);
    if state.kind == Kind::Declared {
        let body: Box<RawValue> = parse(&request.body)?;
        state.lock().script.set_balance(body.get());
        return Ok(Response::json(200, body.get()));
    }
    let values: BTreeMap<String, Box<RawValue>> = parse(&request.body)?;
    let mut changing = state.lock();
    let changing = &mut *changing;
    let balance = changing
        .book
        .find_or_add(currency.as_deref(), r#type.as_deref())
        .ok_or(ControlError::UnknownBalance)?;
    for (field, raw) in values {
        if state.is_timestamp(&field) {
            changing.settings.timestamp = Timestamp::Fixed(raw.get().to_owned());
        } else {
            balance.fields.set(&field, raw.get());
        }
    }
    Ok(show_fields(&balance.fields))
}

fn remove_field(state: &State, head: &Head) -> Result<Response, ControlError> {
    let (currency, r#type) = filters(head);
    let field = head
        .parameter("field")
        .ok_or_else(|| ControlError::Bad("`field` is missing from the query".to_owned()))?;
    let mut changing = state.lock();
    let changing = &mut *changing;
    let balance =
        changing.book.find_mut(currency.as_deref(), r#type.as_deref()).ok_or(ControlError::UnknownBalance)?;
    if state.is_timestamp(&field) {
        changing.settings.timestamp = Timestamp::Missing;
    } else {
        balance.fields.remove(&field);
    }
    Ok(show_fields(&balance.fields))
}

fn queue_faults(state: &State, body: &[u8]) -> Result<Response, ControlError> {
    let input: Value = parse(body)?;
    let faults: Vec<Fault> = match input {
        Value::Array(faults) => faults.into_iter().map(parse_value).collect::<Result<_, _>>()?,
        fault => vec![parse_value(fault)?],
    };
    let mut changing = state.lock();
    for fault in faults {
        changing.faults.push(fault);
    }
    let body = json!({"queued": changing.faults.len()});
    Ok(Response::json(200, body.to_string()))
}

/// Applies all given settings, or none if one is invalid.
fn change_settings(state: &State, body: &[u8]) -> Result<Response, ControlError> {
    let values: BTreeMap<String, Box<RawValue>> = parse(body)?;
    let mut changing = state.lock();
    let mut settings = changing.settings.clone();
    for (name, raw) in values {
        let raw = raw.get();
        let bytes = raw.as_bytes();
        match name.as_str() {
            "token_life_seconds" => settings.token_life_seconds = parse(bytes)?,
            "drift" => settings.drift = parse(bytes)?,
            "require_certificate" => settings.require_certificate = parse(bytes)?,
            "timestamp" if raw == "null" => settings.timestamp = Timestamp::Now,
            "timestamp" => settings.timestamp = Timestamp::Fixed(raw.to_owned()),
            _ => return Err(ControlError::Bad(format!("unknown setting {}", quote(&name)))),
        }
    }
    changing.settings = settings;
    Ok(show_settings(&changing.settings))
}

fn show_settings(settings: &Settings) -> Response {
    let mut shown = Fields::default();
    let life = settings.token_life_seconds;
    shown.set("token_life_seconds", &json!(life).to_string());
    shown.set("drift", &settings.drift.to_string());
    let require_certificate = settings.require_certificate.to_string();
    shown.set("require_certificate", &require_certificate);
    match &settings.timestamp {
        Timestamp::Now => shown.set("timestamp", "null"),
        Timestamp::Fixed(raw) => shown.set("timestamp", raw),
        Timestamp::Missing => {}
    }
    show_fields(&shown)
}

fn show_calls(state: &State) -> Response {
    let calls = state.lock().calls.to_vec();
    Response::json(200, json!(calls).to_string())
}

fn show_credentials(state: &State) -> Response {
    Response::json(200, json!(state.credentials).to_string())
}

fn show_fields(fields: &Fields) -> Response {
    Response::json(200, fields.to_json())
}

fn clear(change: impl FnOnce()) -> Response {
    change();
    Response::empty(204)
}

fn filters(head: &Head) -> (Option<String>, Option<String>) {
    (head.parameter("currency"), head.parameter("type"))
}

fn parse<T: DeserializeOwned>(text: &[u8]) -> Result<T, ControlError> {
    serde_json::from_slice(text).map_err(|error| ControlError::Bad(error.to_string()))
}

fn parse_value<T: for<'de> Deserialize<'de>>(value: Value) -> Result<T, ControlError> {
    T::deserialize(value).map_err(|error| ControlError::Bad(error.to_string()))
}

fn answer_error(status: u16, reason: &str) -> Response {
    Response::json(status, json!({"error": reason}).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(state: &State, method: &str, target: &str, body: &str) -> (u16, String) {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let head = Head {
            method: method.to_owned(),
            target: target.to_owned(),
            path: format!("{PREFIX}{path}"),
            query: query.to_owned(),
            headers: Vec::new(),
            keep_alive: true,
            content_length: body.len(),
        };
        let body = body.as_bytes().to_vec();
        let response = answer(state, &Request { head, body });
        (response.status, String::from_utf8(response.body).unwrap())
    }

    #[test]
    fn a_value_is_merged_verbatim() {
        let state = State::new(Kind::NtxpayBr);

        let (status, body) = ask(&state, "PUT", "balance", r#"{"netBalance": 1e2, "x": null}"#);

        assert_eq!(status, 200);
        assert_eq!(body, r#"{"grossBalance":48734.90,"blockedBalance":0.00,"netBalance":1e2,"x":null}"#);
    }

    #[test]
    fn a_timestamp_is_set_and_removed_like_a_field() {
        let state = State::new(Kind::NtxpayBr);

        ask(&state, "PUT", "balance", r#"{"consultedAt": "yesterday"}"#);
        let fixed = state.lock().settings.timestamp.clone();
        ask(&state, "DELETE", "balance?field=consultedAt", "");
        let removed = state.lock().settings.timestamp.clone();
        ask(&state, "PUT", "settings", r#"{"timestamp": null}"#);
        let reset = state.lock().settings.timestamp.clone();

        assert_eq!(fixed, Timestamp::Fixed("\"yesterday\"".to_owned()));
        assert_eq!(removed, Timestamp::Missing);
        assert_eq!(reset, Timestamp::Now);
    }

    #[test]
    fn a_put_adds_a_currency_and_a_get_does_not() {
        let state = State::new(Kind::Pluggo);

        let before = ask(&state, "GET", "balance?currency=JPY", "");
        ask(&state, "PUT", "balance?currency=JPY", r#"{"balance": 5}"#);
        let after = ask(&state, "GET", "balance?currency=JPY&type=FIAT", "");

        assert_eq!(before.0, 404);
        assert_eq!(after.0, 200);
        assert!(after.1.starts_with(r#"{"currency":"JPY","balance":5,"#));
    }

    #[test]
    fn faults_are_queued_all_or_none() {
        let state = State::new(Kind::Avista);

        let one = ask(&state, "POST", "faults", r#"{"kind":"reset"}"#);
        let two = ask(&state, "POST", "faults", r#"[{"kind":"reset"},{"kind":"garbage"}]"#);
        let bad = ask(&state, "POST", "faults", r#"[{"kind":"reset"},{"kind":"no"}]"#);
        let waiting = state.lock().faults.len();
        let cleared = ask(&state, "DELETE", "faults", "");

        assert_eq!(one, (200, r#"{"queued":1}"#.to_owned()));
        assert_eq!(two, (200, r#"{"queued":3}"#.to_owned()));
        assert_eq!(bad.0, 400);
        assert!(bad.1.starts_with(r#"{"error":"unknown variant `no`"#), "{}", bad.1);
        assert_eq!(waiting, 3);
        assert_eq!(cleared, (204, String::new()));
        assert_eq!(state.lock().faults.len(), 0);
    }

    #[test]
    fn settings_are_changed_all_or_none() {
        let state = State::new(Kind::NtxpayMx);
        let input = r#"{"token_life_seconds":5,"drift":true,"require_certificate":true}"#;

        let bad = ask(&state, "PUT", "settings", r#"{"drift":true,"dirft":true}"#);
        let untouched = ask(&state, "GET", "settings", "");
        let changed = ask(&state, "PUT", "settings", input);
        let reset = ask(&state, "PUT", "settings", r#"{"token_life_seconds":null}"#);

        let shown =
            r#"{"token_life_seconds":null,"drift":false,"require_certificate":false,"timestamp":null}"#;
        assert_eq!(bad, (400, r#"{"error":"unknown setting \"dirft\""}"#.to_owned()));
        assert_eq!(untouched, (200, shown.to_owned()));
        let shown = r#"{"token_life_seconds":5,"drift":true,"require_certificate":true,"timestamp":null}"#;
        assert_eq!(changed, (200, shown.to_owned()));
        assert_eq!(reset.1, shown.replace('5', "null"));
    }

    #[test]
    fn wrong_paths_methods_and_bodies_have_their_own_statuses() {
        let state = State::new(Kind::NtxpayMx);

        assert_eq!(ask(&state, "GET", "nothing", "").0, 404);
        assert_eq!(ask(&state, "PATCH", "settings", "").0, 405);
        assert_eq!(ask(&state, "GET", "expire-tokens", "").0, 405);
        assert_eq!(ask(&state, "PUT", "balance", "[1]").0, 400);
        assert_eq!(ask(&state, "PUT", "balance", "{").0, 400);
        assert_eq!(ask(&state, "DELETE", "balance", "").0, 400);
        assert_eq!(ask(&state, "POST", "expire-tokens", "").0, 204);
    }
}
