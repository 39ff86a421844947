//! Kinds whose single answer holds every balance of an account.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_answer_fills_every_balance_of_the_account() {
    let site = whole_site(THREE).await;
    let gateway = site.serve().await;

    let first = gateway.get(&gateway.api, ACCOUNT).await.unwrap();
    assert_eq!(first.status, 200);
    let of = |currency: &str| format!("{ACCOUNT}?currency={currency}");
    let cached = [("cache-control", "only-if-cached")];
    for (currency, available) in [("USD", "1.01"), ("EUR", "2.02"), ("BRL", "48734.91")] {
        eventually("the balance is cached", || async {
            gateway.get_with(&of(currency), &cached).await.status == 200
        })
        .await;
        let reply = gateway.get_with(&of(currency), &cached).await;
        assert_eq!(reply.json()["available"], available, "{reply:?}");
    }
    assert_eq!(site.calls(Operation::Balance).len(), 1);

    // A batch that demands new balances is one call, too.
    let batch = gateway.get_with("/v1/balances", &[("cache-control", "no-cache")]).await;
    assert_eq!(
        (&batch.json()["complete"], batch.json()["balances"].as_array().unwrap().len()),
        (&true.into(), 3)
    );
    let calls = site.calls(Operation::Balance).len();
    assert!((2..=3).contains(&calls), "{calls} calls");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_balance_that_is_missing_in_the_answer_is_the_only_failure() {
    let site = whole_site("{ currency = \"BRL\" }, { currency = \"GBP\" }").await;
    let gateway = site.serve().await;

    let batch = gateway.get(&gateway.api, "/v1/balances").await.unwrap().json();

    assert_eq!(batch["balances"][0]["available"], "48734.91", "{batch}");
    assert_eq!(batch["errors"][0]["currency"], "GBP");
    assert_eq!(batch["errors"][0]["problem"]["code"], "provider_invalid_response");
    assert_eq!(site.calls(Operation::Balance).len(), 1, "one answer has both");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_read_is_shared_and_held_for_all_balances() {
    let site = whole_site(THREE).await;
    for _ in 0..8 {
        site.provider.queue(Fault::on_balance(FaultKind::Status {
            status: 500,
            retry_after: None,
            body: None,
        }));
    }
    let gateway = site.serve().await;

    let batch = gateway.get(&gateway.api, "/v1/balances").await.unwrap().json();

    assert_eq!(batch["errors"].as_array().unwrap().len(), 3, "{batch}");
    assert_eq!(site.calls(Operation::Balance).len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_balances_read_once_a_second_cost_the_calls_of_one() {
    let site = whole_site(THREE).await;
    site.rewrite("[kinds.k]", "[freshness]\nfresh_for = \"2s\"\n[kinds.k]");
    let gateway = site.serve().await;
    let seconds = if is_long() { 60 } else { 8 };

    let mut ticks = tokio::time::interval(std::time::Duration::from_secs(1));
    for _ in 0..seconds {
        ticks.tick().await;
        for currency in ["BRL", "USD", "EUR"] {
            let reply = gateway.get(&gateway.api, &format!("{ACCOUNT}?currency={currency}")).await.unwrap();
            assert_eq!(reply.status, 200, "{reply:?}");
        }
    }

    // At most one background refresh every two seconds, and the first read.
    let calls = site.calls(Operation::Balance).len();
    assert!(calls <= seconds / 2 + 1, "{calls} calls in {seconds} s");
}
