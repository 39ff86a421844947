//! The OpenAPI document against the gateway: every example is a real answer, and every part of a real answer is
//! described.

use std::collections::BTreeSet;

use balance_gateway::sandbox::{Fault, FaultKind, Kind};
use serde_json::Value;

use crate::harness::{Harness, KEY, Reply, SWITCHED_OFF, Setup};
use crate::process::run;

const BRAZIL: &str = "/v1/accounts/ntxpay-br-demo/balance";
const OF_AN_ACCOUNT: &str = "/v1/accounts/{account}/balance";
/// The pattern of a path that the document does not have.
const NO_OPERATION: &str = "";
/// Headers of HTTP itself.
const NOT_OURS: [&str; 3] = ["content-type", "content-length", "date"];
/// A further account of a provider.
const SECOND: &str = "[accounts.second]\nprovider = \"ntxpay-br\"\ntoken = { env = \"NTXPAY_BR_TOKEN\" }\n";
const SLOW: &str = "slow-caller-with-a-single-unit";

/// A request that is answered with a problem, and the faults that cause it.
struct Case {
    code: &'static str,
    setup: Setup,
    faults: Vec<FaultKind>,
    request: Request,
    /// Requests that are sent and answered first.
    first: Option<Request>,
    /// Requests that are sent first and not yet answered.
    meanwhile: Option<Request>,
}

#[derive(Clone, Copy)]
struct Request {
    method: &'static str,
    /// The path as in the document.
    pattern: &'static str,
    path: &'static str,
    key: Option<&'static str>,
    headers: &'static [(&'static str, &'static str)],
    body: &'static str,
}

impl Request {
    fn get(pattern: &'static str, path: &'static str) -> Self {
        Self { method: "GET", pattern, path, key: Some(KEY), headers: &[], body: "" }
    }

    fn balance(path: &'static str) -> Self {
        Self::get(OF_AN_ACCOUNT, path)
    }

    async fn send(self, gateway: &Harness) -> Reply {
        let mut request = gateway.request(self.method, self.path, self.key).body(self.body);
        for (name, value) in self.headers {
            request = request.header(*name, *value);
        }
        Reply::read(request.send().await.unwrap()).await
    }
}

impl Case {
    fn new(code: &'static str, request: Request) -> Self {
        Self { code, setup: Setup::default(), faults: Vec::new(), request, first: None, meanwhile: None }
    }

    fn after(code: &'static str, faults: Vec<FaultKind>) -> Self {
        let setup = Setup {
            provider: "retries = 0\nconnect_timeout = \"200ms\"\nattempt_timeout = \"300ms\"\n".into(),
            has_static_tokens: true,
            ..Setup::default()
        };
        Self { setup, faults, ..Self::new(code, Request::balance(BRAZIL)) }
    }

    fn with_provider(self, provider: &str, further: &str) -> Self {
        let setup = Setup { provider: provider.into(), further: further.into(), ..self.setup };
        Self { setup, ..self }
    }

    async fn answer(&self) -> Reply {
        let gateway = Harness::start(self.setup.clone()).await;
        for fault in &self.faults {
            gateway.provider(Kind::NtxpayBr).queue(Fault::on_balance(fault.clone()));
        }
        if let Some(first) = self.first {
            first.send(&gateway).await;
        }
        let Some(meanwhile) = self.meanwhile else { return self.request.send(&gateway).await };
        let (_, reply) = tokio::join!(meanwhile.send(&gateway), async {
            gateway.provider(Kind::NtxpayBr).wait_for_calls(1).await;
            self.request.send(&gateway).await
        });
        reply
    }
}

fn status(status: u16) -> FaultKind {
    FaultKind::Status { status, retry_after: None, body: None }
}

