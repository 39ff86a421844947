//! The breaker: what opens it, and which read probes.

use super::*;

const COOLDOWN: Duration = Duration::from_secs(10);

fn breaking() -> Setup {
    let setup = Setup::with(Kind::Pluggo, |settings| {
        settings.breaker = BreakerSettings { failures: 2, cooldown: COOLDOWN };
    });
    setup.with_balances(8)
}

#[tokio::test]
async fn failures_in_a_row_suspend_the_provider_for_the_cooldown() {
    let account = breaking().start(Kind::Pluggo).await;
    account.queue([Fault::on_balance(status(500)), Fault::on_balance(FaultKind::Reset)]);
    account.error(0).await;
    assert_eq!(account.upstream.provider.breaker_state(), BreakerState::Closed);
    account.error(1).await;

    let failure = account.read(2).await.unwrap_err();

    assert_eq!(account.upstream.provider.breaker_state(), BreakerState::Open);
    assert_eq!((failure.error, failure.is_held), (UpstreamError::Suspended, false));
    assert_eq!(wait_seconds(&failure), 10);
    assert_eq!(account.provider.calls().len(), 2);
    assert_eq!(account.counted("reads_refused_total"), ["{provider=\"p\",reason=\"breaker\"} 1"]);
}

#[tokio::test]
async fn a_failure_that_is_no_outage_does_not_open_the_breaker() {
    let account = breaking().start(Kind::Pluggo).await;
    account.queue([
        Fault::on_balance(status(500)),
        Fault::on_balance(FaultKind::Garbage),
        Fault::on_balance(status(404)),
    ]);

    for index in 0..3 {
        account.error(index).await;
    }

    assert_eq!(account.upstream.provider.breaker_state(), BreakerState::Closed);
}

#[tokio::test]
async fn one_read_probes_after_the_cooldown_and_a_balance_closes_the_breaker() {
    let account = breaking().start(Kind::Pluggo).await;
    account.queue([Fault::on_balance(status(500)).times(2)]);
    account.error(0).await;
    account.error(1).await;
    clock::advance(COOLDOWN);
    account.queue([Fault::on_balance(FaultKind::Delay { ms: 300 })]);

    let probe = account.spawn_read(2);
    account.provider.wait_for_calls(3).await;
    let meanwhile = account.error(3).await;
    let state = account.upstream.provider.breaker_state();
    let probed = probe.await.unwrap().result;

    assert_eq!((meanwhile, state), (UpstreamError::Suspended, BreakerState::HalfOpen));
    assert!(probed.is_ok());
    assert_eq!(account.upstream.provider.breaker_state(), BreakerState::Closed);
    assert!(account.read(3).await.is_ok());
    assert_eq!(account.provider.calls().len(), 4);
}

#[tokio::test]
async fn a_probe_that_fails_suspends_again() {
    let account = breaking().start(Kind::Pluggo).await;
    account.queue([Fault::on_balance(status(500)).times(3)]);
    account.error(0).await;
    account.error(1).await;
    clock::advance(COOLDOWN);

    assert_eq!(account.error(2).await, UpstreamError::Status(500));
    assert_eq!(account.error(3).await, UpstreamError::Suspended);
    assert_eq!(account.provider.calls().len(), 3);
}

#[tokio::test]
async fn after_a_cancelled_probe_the_next_read_probes() {
    let account = breaking().start(Kind::Pluggo).await;
    account.queue([Fault::on_balance(status(500)).times(2), Fault::on_balance(FaultKind::StallHead)]);
    account.error(0).await;
    account.error(1).await;
    clock::advance(COOLDOWN);
    let probe = account.spawn_read(2);
    account.provider.wait_for_calls(3).await;

    probe.abort();
    assert!(probe.await.unwrap_err().is_cancelled());

    assert!(account.read(3).await.is_ok());
}

#[tokio::test]
async fn a_failing_token_endpoint_counts_for_the_breaker() {
    let setup = Setup::with(Kind::NtxpayBr, |settings| settings.breaker.failures = 2);
    let account = setup.with_client().start(Kind::NtxpayBr).await;
    account.queue([Fault::on_token(status(500)).times(2)]);

    for _ in 0..2 {
        account.error(0).await;
        account.upstream.holds.end(clock::now().monotonic);
    }

    assert_eq!(account.error(0).await, UpstreamError::Suspended);
}
