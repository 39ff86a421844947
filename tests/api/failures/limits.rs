//! Breaker, budget, concurrency and accounts that are off: no call is made.

use super::*;

#[tokio::test]
async fn five_failures_in_a_row_open_the_breaker_for_all_callers() {
    let further = r#"
[accounts.second]
provider = "pluggo"
api_key = { env = "PLUGGO_API_KEY" }
session_token = { env = "PLUGGO_SESSION_TOKEN" }
"#;
    let provider = "breaker = { failures = 5, cooldown = \"2s\" }\n".to_owned();
    let gateway = Harness::start(Setup { further: further.to_owned(), provider, ..Setup::default() }).await;
    gateway.provider(Kind::Pluggo).queue(Fault::on_balance(FaultKind::Reset).times(6));
    for query in ["", "?currency=USD", "?currency=BTC"] {
        gateway.get(&format!("{PLUGGO}{query}")).await.assert_problem(502, "provider_unreachable");
    }
    // Two attempts for each of the first two; the retry of the third was refused.
    assert_eq!(gateway.provider(Kind::Pluggo).calls().len(), 5);

    let suspended = gateway.get("/v1/accounts/second/balance").await;
    let state = gateway.count("breaker_state{provider=\"pluggo\"}").await;
    let other = gateway.balance(KIND).await;
    let calls = gateway.provider(Kind::Pluggo).calls().len();
    gateway.provider(Kind::Pluggo).clear_faults();
    gateway.until("/v1/accounts/second/balance", "a probe", |reply| reply.status == 200).await;

    suspended.assert_problem(503, "provider_suspended");
    assert!((1..=2).contains(&retry_after(&suspended)));
    assert_eq!((state, other.status, calls), (2, 200, 5));
    assert_eq!(gateway.count("breaker_state{provider=\"pluggo\"}").await, 0);
    assert!(gateway.count("reads_refused_total{provider=\"pluggo\",reason=\"breaker\"}").await >= 1);
    let calls = gateway.provider(Kind::Pluggo).calls();
    assert!(calls[5].instant.duration_since(calls[4].instant) >= Duration::from_secs(2));
}

#[tokio::test]
async fn a_failed_probe_opens_the_breaker_again() {
    let gateway = with_static_tokens("retries = 0\nbreaker = { failures = 1, cooldown = \"1s\" }\n").await;
    gateway.provider(Kind::Pluggo).queue(Fault::on_balance(FaultKind::Reset).times(2));
    gateway.get(PLUGGO).await.assert_problem(502, "provider_unreachable");

    let probe = format!("{PLUGGO}?currency=USD");
    let failed = gateway.until(&probe, "a probe", |reply| reply.status == 502).await;
    let suspended = gateway.get(&format!("{PLUGGO}?currency=BTC")).await;

    failed.assert_problem(502, "provider_unreachable");
    suspended.assert_problem(503, "provider_suspended");
    assert_eq!(gateway.provider(Kind::Pluggo).calls().len(), 2);
}

#[tokio::test]
async fn a_spent_budget_is_a_problem_without_a_call() {
    let gateway = with_static_tokens("budget = { requests = 2, per = \"1m\" }\n").await;
    let usd = format!("{PLUGGO}?currency=USD");

    let first = gateway.get(PLUGGO).await;
    // Of two calls, 80 % (a read without a demand) and 90 % (a read that a header demands), rounded down, are one call.
    let plain = gateway.get(&usd).await;
    let by_header = gateway.get_with(&usd, &[("cache-control", "no-cache")]).await;
    let certain = format!("{usd}&not_before=9999-12-31T23:59:59Z");
    let demanded = gateway.get(&certain).await;
    let spent = gateway.get(&certain).await;
    let stored = gateway.get(&usd).await;

    assert_eq!((first.status, demanded.status, stored.status), (200, 200, 200));
    for refused in [plain, by_header, spent] {
        refused.assert_problem(503, "budget_exhausted");
        assert!((50..=60).contains(&retry_after(&refused)), "{refused:?}");
    }
    assert_eq!(gateway.provider(Kind::Pluggo).calls().len(), 2);
    assert_eq!(gateway.count("budget_remaining{account=\"pluggo-demo\"}").await, 0);
    assert_eq!(gateway.count("budget_limit{account=\"pluggo-demo\"}").await, 2);
    assert_eq!(gateway.count("reads_refused_total{provider=\"pluggo\",reason=\"budget\"}").await, 3);
}

#[tokio::test]
async fn a_retry_that_the_budget_refuses_leaves_the_first_problem() {
    let gateway = with_static_tokens("budget = { requests = 1, per = \"1m\" }\n").await;
    gateway.provider(KIND).queue(Fault::on_balance(status(503, None)));

    let reply = gateway.balance(KIND).await;

    reply.assert_problem(502, "provider_error");
    assert_eq!(gateway.provider(KIND).calls().len(), 1);
}

#[tokio::test]
async fn a_disabled_account_causes_no_call() {
    let gateway = Harness::start(Setup { further: SWITCHED_OFF.to_owned(), ..Setup::default() }).await;
    for account in ["off-itself", "off-with-its-provider"] {
        for headers in
            [vec![], vec![("cache-control", "no-cache")], vec![("cache-control", "only-if-cached")]]
        {
            let reply = gateway.get_with(&format!("/v1/accounts/{account}/balance"), &headers).await;

            reply.assert_problem(503, "disabled");
            assert_eq!(retry_after(&reply), 60);
        }
        // Errors of the request itself come first.
        gateway
            .get(&format!("/v1/accounts/{account}/balance?x=1"))
            .await
            .assert_problem(400, "invalid_request");
    }
    assert!(gateway.provider(KIND).calls().is_empty());
}

#[tokio::test]
async fn full_concurrency_is_provider_busy_and_is_not_held() {
    let gateway = with_static_tokens(
        "max_concurrency = 1\nretries = 0\nconnect_timeout = \"700ms\"\nattempt_timeout = \"700ms\"\ndeadline = \"800ms\"\n",
    )
    .await;
    gateway.provider(Kind::Pluggo).queue(Fault::on_balance(FaultKind::StallHead));
    let usd = format!("{PLUGGO}?currency=USD");

    let (stalled, busy) = tokio::join!(gateway.get(PLUGGO), async {
        gateway.provider(Kind::Pluggo).wait_for_calls(1).await;
        let in_flight = gateway.count("upstream_in_flight{provider=\"pluggo\"}").await;
        assert_eq!(in_flight, 1);
        gateway.get(&usd).await
    });
    let calls = gateway.provider(Kind::Pluggo).calls().len();
    let next = gateway.get(&usd).await;

    stalled.assert_problem(504, "provider_timeout");
    busy.assert_problem(503, "provider_busy");
    assert_eq!((retry_after(&busy), calls, next.status), (1, 1, 200));
    assert_eq!(gateway.count("reads_refused_total{provider=\"pluggo\",reason=\"concurrency\"}").await, 1);
}
