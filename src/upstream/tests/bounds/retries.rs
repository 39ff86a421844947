//! Retries inside one read, and what refuses them.

use super::*;

#[tokio::test]
async fn a_transient_failure_is_retried_once() {
    for fault in [
        status(408),
        status(425),
        status(502),
        status(503),
        status(504),
        FaultKind::Reset,
        FaultKind::Close,
        FaultKind::CutBody,
    ] {
        let account = retrying(Kind::NtxpayBr).start(Kind::NtxpayBr).await;
        account.queue([Fault::on_balance(fault.clone())]);

        let result = account.read(0).await;

        assert!(result.is_ok(), "{fault:?}");
        assert_eq!(account.provider.calls().len(), 2, "{fault:?}");
        assert_eq!(account.counted("upstream_retries_total"), ["{provider=\"p\"} 1"], "{fault:?}");
    }
}

#[tokio::test]
async fn a_time_out_is_retried_once() {
    let mut setup = retrying(Kind::NtxpayBr);
    setup.settings.attempt_timeout = SHORT * 2;
    let account = setup.start(Kind::NtxpayBr).await;
    account.queue([Fault::on_balance(FaultKind::StallHead)]);

    assert!(account.read(0).await.is_ok());
    assert_eq!(account.provider.calls().len(), 2);
}

#[tokio::test]
async fn a_permanent_failure_is_not_retried() {
    for fault in [
        status(400),
        status(404),
        status(429),
        status(500),
        status(501),
        asking_for_time(503, "20"),
        FaultKind::RefuseToken { status: 401 },
        FaultKind::Redirect { location: "/".to_owned() },
        FaultKind::Garbage,
        FaultKind::Body { text: "{}".to_owned() },
    ] {
        let account = retrying(Kind::NtxpayBr).start(Kind::NtxpayBr).await;
        account.queue([Fault::on_balance(fault.clone())]);

        let result = account.read(0).await;

        assert!(result.is_err(), "{fault:?}");
        assert_eq!(account.provider.calls().len(), 1, "{fault:?}");
    }
}

#[tokio::test]
async fn a_read_fails_with_the_error_of_its_last_attempt() {
    let account = retrying(Kind::NtxpayBr).start(Kind::NtxpayBr).await;
    account.queue([Fault::on_balance(status(503)), Fault::on_balance(status(500))]);
    let started = clock::now().monotonic;

    let answer = account.upstream.read(0, ReadRequest::alone(Priority::Plain)).await;

    assert_eq!(answer.result.unwrap_err().error, UpstreamError::Status(500));
    assert!(answer.sent_at > started + Duration::from_millis(100), "when the last attempt was sent");
    assert_eq!(account.provider.calls().len(), 2);
}

#[tokio::test]
async fn an_empty_reserve_leaves_no_retry() {
    let account = retrying(Kind::NtxpayBr).start(Kind::NtxpayBr).await;
    let now = clock::now().monotonic;
    while account.upstream.provider.reserve.take(now) {}
    account.queue([Fault::on_balance(status(503))]);

    assert_eq!(account.error(0).await, UpstreamError::Status(503));
    assert_eq!(account.provider.calls().len(), 1);
}

#[tokio::test]
async fn a_retry_that_the_budget_refuses_leaves_the_first_error() {
    let mut setup = retrying(Kind::NtxpayBr);
    setup.settings.budget.requests = 1;
    let account = setup.start(Kind::NtxpayBr).await;
    account.queue([Fault::on_balance(status(503))]);

    assert_eq!(account.error(0).await, UpstreamError::Status(503));
    assert_eq!(account.provider.calls().len(), 1);
}

#[tokio::test]
async fn a_retry_that_the_breaker_refuses_leaves_the_first_error() {
    let mut setup = retrying(Kind::NtxpayBr);
    setup.settings.breaker.failures = 1;
    let account = setup.start(Kind::NtxpayBr).await;
    account.queue([Fault::on_balance(status(503))]);

    assert_eq!(account.error(0).await, UpstreamError::Status(503));
    assert_eq!(account.provider.calls().len(), 1);
}

#[tokio::test]
async fn a_read_ends_at_its_deadline() {
    let mut setup = retrying(Kind::NtxpayBr);
    (setup.settings.attempt_timeout, setup.settings.deadline) = (SHORT * 2, SHORT * 3);
    let account = setup.start(Kind::NtxpayBr).await;
    account.queue([Fault::on_balance(FaultKind::StallHead).times(2)]);
    let started = clock::now().monotonic;

    let error = account.error(0).await;

    assert_eq!(error, UpstreamError::Timeout);
    let took = clock::now().monotonic - started;
    assert!((SHORT * 2..SHORT * 6).contains(&took), "{took:?}");
}
