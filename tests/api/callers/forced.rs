//! Reads that only a caller's demand makes necessary.

use super::*;

#[tokio::test]
async fn a_refused_read_gives_its_forced_unit_back() {
    let gateway = with_caller("forced = { requests = 1, per = \"1h\", burst = 5 }\n").await;
    gateway.balance(Kind::NtxpayBr).await;
    gateway.provider(Kind::NtxpayBr).queue(Fault::on_balance(FaultKind::status(429)));

    let failed = gateway.new_balance(Kind::NtxpayBr).await;
    let held = gateway.new_balance(Kind::NtxpayBr).await;

    failed.assert_problem(503, "provider_busy");
    assert_eq!(units(&failed, "ratelimit", "forced")["r"], 4, "the provider was asked");
    held.assert_problem(503, "provider_busy");
    assert_eq!(units(&held, "ratelimit", "forced")["r"], 4, "the provider was not asked");
    assert_eq!(gateway.count("forced_reads_total{caller=\"all\"}").await, 1);
}

#[tokio::test]
async fn a_hold_found_through_another_balance_gives_the_first_forced_unit_back() {
    for status in [429, 403] {
        let caller = "forced = { requests = 1, per = \"1h\", burst = 5 }\n".to_owned();
        let gateway = Harness::start(Setup { caller, has_static_tokens: true, ..Setup::default() }).await;
        let of = |currency: &str| format!("/v1/accounts/pluggo-demo/balance?currency={currency}");
        for currency in ["BRL", "USD"] {
            assert_eq!(gateway.get(&of(currency)).await.status, 200);
        }
        let force =
            async |currency: &str| gateway.get_with(&of(currency), &[("cache-control", "no-cache")]).await;
        gateway.provider(Kind::Pluggo).queue(Fault::on_balance(FaultKind::status(status)));
        let failed = force("BRL").await;
        let calls = gateway.provider(Kind::Pluggo).calls().len();

        let held = force("USD").await;

        let left = |reply| units(reply, "ratelimit", "forced")["r"];
        assert_eq!((failed.json()["code"].clone(), left(&failed)), (held.json()["code"].clone(), 4));
        assert_eq!(left(&held), 4, "{status}: the provider was not called");
        assert_eq!(gateway.provider(Kind::Pluggo).calls().len(), calls);
        assert_eq!(gateway.count("forced_reads_total{caller=\"all\"}").await, 1);
    }
}

#[tokio::test]
async fn a_caller_whose_cache_control_is_ignored_demands_only_by_other_means() {
    let gateway = with_caller("cache_control = \"ignored\"\n").await;
    let path = "/v1/accounts/ntxpay-br-demo/balance";
    let cold = gateway.get_with(path, &[("cache-control", "only-if-cached")]).await;

    let mut hits = Vec::new();
    for directive in ["no-cache", "max-age=0", "min-fresh=600", "no-cache, stale-if-error"] {
        hits.push(gateway.get_with(path, &[("cache-control", directive)]).await);
    }
    let not_before = gateway.get(&format!("{path}?not_before=9999-12-31T23:59:59Z")).await;
    let enough = gateway.get("/v1/accounts/ntxpay-br-demo/sufficiency?amount=1").await;
    let report = gateway
        .get_with("/v1/reconciliation?account=ntxpay-br-demo", &[("cache-control", "max-age=60")])
        .await;

    assert_eq!(cold.header("cache-status"), "balance-gateway; fwd=uri-miss; fwd-status=200; stored");
    for hit in hits {
        assert!(hit.header("cache-status").starts_with("balance-gateway; hit; "), "{hit:?}");
    }
    assert_eq!(not_before.header("cache-status"), "balance-gateway; fwd=request; fwd-status=200; stored");
    assert_eq!((enough.status, report.status), (200, 200));
    assert_eq!(gateway.calls(Kind::NtxpayBr, Operation::Balance).len(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forced_reads_leave_a_tenth_of_the_budget_and_are_logged() {
    let site = Site::with_provider("", "budget = { requests = 20, per = \"1m\" }").await;
    let gateway = site.serve().await;
    let path = "/v1/accounts/treasury/balance";
    let mut forced = 0;
    let refused = loop {
        let reply = gateway.get_with(path, &[("cache-control", "no-cache")]).await;
        if reply.status != 200 {
            break reply;
        }
        forced += 1;
    };

    let again = gateway.get_with(path, &[("cache-control", "max-age=0")]).await;
    let enough = gateway.get_with("/v1/accounts/treasury/sufficiency?amount=1", &[]).await;
    let not_before = gateway.get_with(&format!("{path}?not_before=9999-12-31T23:59:59Z"), &[]).await;

    // One call was for the token. Reads that a header demands may not use the last two of twenty calls.
    assert_eq!(forced, 17);
    refused.assert_problem(503, "budget_exhausted");
    again.assert_problem(503, "budget_exhausted");
    assert_eq!((enough.status, not_before.status), (200, 200));
    let told = gateway.logged("budget_spent_by_forced_reads").await;
    assert_eq!(told.len(), 1, "once a minute: {told:?}");
    assert_eq!((&told[0]["level"], &told[0]["account"]), (&json!("WARN"), &json!("treasury")));
    // The first read was not a forced one, because nothing was cached.
    assert_eq!(told[0]["callers"], "all (16)");
}

#[tokio::test]
async fn forced_reads_have_a_separate_limit() {
    let gateway = with_caller("forced = { requests = 1, per = \"60s\", burst = 2 }\n").await;
    let cold = gateway.new_balance(Kind::NtxpayBr).await;

    let first = gateway.new_balance(Kind::NtxpayBr).await;
    let second = gateway.new_balance(Kind::NtxpayBr).await;
    let refused = gateway.new_balance(Kind::NtxpayBr).await;
    let plain = gateway.balance(Kind::NtxpayBr).await;
    let batch = gateway
        .get_with("/v1/balances?account=ntxpay-br-demo&account=avista-demo", &[("cache-control", "no-cache")])
        .await
        .json();

    // Nothing was cached, so the demand forced no read.
    assert_eq!(units(&cold, "ratelimit", "forced")["r"], 2);
    assert_eq!((first.status, second.status, plain.status), (200, 200, 200));
    assert_eq!(units(&second, "ratelimit", "forced")["r"], 0);
    assert_eq!(
        (units(&cold, "ratelimit-policy", "forced")["q"], units(&cold, "ratelimit-policy", "forced")["w"]),
        (2, 120)
    );
    refused.assert_problem(429, "rate_limited");
    assert!(refused.header("retry-after").parse::<u64>().unwrap() > 50, "{refused:?}");
    assert_eq!(batch["balances"][0]["account"], "avista-demo");
    assert_eq!(batch["errors"][0]["problem"]["code"], "rate_limited");
    assert_eq!(gateway.count("forced_reads_total{caller=\"all\"}").await, 2);
    assert_eq!(gateway.count("rate_limited_total{caller=\"all\",policy=\"forced\"}").await, 2);
}
