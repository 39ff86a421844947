//! The OpenAPI document against the gateway: every example is a real answer, and every part of a real answer is
//! described.

mod described;
mod problems;

use std::collections::BTreeSet;

use balance_gateway::sandbox::{Fault, Kind};
use serde_json::Value;

use crate::harness::{Harness, KEY, Reply};
use crate::process::run;
use described::{assert_fields, described_headers, masked, masked_table};
use problems::{problems, status};

const BRAZIL: &str = "/v1/accounts/ntxpay-br-demo/balance";
const OF_AN_ACCOUNT: &str = "/v1/accounts/{account}/balance";
/// The pattern of a path that the document does not have.
const NO_OPERATION: &str = "";

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

async fn document(gateway: &Harness) -> Value {
    gateway.send("GET", "/openapi.json", None, &[]).await.json()
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
