//! Service-account tokens: good ones, every kind of forged one, and an issuer that fails.

mod issuer;

use std::fs;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{self, Harness, KEY, Reply, Setup, eventually, retry_every};
use crate::issuer::{AUDIENCE, Behaviour, Key, NAME, Server, claims, jwks, seconds, sign_hs256, unsigned};
use crate::process::{Folder, Site};
use crate::tls::Authority;

const CHECKOUT: &str = "payments/checkout";

/// A gateway with this `jwks` and one caller with a service account, which may read the Brazilian account.
async fn gateway(jwks: &str) -> Harness {
    let further = format!(
        "[auth.kubernetes]\nissuer = \"{NAME}\"\naudience = \"{AUDIENCE}\"\njwks = {jwks}\n\
         [callers.checkout]\nservice_account = \"{CHECKOUT}\"\naccounts = [\"ntxpay-br-*\"]\n\
         limit = {{ requests = 1000000, per = \"1m\", burst = 1000000 }}\n"
    );
    let secrets = vec![("ISSUER_TOKEN", "t0k3n-0f-th3-g4t3w4y".to_owned())];
    Harness::start(Setup { further, secrets, ..Setup::default() }).await
}

async fn gateway_with_file(keys: &[&Key]) -> (Harness, Folder) {
    let folder = Folder::new();
    let file = folder.write("jwks.json", &jwks(keys));
    (gateway(&format!("{{ file = {file:?} }}")).await, folder)
}

async fn gateway_with_url(server: &Server) -> Harness {
    gateway(&format!("{{ url = \"http://{}/openid/v1/jwks\" }}", server.address)).await
}

async fn ask(gateway: &Harness, token: &str) -> Reply {
    gateway.send("GET", "/v1/accounts", Some(token), &[]).await
}

async fn failures(gateway: &Harness, reason: &str) -> u64 {
    gateway.count(&format!("auth_failures_total{{reason=\"{reason}\"}}")).await
}

fn with(claims: &Value, name: &str, value: Value) -> Value {
    let mut claims = claims.clone();
    claims[name] = value;
    claims
}

fn without(claims: &Value, name: &str) -> Value {
    let mut claims = claims.clone();
    claims.as_object_mut().unwrap().remove(name);
    claims
}

#[tokio::test]
async fn a_service_account_token_authenticates_its_caller() {
    let (rsa, ec) = (Key::rsa("rsa"), Key::ec("ec"));
    let (gateway, _folder) = gateway_with_file(&[&rsa, &ec]).await;
    let good = claims(CHECKOUT);
    let now = seconds();
    for token in [
        rsa.sign(&good),
        ec.sign(&good),
        rsa.sign(&with(&good, "aud", json!(AUDIENCE))),
        rsa.sign(&with(&good, "aud", json!(["others", AUDIENCE]))),
        rsa.sign(&with(&good, "exp", json!(now - 20))),
        rsa.sign(&with(&good, "nbf", json!(now + 25))),
        rsa.sign(&with(&good, "exp", json!(4e9))),
    ] {
        // The second time, the token is already known.
        for _ in 0..2 {
            let reply = ask(&gateway, &token).await;

            assert_eq!(reply.status, 200, "{token} {reply:?}");
            assert_eq!(reply.json()["accounts"].as_array().unwrap().len(), 1);
            assert_eq!(reply.json()["accounts"][0]["account"], "ntxpay-br-demo");
            assert!(!reply.header("ratelimit").is_empty());
        }
    }
    assert_eq!(gateway.get("/v1/accounts").await.status, 200);
}

