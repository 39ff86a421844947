//! Tokens: given from outside, exchanged, renewed in time, dropped when refused.

mod renewal;

use std::time::{Duration, Instant};

use balance_gateway::sandbox::{Call, Credentials, Fault, FaultKind, Kind, Operation};
use serde_json::{Value, json};

use crate::harness::{Harness, Reply, Setup, eventually};

const NTX: [Kind; 3] = [Kind::NtxpayBr, Kind::Avista, Kind::NtxpayMx];
const KIND: Kind = Kind::NtxpayBr;

fn statuses(calls: &[Call]) -> Vec<(Operation, Option<u16>)> {
    calls.iter().map(|call| (call.operation, call.status)).collect()
}

async fn with_provider(provider: &str) -> Harness {
    Harness::start(Setup { provider: provider.to_owned(), ..Setup::default() }).await
}

#[track_caller]
fn retry_after(reply: &Reply) -> u64 {
    reply.header("retry-after").parse().unwrap_or_else(|_| panic!("no Retry-After: {reply:?}"))
}

#[tokio::test]
async fn a_token_from_outside_is_sent_as_it_is() {
    let gateway = Harness::start(Setup { has_static_tokens: true, ..Setup::default() }).await;
    for kind in NTX {
        let reply = gateway.balance(kind).await;

        let Credentials { token, .. } = gateway.provider(kind).credentials();
        let calls = gateway.provider(kind).calls();
        assert_eq!((reply.status, statuses(&calls)), (200, vec![(Operation::Balance, Some(200))]));
        assert_eq!(calls[0].header("authorization"), Some(format!("Bearer {token}").as_str()));
    }
}

#[tokio::test]
async fn client_credentials_are_exchanged_with_exactly_two_fields() {
    let gateway = Harness::usual().await;
    for kind in NTX {
        let reply = gateway.balance(kind).await;

        let Credentials { client_id, client_secret, .. } = gateway.provider(kind).credentials();
        let calls = gateway.provider(kind).calls();
        assert_eq!(reply.status, 200);
        assert_eq!(statuses(&calls), [(Operation::Token, Some(201)), (Operation::Balance, Some(200))]);
        let body: Value = serde_json::from_str(&calls[0].body).unwrap();
        assert_eq!(body, json!({"clientId": client_id, "clientSecret": client_secret}));
        assert_eq!((calls[0].method.as_str(), calls[0].path_and_query.as_str()), ("POST", "/api/auth/token"));
        assert_eq!(calls[0].header("content-type"), Some("application/json"));
        assert_eq!(calls[0].header("x-ssl-client-cert"), None);
    }
}

#[tokio::test]
async fn calls_to_a_provider_are_as_it_documents() {
    let gateway = Harness::usual().await;
    for kind in Kind::ALL {
        gateway.balance(kind).await;

        for call in gateway.provider(kind).calls() {
            let agent = concat!("balance-gateway/", env!("CARGO_PKG_VERSION"));
            assert_eq!(call.header("user-agent"), Some(agent));
            assert_eq!(call.header("cache-control"), Some("no-cache"));
            for absent in ["accept-encoding", "referer", "cookie", "x-request-id"] {
                assert_eq!(call.header(absent), None, "{kind} {absent}");
            }
        }
    }
    let Credentials { api_key, session_token, .. } = gateway.provider(Kind::Pluggo).credentials();
    let call = &gateway.provider(Kind::Pluggo).calls()[0];
    assert_eq!((call.header("x-api-key"), call.header("x-token")), (Some(&*api_key), Some(&*session_token)));
    assert_eq!(call.header("authorization"), None);
}

#[tokio::test]
async fn a_configured_certificate_is_sent_percent_encoded() {
    let pem = rcgen::generate_simple_self_signed(vec!["client.example".to_owned()]).unwrap().cert.pem();
    let further = r#"
[accounts.certified]
provider = "ntxpay-br"
client_id = { env = "NTXPAY_BR_CLIENT_ID" }
client_secret = { env = "NTXPAY_BR_CLIENT_SECRET" }
certificate = { env = "CERTIFICATE" }
"#;
    let secrets = vec![("CERTIFICATE", pem.clone())];
    let gateway = Harness::start(Setup { further: further.to_owned(), secrets, ..Setup::default() }).await;
    gateway.provider(KIND).require_certificate(true);

    let reply = gateway.get("/v1/accounts/certified/balance").await;

    assert_eq!(reply.status, 200, "{reply:?}");
    let token_call = gateway.calls(KIND, Operation::Token).remove(0);
    let sent = token_call.header("x-ssl-client-cert").unwrap();
    assert!(sent.contains("BEGIN%20CERTIFICATE") && !sent.contains(['+', ' ']), "{sent}");
    let decoded = percent_encoding::percent_decode_str(sent).decode_utf8().unwrap();
    assert_eq!(decoded.trim_end(), pem.trim_end());
    assert_eq!(gateway.calls(KIND, Operation::Balance)[0].header("x-ssl-client-cert"), None);
}

