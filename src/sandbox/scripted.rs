//! Answers a request by the script of a declared kind.

use std::time::Duration;

use super::{
    calls::Operation,
    clock,
    http::{Request, Response},
    refusal::{answer_error, answer_wrong_method},
    script::{LIFE, ScriptedRoute, TOKEN, UNTIL},
    state::State,
};

/// How long a token lives, unless the settings say otherwise.
const USUAL_LIFE: u64 = 1800;

impl ScriptedRoute {
    /// Whether headers and body are as expected. Both may contain a secret.
    fn is_authorised(&self, request: &Request, is_live: &impl Fn(&str) -> bool) -> bool {
        let has_body = String::from_utf8_lossy(&request.body) == self.body;
        has_body
            && self.headers.iter().all(|(name, expected)| {
                request.head.header(name).is_some_and(|given| is_given(expected, given, is_live))
            })
    }
}

/// Whether a text is the expected one, with a valid token in place of [`TOKEN`].
fn is_given(expected: &str, given: &str, is_live: &impl Fn(&str) -> bool) -> bool {
    let Some((before, after)) = expected.split_once(TOKEN) else { return expected == given };
    let token = given.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
    token.is_some_and(is_live)
}

/// The answer of a scripted provider: 404 for an unknown path, 405 for another method, 400 for another query, 401 for
/// other headers or another body.
pub(super) fn answer(state: &State, request: &Request) -> Response {
    let mut changing = state.lock();
    let now = clock::now();
    let on_path: Vec<&ScriptedRoute> =
        changing.script.routes.iter().filter(|route| route.path() == request.head.path).collect();
    let Some(first) = on_path.first() else { return answer_error(404) };
    if first.method != request.head.method {
        return answer_wrong_method(&first.method);
    }
    let asked: Vec<&ScriptedRoute> =
        on_path.into_iter().filter(|route| route.target == request.head.target).collect();
    if asked.is_empty() {
        return answer_error(400);
    }
    let is_live = |token: &str| changing.tokens.is_live(token, now);
    let Some(route) = asked.into_iter().find(|route| route.is_authorised(request, &is_live)).cloned() else {
        return answer_error(401);
    };
    let mut text = route.answer;
    if route.operation == Operation::Token {
        let seconds = changing.settings.token_life_seconds.unwrap_or(USUAL_LIFE);
        let life = Duration::from_secs(seconds);
        let token = changing.tokens.issue(life, now);
        text = text.replace(TOKEN, &token).replace(LIFE, &seconds.to_string());
        text = text.replace(UNTIL, &clock::timestamp_after(life));
    }
    Response::json(200, text)
}

#[cfg(test)]
mod tests {
    use super::super::{http::Head, kind::Kind, script::Script};
    use super::*;

    fn state() -> State {
        let route =
            |operation, method: &str, target: &str, header: (&str, &str), answer: &str| ScriptedRoute {
                operation,
                method: method.to_owned(),
                target: target.to_owned(),
                headers: vec![(header.0.to_owned(), header.1.to_owned())],
                body: String::new(),
                answer: answer.to_owned(),
            };
        let state = State::new(Kind::Declared);
        state.lock().script = Script {
            name: "example".to_owned(),
            routes: vec![
                route(
                    Operation::Token,
                    "POST",
                    "/token",
                    ("x-key", "k"),
                    r#"{"t":"sandbox-token","s":"sandbox-life"}"#,
                ),
                route(
                    Operation::Balance,
                    "GET",
                    "/b?c=BRL",
                    ("authorization", "Bearer sandbox-token"),
                    r#"{"balance":1}"#,
                ),
            ],
        };
        state
    }

    fn ask(state: &State, method: &str, target: &str, header: (&str, &str)) -> Response {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let head = Head {
            method: method.to_owned(),
            target: target.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers: vec![(header.0.to_owned(), header.1.to_owned())],
            keep_alive: true,
            content_length: 0,
        };
        answer(state, &Request { head, body: Vec::new() })
    }

    #[test]
    fn an_issued_token_authorises_a_balance_call() {
        let state = state();

        let issued = ask(&state, "POST", "/token", ("x-key", "k"));
        let issued: serde_json::Value = serde_json::from_slice(&issued.body).unwrap();
        let bearer = format!("Bearer {}", issued["t"].as_str().unwrap());
        let balance = ask(&state, "GET", "/b?c=BRL", ("authorization", &bearer));

        assert_eq!(issued["s"], 1800);
        assert_eq!((balance.status, balance.body.as_slice()), (200, br#"{"balance":1}"#.as_slice()));
    }

    #[test]
    fn an_unknown_request_is_refused() {
        let state = state();

        for (method, target, header, status) in [
            ("GET", "/other", ("x", "y"), 404),
            ("POST", "/b?c=BRL", ("x", "y"), 405),
            ("GET", "/b?c=USD", ("x", "y"), 400),
            ("GET", "/b?c=BRL", ("authorization", "Bearer sandbox-token"), 401),
            ("POST", "/token", ("x-key", "other"), 401),
        ] {
            assert_eq!(ask(&state, method, target, header).status, status, "{method} {target} {header:?}");
        }
    }
}