/// One request for each code that a request can cause: all but `internal`.
fn problems() -> Vec<Case> {
    let of_slow = Request { key: Some(SLOW), ..Request::balance(BRAZIL) };
    let slow_caller = format!(
        "[callers.slow]\nkeys_sha256 = [\"{}\"]\naccounts = [\"*\"]\n\
         limit = {{ requests = 60, per = \"1m\", burst = 1 }}\n",
        crate::harness::digest(SLOW)
    );
    let with = |further: &str| Setup { further: further.into(), ..Setup::default() };
    let headers = |headers| Request { headers, ..Request::balance(BRAZIL) };
    vec![
        Case::new("invalid_request", Request::balance("/v1/accounts/ntxpay-br-demo/balance?amount=1")),
        Case::new("unsupported_currency", Request::balance("/v1/accounts/pluggo-demo/balance?currency=JPY")),
        Case::new("unsupported_type", Request::balance("/v1/accounts/pluggo-demo/balance?type=SAVINGS")),
        Case::new("unauthenticated", Request { key: None, ..Request::balance(BRAZIL) }),
        Case::new("account_not_found", Request::balance("/v1/accounts/unknown/balance")),
        Case::new("not_found", Request::get(NO_OPERATION, "/v1/unknown")),
        Case::new("method_not_allowed", Request { method: "PUT", ..Request::balance(BRAZIL) }),
        Case {
            request: Request {
                headers: &[("accept", "application/pdf")],
                ..Request::get("/v1/reconciliation", "/v1/reconciliation")
            },
            ..Case::new("not_acceptable", Request::balance(BRAZIL))
        },
        Case::new("content_too_large", Request { body: LARGE, ..Request::balance(BRAZIL) }),
        Case { setup: with(&slow_caller), first: Some(of_slow), ..Case::new("rate_limited", of_slow) },
        Case::after("provider_unreachable", vec![FaultKind::Reset]),
        Case::after("provider_error", vec![status(500)]),
        Case::after("provider_invalid_response", vec![FaultKind::Body { text: "{}".into() }]),
        Case::after("provider_refused_credentials", vec![status(401)]),
        Case::after("provider_busy", vec![status(429)]),
        Case {
            first: Some(Request::balance(BRAZIL)),
            request: Request::balance("/v1/accounts/second/balance"),
            ..Case::after("provider_suspended", vec![status(500)])
                .with_provider("retries = 0\nbreaker = { failures = 1, cooldown = \"10s\" }\n", SECOND)
        },
        Case::new("budget_exhausted", Request::balance(BRAZIL))
            .with_provider("budget = { requests = 1, per = \"1m\" }\n", ""),
        Case {
            setup: with(SWITCHED_OFF),
            ..Case::new("disabled", Request::balance("/v1/accounts/off-itself/balance"))
        },
        Case {
            setup: Setup { secrets: vec![("PAYPAL", "s3cret".to_owned())], ..with(LAGGING) },
            ..Case::new(
                "provider_lags",
                Request::get(
                    "/v1/accounts/{account}/sufficiency",
                    "/v1/accounts/paypal-br/sufficiency?amount=1",
                ),
            )
        },
        Case {
            setup: Setup { server: "max_in_flight = 1\n".into(), ..Setup::default() },
            meanwhile: Some(Request::balance(BRAZIL)),
            faults: vec![FaultKind::Delay { ms: 300 }],
            ..Case::new("overloaded", Request::balance(BRAZIL))
        },
        Case::after("provider_timeout", vec![FaultKind::StallHead]),
        Case::new("deadline_exceeded", headers(&[("prefer", "wait=0")])),
        Case::new("not_cached", headers(&[("cache-control", "only-if-cached")])),
    ]
}

/// An account whose provider says that its figures lag.
const LAGGING: &str = concat!(
    include_str!("../../config/kinds/paypal.toml"),
    r#"
[providers.paypal]
kind = "paypal"
base_url = "http://127.0.0.1:1"
budget = { requests = 30, per = "1m" }
[accounts.paypal-br]
provider = "paypal"
secrets = { client_id = { env = "PAYPAL" }, client_secret = { env = "PAYPAL" } }
balances = [{ currency = "BRL" }]
"#
);

/// Longer than the limit of a request body.
const LARGE: &str = match std::str::from_utf8(&[b'x'; 4097]) {
    Ok(text) => text,
    Err(_) => unreachable!(),
};

async fn document(gateway: &Harness) -> Value {
    gateway.send("GET", "/openapi.json", None, &[]).await.json()
}