#[tokio::test]
async fn many_reads_wait_for_one_token() {
    let gateway = Harness::usual().await;
    gateway.provider(KIND).queue(Fault::on_token(FaultKind::Delay { ms: 200 }));

    let replies = futures_util::future::join_all((0..50).map(|_| gateway.new_balance(KIND))).await;

    assert!(replies.iter().all(|reply| reply.status == 200));
    assert_eq!(gateway.calls(KIND, Operation::Token).len(), 1);
}

#[tokio::test]
async fn a_token_from_outside_or_a_key_that_is_refused_is_not_tried_again() {
    let gateway = Harness::start(Setup { has_static_tokens: true, ..Setup::default() }).await;
    for kind in Kind::ALL {
        for (status, path) in [(401, "")] {
            gateway.provider(kind).queue(Fault::on_balance(FaultKind::RefuseToken { status }));

            let refused = gateway.get(&format!("/v1/accounts/{kind}-demo/balance{path}")).await;
            let held = gateway.new_balance(kind).await;

            refused.assert_problem(502, "provider_refused_credentials");
            held.assert_problem(502, "provider_refused_credentials");
            assert_eq!((retry_after(&refused), gateway.provider(kind).calls().len()), (30, 1), "{kind}");
        }
    }
}

#[tokio::test]
async fn a_token_endpoint_that_refuses_or_fails_is_a_problem_without_a_balance_call() {
    for (status, code, kind, wait) in [
        (400, "provider_refused_credentials", "refused", 30),
        (401, "provider_refused_credentials", "refused", 30),
        (403, "provider_refused_credentials", "refused", 30),
        (404, "provider_error", "status", 1),
        (500, "provider_error", "status", 1),
    ] {
        let gateway = Harness::usual().await;
        gateway.provider(KIND).queue(Fault::on_token(FaultKind::status(status)));

        let failed = gateway.balance(KIND).await;
        let held = gateway.balance(KIND).await;

        failed.assert_problem(502, code);
        held.assert_problem(502, code);
        assert_eq!(retry_after(&failed), wait, "{status}");
        assert_eq!(statuses(&gateway.provider(KIND).calls()), [(Operation::Token, Some(status))]);
        let series =
            format!("upstream_errors_total{{provider=\"ntxpay-br\",operation=\"token\",kind=\"{kind}\"}}");
        assert_eq!(gateway.count(&series).await, 1, "{status}");
    }
}

#[tokio::test]
async fn an_answer_of_the_token_endpoint_is_read_strictly() {
    for (text, is_taken) in [
        (r#"{"access_token":"TOKEN","expires_in":1800}"#, true),
        (r#"{"access_token":"TOKEN","token_type":"bEARER","expires_in":"1800","more":[]}"#, true),
        (r#"{"access_token":"TOKEN","token_type":"Bearer","expires_in":1800.0}"#, false),
        (r#"{"access_token":"TOKEN","token_type":"Bearer","expires_in":0}"#, false),
        (r#"{"access_token":"TOKEN","token_type":"Bearer","expires_in":-1}"#, false),
        (r#"{"access_token":"TOKEN","token_type":"Bearer"}"#, false),
        (r#"{"access_token":"TOKEN","token_type":"mac","expires_in":1800}"#, false),
        (r#"{"access_token":"TO KEN","token_type":"Bearer","expires_in":1800}"#, false),
        (r#"{"access_token":"","token_type":"Bearer","expires_in":1800}"#, false),
        (r#"{"token_type":"Bearer","expires_in":1800}"#, false),
        ("<html>", false),
        ("", false),
    ] {
        let gateway = Harness::usual().await;
        // The static token is valid at the provider, like an issued one.
        let answer = text.replace("TOKEN", &gateway.provider(KIND).credentials().token);
        gateway.provider(KIND).queue(Fault::on_token(FaultKind::Body { text: answer }));

        let reply = gateway.balance(KIND).await;

        if is_taken {
            assert_eq!(reply.status, 200, "{text}: {reply:?}");
        } else {
            reply.assert_problem(502, "provider_invalid_response");
            assert!(gateway.calls(KIND, Operation::Balance).is_empty(), "{text}");
        }
    }
}
