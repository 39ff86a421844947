//! The limits of calls: retries, reserve, breaker, budget and slots.

mod breaker;
mod retries;

use super::*;

fn retrying(kind: Kind) -> Setup {
    Setup::with(kind, |settings| settings.retries = 1)
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
    clock::advance(SHORT / 3);

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
async fn failed_and_cancelled_reads_leave_nothing_in_flight() {
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
    assert_eq!(account.upstream.budget_remaining(), 298, "a cancelled call may have arrived");
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
async fn a_flood_of_informational_answers_ends_at_the_attempts_time_out() {
    let mut setup = Setup::new(Kind::NtxpayBr);
    setup.settings.attempt_timeout = SHORT;
    let account = setup.start(Kind::NtxpayBr).await;
    account.queue([Fault::on_balance(FaultKind::Informational { status: 103, count: u64::MAX, ms: 0 })]);

    assert_eq!(account.error(0).await, UpstreamError::Timeout);
    assert!(account.read(0).await.is_err(), "held");
    assert_eq!(account.provider.calls().len(), 1);
}