/// Masks values that differ between two answers: times, ids, waits.
fn masked(value: &Value) -> Value {
    const CHANGING: [&str; 6] =
        ["observed_at", "fetched_at", "not_before", "report_date", "request_id", "retry_after"];
    match value {
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| {
                let is_changing = CHANGING.contains(&name.as_str()) && !value.is_null();
                (name.clone(), if is_changing { Value::from("…") } else { masked(value) })
            })
            .collect(),
        Value::Array(items) => items.iter().map(masked).collect(),
        other => other.clone(),
    }
}

/// Masks the times of a CSV table.
fn masked_table(table: &str) -> String {
    let is_moment = |field: &&str| field.starts_with("20") && field.ends_with('Z');
    let mask = |field| if is_moment(&field) { "…" } else { field };
    table.split(',').map(mask).collect::<Vec<_>>().join(",")
}

/// Asserts that the document describes every part of an answer; returns the names of its headers.
#[track_caller]
fn described_headers(document: &Value, request: &Request, reply: &Reply) -> BTreeSet<String> {
    if request.pattern == NO_OPERATION {
        return BTreeSet::new();
    }
    // An unsupported method is described with any operation of the path.
    let method = if request.method == "POST" { "post" } else { "get" };
    let answer = &document["paths"][request.pattern][method]["responses"][reply.status.to_string()];
    assert!(answer.is_object(), "{} {} has no {}", request.method, request.pattern, reply.status);
    let described: BTreeSet<_> =
        answer["headers"].as_object().unwrap().keys().map(|name| name.to_ascii_lowercase()).collect();
    let sent: BTreeSet<_> = reply.headers.keys().map(|name| name.as_str().to_owned()).collect();
    let ours: BTreeSet<_> = sent.into_iter().filter(|name| !NOT_OURS.contains(&&**name)).collect();
    let silent: Vec<_> = ours.difference(&described).collect();
    assert!(silent.is_empty(), "{silent:?} of {} {}: {reply:?}", request.pattern, reply.status);
    ours
}

#[tokio::test]
async fn every_code_is_documented_as_it_is_answered() {
    let gateway = Harness::usual().await;
    let document = document(&gateway).await;
    let shown = document["components"]["examples"].as_object().unwrap();
    let mut answered = BTreeSet::from(["internal"]);

    for case in problems() {
        let reply = case.answer().await;

        assert_eq!(reply.json()["code"], case.code, "{reply:?}");
        assert_eq!(masked(&reply.json()), masked(&shown[case.code]["value"]), "{}: {reply:?}", case.code);
        described_headers(&document, &case.request, &reply);
        answered.insert(case.code);
    }

    let codes = &document["components"]["schemas"]["Problem"]["properties"]["code"]["enum"];
    let codes: BTreeSet<_> = codes.as_array().unwrap().iter().map(|code| code.as_str().unwrap()).collect();
    assert_eq!(answered, codes);
    assert_eq!(shown.keys().map(String::as_str).collect::<BTreeSet<_>>(), codes);
}

/// The requests whose answers are the examples, and further ones for the remaining headers.
fn successes() -> Vec<Request> {
    vec![
        Request::balance(BRAZIL),
        Request { headers: &[("if-none-match", "*"), ("prefer", "wait=2")], ..Request::balance(BRAZIL) },
        Request::get("/v1/balances", "/v1/balances"),
        Request::get(
            "/v1/accounts/{account}/sufficiency",
            "/v1/accounts/pluggo-demo/sufficiency?amount=150.00",
        ),
        Request::get("/v1/reconciliation", "/v1/reconciliation"),
        Request {
            headers: &[("accept", "text/csv")],
            ..Request::get("/v1/reconciliation", "/v1/reconciliation")
        },
        // HEAD, because a stream does not end; the headers are the same.
        Request { method: "HEAD", ..Request::get("/v1/events", "/v1/events") },
        Request::get("/v1/accounts", "/v1/accounts"),
        Request {
            method: "POST",
            ..Request::get("/v1/accounts/{account}/invalidate", "/v1/accounts/ntxpay-br-demo/invalidate")
        },
    ]
}

