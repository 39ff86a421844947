//! The limits of calls: retries, reserve, breaker, budget and slots.

use super::*;

fn retrying(kind: Kind) -> Setup {
    Setup::with(kind, |settings| settings.retries = 1)
}

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
async fn a_time_out_is_tried_once_more() {
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
async fn a_read_ends_with_its_last_attempts_problem() {
    let account = retrying(Kind::NtxpayBr).start(Kind::NtxpayBr).await;
    account.queue([Fault::on_balance(status(503)), Fault::on_balance(status(500))]);
    let started = clock::now().monotonic;

    let answer = account.upstream.read(0, ReadRequest::alone(Priority::Plain)).await;

    assert_eq!(answer.result.unwrap_err().error, UpstreamError::Status(500));
    assert!(answer.sent_at > started + Duration::from_millis(100), "the last attempt's moment");
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
async fn a_retry_that_the_budget_refuses_leaves_the_first_problem() {
    let mut setup = retrying(Kind::NtxpayBr);
    setup.settings.budget.requests = 1;
    let account = setup.start(Kind::NtxpayBr).await;
    account.queue([Fault::on_balance(status(503))]);

    assert_eq!(account.error(0).await, UpstreamError::Status(503));
    assert_eq!(account.provider.calls().len(), 1);
}

#[tokio::test]
async fn a_retry_that_the_breaker_refuses_leaves_the_first_problem() {
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

fn breaking(cooldown: Duration) -> Setup {
    let setup = Setup::with(Kind::Pluggo, |settings| {
        settings.breaker = BreakerSettings { failures: 2, cooldown };
    });
    setup.with_balances(8)
}

#[tokio::test]
async fn a_row_of_failures_suspends_the_provider_for_the_cooldown() {
    let account = breaking(SECOND * 10).start(Kind::Pluggo).await;
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
    let account = breaking(SECOND * 10).start(Kind::Pluggo).await;
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
    let account = breaking(SHORT).start(Kind::Pluggo).await;
    account.queue([Fault::on_balance(status(500)).times(2)]);
    account.error(0).await;
    account.error(1).await;
    tokio::time::sleep(SHORT).await;
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
    let account = breaking(SHORT).start(Kind::Pluggo).await;
    account.queue([Fault::on_balance(status(500)).times(3)]);
    account.error(0).await;
    account.error(1).await;
    tokio::time::sleep(SHORT).await;

    assert_eq!(account.error(2).await, UpstreamError::Status(500));
    assert_eq!(account.error(3).await, UpstreamError::Suspended);
    assert_eq!(account.provider.calls().len(), 3);
}

#[tokio::test]
async fn a_cancelled_probe_passes_its_place_to_the_next() {
    let account = breaking(SHORT).start(Kind::Pluggo).await;
    account.queue([Fault::on_balance(status(500)).times(2), Fault::on_balance(FaultKind::StallHead)]);
    account.error(0).await;
    account.error(1).await;
    tokio::time::sleep(SHORT).await;
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

#[tokio::test]
async fn each_priority_has_its_share_of_the_budget() {
    let setup = Setup::with(Kind::NtxpayMx, |settings| settings.budget.requests = 10);
    let account = setup.start(Kind::NtxpayMx).await;
    let read = |priority| account.upstream.read(0, priority);

    let mut served = Vec::new();
    for priority in [Priority::Background, Priority::Plain, Priority::Demanded, Priority::Certain] {
        let mut count = 0;
        let failure = loop {
            match read(ReadRequest::alone(priority)).await.result {
                Ok(_) => count += 1,
                Err(failure) => break failure,
            }
        };
        assert_eq!((failure.error, failure.is_held), (UpstreamError::BudgetExhausted, false));
        assert!((50..=60).contains(&wait_seconds(&failure)));
        served.push(count);
    }

    assert_eq!(served, [6, 2, 1, 1]);
    assert_eq!(account.provider.calls().len(), 10);
    assert_eq!((account.upstream.budget_limit(), account.upstream.budget_remaining()), (10, 0));
    assert_eq!(account.counted("reads_refused_total"), ["{provider=\"p\",reason=\"budget\"} 4"]);
}

#[tokio::test]
async fn token_calls_and_retries_count_for_the_budget() {
    let mut setup = retrying(Kind::NtxpayBr).with_client();
    setup.settings.budget.requests = 10;
    let account = setup.start(Kind::NtxpayBr).await;
    account.queue([Fault::on_balance(status(503))]);

    account.read(0).await.unwrap();

    assert_eq!(account.calls(), [("token", Some(201)), ("balance", Some(503)), ("balance", Some(200))]);
    assert_eq!(account.upstream.budget_remaining(), 7);
}

#[tokio::test]
async fn a_full_provider_is_busy() {
    let setup = Setup::with(Kind::Pluggo, |settings| {
        (settings.max_concurrency, settings.deadline) = (1, SHORT * 2);
    });
    let account = setup.start(Kind::Pluggo).await;
    account.queue([Fault::on_balance(FaultKind::StallHead)]);
    let first = account.spawn_read(0);
    account.provider.wait_for_calls(1).await;
    tokio::time::sleep(SHORT / 3).await;

    let (second, third) = tokio::join!(account.read(1), account.read(2));

    let failures = [second, third].map(|result| result.map(drop).unwrap_err());
    let busy: Vec<_> = failures.iter().filter(|failure| failure.error == UpstreamError::Busy).collect();
    assert!(!busy.is_empty(), "{failures:?}");
    assert!(busy.iter().all(|failure| !failure.is_held && wait_seconds(failure) == 1), "{busy:?}");
    assert_eq!(account.provider.calls().len(), 1);
    assert!(account.page().contains("reads_refused_total{provider=\"p\",reason=\"concurrency\"}"));
    assert_eq!(first.await.unwrap().result.unwrap_err().error, UpstreamError::Timeout);
}

#[tokio::test]
async fn a_slot_is_free_again_after_its_read() {
    let setup = Setup::with(Kind::Pluggo, |settings| settings.max_concurrency = 1);
    let account = setup.start(Kind::Pluggo).await;
    account.queue([Fault::on_balance(FaultKind::Delay { ms: 50 })]);

    let (first, second) = tokio::join!(account.read(0), account.read(1));

    assert!(first.is_ok() && second.is_ok());
    assert_eq!(account.provider.calls().len(), 2);
}

#[tokio::test]
async fn nothing_is_in_flight_after_reads_that_failed_or_were_given_up() {
    let account = Account::new(Kind::Pluggo).await;
    account.queue([Fault::on_balance(FaultKind::Reset), Fault::on_balance(FaultKind::StallHead)]);
    account.error(0).await;
    assert_eq!(account.in_flight(), 0);
    let given_up = account.spawn_read(1);
    account.provider.wait_for_calls(2).await;
    assert_eq!(account.in_flight(), 1);

    given_up.abort();
    assert!(given_up.await.unwrap_err().is_cancelled());

    assert_eq!(account.in_flight(), 0);
    assert_eq!(account.upstream.provider.slots.available_permits(), 32);
    assert_eq!(account.upstream.budget_remaining(), 298, "what was given up may have arrived");
}

#[tokio::test]
async fn attempts_are_measured_by_operation_and_kind() {
    let account = retrying(Kind::NtxpayBr).with_client().start(Kind::NtxpayBr).await;
    account.queue([Fault::on_token(FaultKind::Reset)]);

    account.read(0).await.unwrap();

    let errors = account.counted("upstream_errors_total");
    assert_eq!(errors, ["{kind=\"connect\",operation=\"token\",provider=\"p\"} 1"]);
    let counts = account.counted("upstream_request_duration_seconds_count");
    assert_eq!(
        counts,
        ["{operation=\"balance\",provider=\"p\"} 1", "{operation=\"token\",provider=\"p\"} 2"]
    );
}

#[tokio::test]
async fn a_flood_of_answers_before_the_answer_ends_with_the_attempt() {
    let mut setup = Setup::new(Kind::NtxpayBr);
    setup.settings.attempt_timeout = SHORT;
    let account = setup.start(Kind::NtxpayBr).await;
    account.queue([Fault::on_balance(FaultKind::Informational { status: 103, count: u64::MAX, ms: 0 })]);

    assert_eq!(account.error(0).await, UpstreamError::Timeout);
    assert!(account.read(0).await.is_err(), "held");
    assert_eq!(account.provider.calls().len(), 1);
}
