//! Retries inside a read, and the holds after it.

use super::*;

#[tokio::test]
async fn of_two_holds_the_later_end_is_shown() {
    let gateway = with_static_tokens("").await;
    let unreadable = FaultKind::Body { text: "{}".to_owned() };
    gateway.provider(Kind::Pluggo).queue(Fault::on_balance(unreadable));
    let of_the_balance = gateway.get(&format!("{PLUGGO}?currency=USD")).await;
    gateway.provider(Kind::Pluggo).queue(Fault::on_balance(status(429, Some("60"))));
    let of_the_account = gateway.get(PLUGGO).await;

    let held = gateway.get(&format!("{PLUGGO}?currency=USD")).await;

    of_the_balance.assert_problem(502, "provider_invalid_response");
    of_the_account.assert_problem(503, "provider_busy");
    held.assert_problem(503, "provider_busy");
    assert!((50..=60).contains(&retry_after(&held)), "{held:?}");
}

#[tokio::test]
async fn a_transient_failure_is_retried_within_one_read() {
    for fault in [
        status(503, None),
        status(502, None),
        status(504, None),
        status(408, None),
        status(425, None),
        FaultKind::Reset,
        FaultKind::CutBody,
    ] {
        let name = format!("{fault:?}");
        let gateway = with_static_tokens("").await;
        gateway.provider(KIND).queue(Fault::on_balance(fault));

        let reply = gateway.balance(KIND).await;

        assert_eq!(reply.status, 200, "{name} {reply:?}");
        assert_eq!(gateway.provider(KIND).calls().len(), 2, "{name}");
        assert_eq!(gateway.count("upstream_retries_total{provider=\"ntxpay-br\"}").await, 1, "{name}");
        assert_eq!(all_errors(&gateway, KIND).await, 1, "{name}");
    }
}

#[tokio::test]
async fn a_permanent_failure_is_not_retried() {
    for fault in [
        status(500, None),
        status(404, None),
        status(429, None),
        status(503, Some("3")),
        FaultKind::Garbage,
        body("{}"),
    ] {
        let name = format!("{fault:?}");
        let gateway = with_static_tokens("retries = 3\n").await;
        gateway.provider(KIND).queue(Fault::on_balance(fault));

        let reply = gateway.balance(KIND).await;

        assert!(reply.status >= 500, "{name}");
        assert_eq!(gateway.provider(KIND).calls().len(), 1, "{name}");
        assert_eq!(gateway.count("upstream_retries_total{provider=\"ntxpay-br\"}").await, 0, "{name}");
    }
}

#[tokio::test]
async fn the_retry_after_of_a_provider_is_obeyed() {
    let gateway = with_static_tokens("").await;
    gateway.provider(Kind::Pluggo).queue(Fault::on_balance(status(429, Some("2"))));

    let refused = gateway.get(PLUGGO).await;
    let held = gateway.get(&format!("{PLUGGO}?currency=USD")).await;
    let forced = gateway.get_with(PLUGGO, &[("cache-control", "no-cache")]).await;
    let calls = gateway.provider(Kind::Pluggo).calls().len();
    gateway.until(PLUGGO, "the provider is called again", |reply| reply.status == 200).await;

    for reply in [&refused, &held, &forced] {
        reply.assert_problem(503, "provider_busy");
        assert_eq!(retry_after(reply), 2, "{reply:?}");
    }
    assert_eq!(calls, 1);
    let calls = gateway.provider(Kind::Pluggo).calls();
    assert_eq!(calls.len(), 2);
    assert!(calls[1].instant.duration_since(calls[0].instant) >= Duration::from_secs(2));
    assert!(gateway.count("reads_refused_total{provider=\"pluggo\",reason=\"hold\"}").await >= 2);
}

#[tokio::test]
async fn a_read_in_flight_does_not_shorten_the_retry_after_of_a_provider() {
    let gateway = with_static_tokens("retries = 0\n").await;
    gateway.provider(Kind::Pluggo).queue(Fault::on_balance(FaultKind::Delay { ms: 300 }));
    gateway.provider(Kind::Pluggo).queue(Fault::on_balance(status(429, Some("60"))));
    let usd = format!("{PLUGGO}?currency=USD");

    let (in_flight, throttled) = tokio::join!(gateway.get(&usd), async {
        gateway.provider(Kind::Pluggo).wait_for_calls(1).await;
        gateway.get(PLUGGO).await
    });
    let held = gateway.get(PLUGGO).await;

    assert_eq!(in_flight.status, 200);
    throttled.assert_problem(503, "provider_busy");
    assert_eq!(gateway.provider(Kind::Pluggo).calls().len(), 2);
    held.assert_problem(503, "provider_busy");
    assert!((59..=60).contains(&retry_after(&held)), "{held:?}");
}

#[tokio::test]
async fn each_failure_in_a_row_doubles_the_hold() {
    let gateway = with_static_tokens("retries = 0\n").await;
    gateway.provider(KIND).queue(Fault::on_balance(status(500, None)).times(2));

    let first = gateway.balance(KIND).await;
    let second = gateway.until(BRAZIL, "a second failure", |reply| reply.header("retry-after") == "2").await;
    let healed = gateway.until(BRAZIL, "a success", |reply| reply.status == 200).await;
    gateway.provider(KIND).queue(Fault::on_balance(status(500, None)));
    let again = gateway.new_balance(KIND).await;

    first.assert_problem(502, "provider_error");
    second.assert_problem(502, "provider_error");
    assert_eq!((retry_after(&first), healed.status), (1, 200));
    assert_eq!(retry_after(&again), 1, "a success ends the row");
    let calls = gateway.provider(KIND).calls();
    assert_eq!(calls.len(), 4);
    assert!(calls[2].instant.duration_since(calls[1].instant) >= Duration::from_secs(2));
}