#[tokio::test]
async fn every_forged_token_is_refused_and_counted() {
    let (rsa, ec, stranger) = (Key::rsa("rsa"), Key::ec("ec"), Key::rsa("rsa"));
    let other_ec = Key::ec("ec");
    let (gateway, _folder) = gateway_with_file(&[&rsa, &ec]).await;
    let (good, now) = (claims(CHECKOUT), seconds());
    let token = rsa.sign(&good);
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let alg = |alg: &str, kid: &str| json!({"alg": alg, "kid": kid});
    let evil = unsigned(&alg("RS256", "rsa"), &with(&good, "sub", json!("system:serviceaccount:a:b")));
    let public = [rsa.pair.public_key_pem().into_bytes(), rsa.pair.public_key_raw().to_vec()];
    let forged = [
        ("signature", stranger.sign(&good)),
        ("signature", other_ec.sign(&good)),
        ("signature", format!("{evil}.{signature}")),
        ("signature", format!("{signed}.")),
        ("signature", format!("{signed}.{}", &signature[..signature.len() - 6])),
        ("issuer", rsa.sign(&with(&good, "iss", json!("https://elsewhere")))),
        ("issuer", rsa.sign(&with(&good, "iss", json!([NAME])))),
        ("issuer", rsa.sign(&without(&good, "iss"))),
        ("audience", rsa.sign(&with(&good, "aud", json!("others")))),
        ("audience", rsa.sign(&with(&good, "aud", json!(["others", 1, {}])))),
        ("audience", rsa.sign(&without(&good, "aud"))),
        ("expired", rsa.sign(&with(&good, "exp", json!(now - 31)))),
        ("expired", rsa.sign(&with(&good, "exp", json!((now + 60).to_string())))),
        ("expired", rsa.sign(&without(&good, "exp"))),
        ("not_yet_valid", rsa.sign(&with(&good, "nbf", json!(now + 60)))),
        ("not_yet_valid", rsa.sign(&without(&good, "nbf"))),
        ("algorithm", format!("{}.", unsigned(&json!({"alg": "none"}), &good))),
        ("algorithm", format!("{}.{signature}", unsigned(&alg("none", "rsa"), &good))),
        ("algorithm", sign_hs256(&public[0], &alg("HS256", "rsa"), &good)),
        ("algorithm", sign_hs256(&public[1], &alg("HS256", "rsa"), &good)),
        ("signature", sign_hs256(&public[0], &alg("RS256", "rsa"), &good)),
        ("algorithm", rsa.sign_with(&alg("RS256", "ec"), &good)),
        ("algorithm", ec.sign_with(&alg("ES256", "rsa"), &good)),
        ("algorithm", rsa.sign_with(&alg("RS512", "rsa"), &good)),
        ("algorithm", rsa.sign_with(&json!({"kid": "rsa"}), &good)),
        ("unknown_key", rsa.sign_with(&alg("RS256", "other"), &good)),
        ("unknown_key", rsa.sign_with(&json!({"alg": "RS256"}), &good)),
        ("unknown_key", stranger.sign_with(&json!({"alg": "RS256", "jwk": stranger.jwk()}), &good)),
        ("unknown_service_account", rsa.sign(&claims("payments/other"))),
        (
            "unknown_service_account",
            rsa.sign(&with(&good, "sub", json!("system:serviceaccount:payments:checkout:x"))),
        ),
        ("unknown_service_account", rsa.sign(&with(&good, "sub", json!("checkout")))),
        ("unknown_service_account", rsa.sign(&without(&good, "sub"))),
        ("malformed", "a.b.c".to_owned()),
        ("malformed", format!("{signed}.{signature}=")),
        ("malformed", rsa.sign_with(&json!({"alg": "RS256", "kid": "rsa", "crit": ["exp"]}), &good)),
        ("unknown", signed.to_owned()),
        ("unknown", format!("{token}.{signature}")),
        ("unknown", "bgk_wrong".to_owned()),
    ];
    for (index, (reason, token)) in forged.iter().enumerate() {
        // Each from another peer, so that none is throttled.
        let peer = Ipv4Addr::new(127, 0, 1, u8::try_from(index).unwrap() + 1);
        let client = harness::client().local_address(Some(peer.into())).build().unwrap();
        let before = failures(&gateway, reason).await;

        let url = format!("http://{}/v1/accounts/ntxpay-br-demo/balance", gateway.api);
        let reply = Reply::read(client.get(url).bearer_auth(token).send().await.unwrap()).await;

        reply.assert_problem(401, "unauthenticated");
        assert_eq!(reply.header("www-authenticate"), "Bearer");
        assert_eq!(failures(&gateway, reason).await, before + 1, "{reason} {token}");
    }
    let page = gateway.operations("/metrics").await.body;
    let counted = page.lines().filter(|line| line.starts_with("balance_gateway_auth_failures_total{"));
    let sum: usize = counted.map(|line| line.rsplit_once(' ').unwrap().1.parse::<usize>().unwrap()).sum();
    assert_eq!(sum, forged.len());
    assert_eq!(ask(&gateway, &token).await.status, 200);
}

#[tokio::test]
async fn an_accepted_token_is_refused_after_it_expires() {
    let key = Key::ec("ec");
    let (gateway, _folder) = gateway_with_file(&[&key]).await;
    let token = key.sign(&with(&claims(CHECKOUT), "exp", json!(seconds() - 27)));
    assert_eq!(ask(&gateway, &token).await.status, 200);

    eventually("the token has expired", || async { ask(&gateway, &token).await.status == 401 }).await;

    assert!(failures(&gateway, "expired").await >= 1);
}

#[tokio::test]
async fn forged_tokens_are_throttled_and_valid_ones_are_not() {
    let key = Key::ec("ec");
    let (gateway, _folder) = gateway_with_file(&[&key]).await;
    let (good, forged) = (key.sign(&claims(CHECKOUT)), Key::ec("ec").sign(&claims(CHECKOUT)));
    for _ in 0..20 {
        ask(&gateway, &forged).await.assert_problem(401, "unauthenticated");
    }

    ask(&gateway, &forged).await.assert_problem(429, "rate_limited");

    assert_eq!(ask(&gateway, &good).await.status, 200);
    assert_eq!((failures(&gateway, "signature").await, failures(&gateway, "throttled").await), (20, 1));
}

#[tokio::test]
async fn without_auth_kubernetes_a_token_is_an_unknown_key() {
    let gateway = Harness::usual().await;

    ask(&gateway, &Key::ec("ec").sign(&claims(CHECKOUT))).await.assert_problem(401, "unauthenticated");

    assert_eq!(failures(&gateway, "unknown").await, 1);
    assert!(!gateway.operations("/metrics").await.body.contains("unknown_key"));
}
