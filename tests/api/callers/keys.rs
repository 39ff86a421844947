//! Keys: which are accepted, and what many failures cost.

use super::*;

#[tokio::test]
async fn every_request_without_a_known_key_is_401() {
    let gateway = Harness::usual().await;
    for (method, path) in [
        ("GET", BRAZIL),
        ("GET", "/v1/accounts"),
        ("GET", "/v1/balances"),
        ("HEAD", "/v1/accounts"),
        ("DELETE", BRAZIL),
        ("POST", "/v1/accounts/ntxpay-br-demo/invalidate"),
        ("GET", "/v1/nothing"),
        ("GET", "/v1"),
        ("GET", "/v1/accounts/nobody/balance?x=1"),
    ] {
        let reply = gateway.send(method, path, None, &[]).await;

        if method == "HEAD" {
            assert_eq!(reply.status, 401);
        } else {
            reply.assert_problem(401, "unauthenticated");
        }
        assert_eq!(reply.header("www-authenticate"), "Bearer", "{method} {path}");
        assert_eq!(reply.header("ratelimit"), "", "{method} {path}");
    }
    assert_eq!(gateway.count("auth_failures_total{reason=\"missing\"}").await, 9);
    assert!(gateway.provider(Kind::NtxpayBr).calls().is_empty());
}

#[tokio::test]
async fn only_a_single_known_bearer_key_is_accepted() {
    let gateway = Harness::usual().await;
    let right = format!("Bearer {KEY}");
    let longer = format!("Bearer {KEY}x");
    let basic = format!("Basic {KEY}");
    let lower = format!("bearer {KEY}");
    for (lines, reason) in [
        (vec!["Bearer"], Some("missing")),
        (vec!["Bearer "], Some("missing")),
        (vec![basic.as_str()], Some("missing")),
        (vec![right.as_str(), right.as_str()], Some("missing")),
        (vec!["Bearer bgk_wrong"], Some("unknown")),
        (vec![longer.as_str()], Some("unknown")),
        (vec![lower.as_str()], None),
    ] {
        let before = match reason {
            Some(reason) => gateway.count(&format!("auth_failures_total{{reason=\"{reason}\"}}")).await,
            None => 0,
        };
        let headers: Vec<_> = lines.iter().map(|line| ("authorization", *line)).collect();

        let reply = gateway.send("GET", "/v1/accounts", None, &headers).await;

        match reason {
            None => assert_eq!(reply.status, 200),
            Some(reason) => {
                reply.assert_problem(401, "unauthenticated");
                let after = gateway.count(&format!("auth_failures_total{{reason=\"{reason}\"}}")).await;
                assert_eq!(after, before + 1, "{lines:?}");
            }
        }
    }
}

#[tokio::test]
async fn after_20_failures_a_peer_gets_429_and_its_valid_key_still_works() {
    let gateway = Harness::usual().await;
    for _ in 0..20 {
        gateway
            .send("GET", "/v1/accounts", Some("bgk_wrong"), &[])
            .await
            .assert_problem(401, "unauthenticated");
    }

    let refused = gateway.send("GET", "/v1/accounts", Some("bgk_wrong"), &[]).await;
    let missing = gateway.send("GET", "/v1/nothing", None, &[]).await;
    let served = gateway.get("/v1/accounts").await;

    for reply in [refused, missing] {
        reply.assert_problem(429, "rate_limited");
        let wait: u64 = reply.header("retry-after").parse().unwrap();
        assert!((1..=10).contains(&wait), "{reply:?}");
    }
    assert_eq!(served.status, 200);
    assert_eq!(gateway.count("auth_failures_total{reason=\"unknown\"}").await, 20);
    assert_eq!(gateway.count("auth_failures_total{reason=\"throttled\"}").await, 2);
}
