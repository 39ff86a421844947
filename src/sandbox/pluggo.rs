//! Pluggo: two headers on every call, several balances, and an envelope around each answer.

use super::{
    book::quote,
    drift::{self, Change},
    http::{Head, Response, reason},
    state::{State, Timestamp},
};

pub(super) fn is_authorised(state: &State, head: &Head) -> bool {
    head.header("x-api-key") == Some(state.credentials.api_key.as_str())
        && head.header("x-token") == Some(state.credentials.session_token.as_str())
}

pub(super) fn answer_balance(state: &State, head: &Head) -> Response {
    let (currency, r#type) = (head.parameter("currency"), head.parameter("type"));
    let mut changing = state.lock();
    let changing = &mut *changing;
    let timestamp = &changing.settings.timestamp;
    let found = changing.book.find_mut(currency.as_deref(), r#type.as_deref());
    let Some(balance) = found else {
        return wrap(404, "null", reason(404), timestamp);
    };
    if changing.settings.drift {
        drift::drift(state.kind, balance, Change::random(&mut changing.random));
    }
    let content = balance.fields.to_json();
    wrap(200, &content, "Balance returned", timestamp)
}

/// The envelope of an error is not documented: this is the envelope of a success, without content.
pub(super) fn answer_error(state: &State, status: u16) -> Response {
    wrap(status, "null", reason(status), &state.lock().settings.timestamp)
}

fn wrap(code: u16, content: &str, message: &str, timestamp: &Timestamp) -> Response {
    let timestamp = timestamp.raw().map(|raw| format!(",\"timestamp\":{raw}")).unwrap_or_default();
    let message = quote(message);
    let body = format!(r#"{{"code":{code},"content":{content},"message":{message}{timestamp}}}"#);
    Response::json(code, body)
}

#[cfg(test)]
mod tests {
    use super::{super::kind::Kind, *};

    fn ask(state: &State, query: &str) -> Response {
        let head = Head {
            method: "GET".to_owned(),
            target: format!("/api/balance?{query}"),
            path: "/api/balance".to_owned(),
            query: query.to_owned(),
            headers: Vec::new(),
            keep_alive: true,
            content_length: 0,
        };
        answer_balance(state, &head)
    }

    #[test]
    fn a_balance_has_the_documented_form() {
        let state = State::new(Kind::Pluggo);
        let fixed = "\"2025-02-19T17:15:26.703Z\"".to_owned();
        state.lock().settings.timestamp = Timestamp::Fixed(fixed);

        let response = ask(&state, "");

        let body = r#"{"code":200,"content":{"currency":"BRL","balance":1250.75,"blocked":120.0,"reserve":80.0,"processing":45.5},"message":"Balance returned","timestamp":"2025-02-19T17:15:26.703Z"}"#;
        assert_eq!(String::from_utf8(response.body).unwrap(), body);
    }

    #[test]
    fn a_missing_timestamp_is_left_out() {
        let state = State::new(Kind::Pluggo);
        state.lock().settings.timestamp = Timestamp::Missing;

        let response = ask(&state, "currency=EUR");

        let body = r#"{"code":404,"content":null,"message":"Not Found"}"#;
        assert_eq!(response.status, 404);
        assert_eq!(String::from_utf8(response.body).unwrap(), body);
    }

    #[test]
    fn a_filter_chooses_the_balance() {
        let state = State::new(Kind::Pluggo);

        let response = ask(&state, "currency=BTC&type=CRYPTO");

        let text = String::from_utf8(response.body).unwrap();
        assert!(text.contains(r#""currency":"BTC","balance":0.12345678,"#));
    }
}
