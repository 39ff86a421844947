//! An account name that stands for another account after a reload.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_identity_is_another_balance() {
    let site = site().await;
    let gateway = site.serve().await;
    let before = balance(&gateway).await;

    change_and_reload(&gateway, &site, "balance_path = \"/api/balance\"", "balance_path = \"/balance\"")
        .await;
    let after = balance(&gateway).await;

    assert_eq!(after.status, 200, "{after:?}");
    assert_ne!(after.body, before.body);
    assert_eq!(after.header("cache-status"), "balance-gateway; fwd=uri-miss; fwd-status=200; stored");
}

/// The account has identity A, then B, then A again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_identity_that_comes_back_finds_no_balance_of_its_earlier_time() {
    let site = site().await;
    let gateway = site.serve().await;
    let before = balance(&gateway).await;
    let (first, second) = ("balance_path = \"/api/balance\"", "balance_path = \"/balance\"");

    change_and_reload(&gateway, &site, first, second).await;
    balance(&gateway).await;
    change_and_reload(&gateway, &site, second, first).await;
    let after = balance(&gateway).await;

    assert_eq!((before.status, after.status), (200, 200), "{after:?}");
    assert_ne!(after.body, before.body, "{after:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiting_caller_gets_the_balance_of_the_new_identity() {
    let site = site().await;
    let gateway = site.serve().await;
    site.provider.queue(Fault::on_balance(FaultKind::Delay { ms: 2000 }));
    let asking = gateway.client.get(format!("http://{}{PATH}", gateway.api)).bearer_auth(gateway.key);
    let asking = tokio::spawn(async move { Reply::read(asking.send().await.unwrap()).await });
    site.provider.wait_for_calls(2).await;

    site.provider.set_field("BRL", None, "netBalance", "100.00");
    change_and_reload(&gateway, &site, "balance_path = \"/api/balance\"", "balance_path = \"/balance\"")
        .await;
    let reply = asking.await.unwrap();

    assert_eq!((reply.status, &reply.json()["available"]), (200, &"100.00".into()), "{reply:?}");
    let paths: Vec<_> = site.provider.calls().into_iter().map(|call| call.path_and_query).collect();
    assert_eq!(paths, ["/api/auth/token", "/api/balance", "/api/auth/token", "/balance"]);
}
