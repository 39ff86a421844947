//! `HEAD`, `ETag` and 304.

use super::*;

/// All headers, except those that differ between two answers.
fn lasting(reply: &Reply) -> Vec<(String, String)> {
    let own = ["date", "x-request-id", "ratelimit"];
    let mut headers: Vec<_> = reply
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .filter(|(name, _)| !own.contains(&name.as_str()))
        .collect();
    headers.sort();
    headers
}

#[tokio::test]
async fn head_answers_like_get_without_a_body() {
    let gateway = Harness::usual().await;
    gateway.get("/v1/balances").await;
    for path in [BRAZIL, "/v1/accounts", "/v1/balances", "/v1/accounts/nobody/balance", "/v1/nothing"] {
        let get = gateway.get(path).await;

        let head = gateway.send("HEAD", path, Some(KEY), &[]).await;

        assert_eq!((head.status, head.body.as_str()), (get.status, ""), "{path}");
        // A request id has a fixed length, so Content-Length is equal, too.
        assert_eq!(lasting(&head), lasting(&get), "{path}");
    }
}

#[tokio::test]
async fn a_matching_etag_is_304_with_the_same_headers() {
    let gateway = Harness::usual().await;
    gateway.balance(Kind::NtxpayBr).await;
    let full = gateway.balance(Kind::NtxpayBr).await;
    let etag = full.header("etag").to_owned();
    assert!(etag.starts_with('"') && etag.ends_with('"') && etag.len() > 2, "{etag}");
    for given in [
        etag.clone(),
        format!("W/{etag}"),
        format!("\"x\", {etag}"),
        format!("\"x\",W/{etag}"),
        "*".to_owned(),
    ] {
        let reply = gateway.get_with(BRAZIL, &[("if-none-match", &given)]).await;

        assert_eq!((reply.status, reply.body.as_str()), (304, ""), "{given}");
        let described = ["content-type", "content-length"];
        let mut expected = lasting(&full);
        expected.retain(|(name, _)| !described.contains(&name.as_str()));
        let mut present = lasting(&reply);
        present.retain(|(name, _)| !described.contains(&name.as_str()));
        assert_eq!(present, expected, "{given}");
        assert!(!reply.header("ratelimit").is_empty());
    }
    for given in ["\"x\"", "x", etag.trim_matches('"')] {
        assert_eq!(gateway.get_with(BRAZIL, &[("if-none-match", given)]).await.status, 200, "{given}");
    }
    let problem = gateway.get_with("/v1/accounts/nobody/balance", &[("if-none-match", "*")]).await;
    problem.assert_problem(404, "account_not_found");
}

#[tokio::test]
async fn a_changed_balance_has_another_etag() {
    let gateway = Harness::usual().await;
    let before = gateway.balance(Kind::NtxpayBr).await;
    gateway.provider(Kind::NtxpayBr).set_field("BRL", None, "netBalance", "1.00");

    let after = gateway
        .get_with(BRAZIL, &[("if-none-match", before.header("etag")), ("cache-control", "no-cache")])
        .await;

    assert_eq!(after.status, 200);
    assert_ne!(after.header("etag"), before.header("etag"));
}
