//! Two independent gateways: the `not_before` of one applies at the other.

use balance_gateway::sandbox::{Fault, FaultKind, Kind};

use crate::harness::{Harness, KEY, Setup};

const KIND: Kind = Kind::NtxpayBr;

#[tokio::test]
async fn not_before_shows_a_payment_at_every_replica() {
    let one = Harness::usual().await;
    let other = one.beside(&Setup::default());
    for gateway in [&one, &other] {
        assert_eq!(gateway.balance(KIND).await.json()["available"], "48734.90");
    }
    one.provider(KIND).set_field("BRL", None, "netBalance", "100.00");

    let invalidated = one.send("POST", "/v1/accounts/ntxpay-br-demo/invalidate", Some(KEY), &[]).await;
    let not_before = invalidated.json()["not_before"].as_str().unwrap().to_owned();
    let path = format!("/v1/accounts/{KIND}-demo/balance");
    let demanding = format!("{path}?not_before={not_before}");

    // Without `not_before`, the other replica does not know of the payment. With it, it serves no older balance.
    assert_eq!(other.balance(KIND).await.json()["available"], "48734.90");
    one.provider(KIND).queue(Fault::on_balance(FaultKind::status(400)));
    let failed = other.get_with(&demanding, &[("cache-control", "stale-if-error")]).await;
    failed.assert_problem(502, "provider_error");
    let after_the_hold = |reply: &crate::harness::Reply| reply.status == 200;
    let paid = other.until(&demanding, "the balance after the payment", after_the_hold).await;

    assert_eq!(paid.json()["available"], "100.00");
    assert_eq!(one.balance(KIND).await.json()["available"], "100.00");
    assert_eq!(other.balance(KIND).await.json()["available"], "100.00");
}