#[tokio::test]
async fn every_example_is_a_real_answer_and_every_header_is_described() {
    let gateway = Harness::usual().await;
    let document = document(&gateway).await;
    gateway.provider(Kind::NtxpayMx).queue(Fault { times: 1000, ..Fault::on_balance(status(500)) });
    let mut seen = BTreeSet::new();

    for request in successes() {
        let reply = request.send(&gateway).await;

        seen.extend(described_headers(&document, &request, &reply));
        let method = request.method.to_ascii_lowercase();
        let answer = &document["paths"][request.pattern][&method]["responses"][reply.status.to_string()];
        if reply.header("content-type").starts_with("text/csv") {
            let example = answer["content"]["text/csv"]["example"].as_str().unwrap();
            assert_eq!(masked_table(&reply.body), masked_table(example));
        } else if let Some(example) = answer.pointer("/content/application~1json/example") {
            assert_eq!(masked(&reply.json()), masked(example), "{}: {reply:?}", request.pattern);
            let schema = &answer["content"]["application/json"]["schema"];
            assert_fields(&document, schema, &reply.json(), request.pattern);
        }
    }

    for case in problems() {
        seen.extend(described_headers(&document, &case.request, &case.answer().await));
    }
    let described = document["components"]["headers"].as_object().unwrap();
    assert_eq!(described.keys().map(|name| name.to_ascii_lowercase()).collect::<BTreeSet<_>>(), seen);
}

#[tokio::test]
async fn every_operation_is_compared_with_a_real_answer() {
    let document = document(&Harness::usual().await).await;

    let documented: BTreeSet<_> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, methods)| {
            methods.as_object().unwrap().keys().map(move |method| (path.as_str(), method))
        })
        .map(|(path, method)| format!("{method} {path}"))
        .collect();

    let compared: BTreeSet<_> = successes()
        .iter()
        .map(|request| (request.method.replace("HEAD", "GET"), request.pattern))
        .map(|(method, pattern)| format!("{} {pattern}", method.to_ascii_lowercase()))
        .collect();
    assert_eq!(documented, compared);
}

/// Asserts that an object, and every object inside it, has all required fields of its schema and no others.
#[track_caller]
fn assert_fields(document: &Value, schema: &Value, value: &Value, place: &str) {
    match value {
        Value::Object(fields) => {
            let described = properties(document, schema);
            if described.is_empty() {
                assert!(schema["additionalProperties"].is_object(), "{place} is not described");
                return;
            }
            let names: BTreeSet<_> = described.iter().map(|(name, ..)| name.as_str()).collect();
            let missing: Vec<_> = described
                .iter()
                .filter(|(name, is_required, _)| *is_required && !fields.contains_key(name))
                .collect();
            assert!(missing.is_empty(), "{place} lacks {missing:?}");
            for (name, value) in fields {
                assert!(names.contains(name.as_str()), "{place}.{name} is not described");
                let (.., schema) = described.iter().find(|(described, ..)| described == name).unwrap();
                assert_fields(document, schema, value, &format!("{place}.{name}"));
            }
        }
        Value::Array(items) => {
            for item in items {
                assert_fields(document, &resolved(document, schema)["items"], item, place);
            }
        }
        _ => {}
    }
}

/// Name, whether it is required, and schema of each field.
fn properties(document: &Value, schema: &Value) -> Vec<(String, bool, Value)> {
    let schema = resolved(document, schema);
    let mut found: Vec<_> = schema["allOf"]
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(|part| properties(document, part))
        .collect();
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        found.push((name.clone(), required.contains(&Value::from(name.as_str())), property.clone()));
    }
    found
}

fn resolved<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str() {
        Some(reference) => document.pointer(reference.trim_start_matches('#')).unwrap(),
        None => schema,
    }
}

#[tokio::test]
async fn the_command_prints_what_the_gateway_serves() {
    let gateway = Harness::usual().await;

    let served = gateway.send("GET", "/openapi.json", None, &[]).await;
    let (code, printed, complaints) = run(&["openapi"]);

    assert_eq!((code, complaints.as_str()), (Some(0), ""));
    assert_eq!(printed, served.body);
    assert!(served.json()["openapi"].as_str().unwrap().starts_with("3.1."));
    assert_eq!(served.header("content-type"), "application/json");
}
