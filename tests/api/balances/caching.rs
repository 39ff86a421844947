//! Hits, stale answers, misses, and the directives that choose between them.

use super::*;

#[tokio::test]
async fn cache_status_says_how_a_balance_was_found() {
    let gateway = Harness::usual().await;

    let miss = gateway.balance(Kind::NtxpayBr).await;
    let hit = gateway.balance(Kind::NtxpayBr).await;
    let refresh = gateway.new_balance(Kind::NtxpayBr).await;

    assert_eq!(miss.header("cache-status"), "balance-gateway; fwd=uri-miss; fwd-status=200; stored");
    assert_eq!(hit.header("cache-status"), "balance-gateway; hit; ttl=9");
    assert_eq!(refresh.header("cache-status"), "balance-gateway; fwd=request; fwd-status=200; stored");
    assert_eq!(hit.body, miss.body);
    for reply in [miss, hit, refresh] {
        assert_eq!(reply.header("age"), "1");
        assert_eq!(reply.header("cache-control"), "private, max-age=10, must-revalidate");
        sfv::Parser::new(reply.header("cache-status")).parse::<sfv::List>().unwrap();
    }
    for (outcome, expected) in [("miss", 1), ("hit", 1), ("refresh", 1), ("stale", 0), ("error", 0)] {
        let series = format!("cache_lookups_total{{provider=\"ntxpay-br\",outcome=\"{outcome}\"}}");
        assert_eq!(gateway.count(&series).await, expected, "{outcome}");
    }
}

#[tokio::test]
async fn cache_status_says_collapsed_to_a_waiter() {
    let gateway = Harness::usual().await;
    gateway.provider(Kind::NtxpayBr).queue(Fault::on_balance(FaultKind::Delay { ms: 300 }));

    let (one, other) = tokio::join!(gateway.balance(Kind::NtxpayBr), gateway.balance(Kind::NtxpayBr));

    let mut statuses = [one.header("cache-status"), other.header("cache-status")];
    statuses.sort_unstable();
    let miss = "balance-gateway; fwd=uri-miss; fwd-status=200; stored";
    assert_eq!(statuses, [miss, &format!("{miss}; collapsed")]);
    assert_eq!(one.body, other.body);
}

#[tokio::test]
async fn a_stale_balance_is_served_at_once_and_refreshed_in_the_background() {
    let gateway =
        Harness::start(Setup { freshness: "fresh_for = \"1s\"\n".to_owned(), ..Setup::default() }).await;
    let first = gateway.balance(Kind::NtxpayBr).await;
    let is_stale =
        |reply: &Reply| reply.header("cache-status") == "balance-gateway; hit; ttl=-1; detail=stale";

    let stale = gateway.until(BRAZIL, "a stale balance", is_stale).await;
    let renewed = gateway.until(BRAZIL, "a refreshed balance", |reply| reply.body != first.body).await;

    assert_eq!((stale.body.as_str(), stale.header("age")), (first.body.as_str(), "2"));
    assert_eq!(stale.header("cache-control"), "private, max-age=0, must-revalidate");
    assert!(renewed.header("cache-status").starts_with("balance-gateway; hit; ttl="), "{renewed:?}");
    assert_eq!(gateway.calls(Kind::NtxpayBr, Operation::Balance).len(), 2);
}

#[tokio::test]
async fn an_expired_balance_is_read_again() {
    let freshness = "fresh_for = \"1s\"\nmax_age = \"1s\"\n".to_owned();
    let gateway = Harness::start(Setup { freshness, ..Setup::default() }).await;
    let first = gateway.balance(Kind::NtxpayBr).await;

    let next = gateway.until(BRAZIL, "a balance over the ceiling", |reply| reply.body != first.body).await;

    assert_eq!(next.header("cache-status"), "balance-gateway; fwd=stale; fwd-status=200; stored");
    assert_eq!(next.header("age"), "1");
}

#[tokio::test]
async fn only_if_cached_never_calls_the_provider() {
    let gateway = Harness::usual().await;

    let cold = gateway.get_with(BRAZIL, &[("cache-control", "only-if-cached")]).await;
    let calls = gateway.provider(Kind::NtxpayBr).calls().len();
    gateway.balance(Kind::NtxpayBr).await;
    let warm = gateway.get_with(BRAZIL, &[("cache-control", "only-if-cached")]).await;

    cold.assert_problem(504, "not_cached");
    assert_eq!((calls, warm.status), (0, 200));
    let series = "cache_lookups_total{provider=\"ntxpay-br\",outcome=\"not_cached\"}";
    assert_eq!(gateway.count(series).await, 1);
}

#[tokio::test]
async fn every_answer_confirms_prefer_wait() {
    let gateway = Harness::usual().await;
    for (method, path, key) in [
        ("GET", BRAZIL, Some(KEY)),
        ("GET", "/v1/balances", Some(KEY)),
        ("GET", "/v1/accounts", Some(KEY)),
        ("GET", "/v1/balances?x=1", Some(KEY)),
        ("GET", "/v1/accounts/nobody/balance", Some(KEY)),
        ("DELETE", BRAZIL, Some(KEY)),
        ("GET", BRAZIL, None),
    ] {
        let reply = gateway.send(method, path, key, &[("prefer", "respond-async, wait=5")]).await;

        assert_eq!(reply.header("preference-applied"), "wait=5", "{method} {path}");
    }
    assert_eq!(gateway.get(BRAZIL).await.header("preference-applied"), "");
    assert_eq!(gateway.get_with(BRAZIL, &[("prefer", "wait=soon")]).await.header("preference-applied"), "");
}

#[tokio::test]
async fn prefer_wait_0_answers_from_the_cache_and_the_read_continues() {
    let gateway = Harness::usual().await;
    gateway.provider(Kind::NtxpayBr).queue(Fault::on_balance(FaultKind::Delay { ms: 200 }));

    let impatient = gateway.get_with(BRAZIL, &[("prefer", "wait=0")]).await;
    let later = gateway.until(BRAZIL, "the read's balance", |reply| reply.status == 200).await;

    impatient.assert_problem(504, "deadline_exceeded");
    assert_eq!(impatient.header("preference-applied"), "wait=0");
    assert_eq!(later.status, 200);
    assert_eq!(gateway.calls(Kind::NtxpayBr, Operation::Balance).len(), 1);
}
