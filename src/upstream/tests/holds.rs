//! The class of each outcome, the length of its hold, and the balances that it covers.

use tokio::sync::{Barrier, Notify};

use super::*;

/// The balances whose reads a failure holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    Balance,
    Account,
}

/// The relevant part of an error: the adapters' own tests check the reason of an invalid answer.
fn name(error: UpstreamError) -> String {
    match error {
        UpstreamError::Invalid(_) => "Invalid".to_owned(),
        other => format!("{other:?}"),
    }
}

#[tokio::test]
async fn each_outcome_has_the_hold_and_the_scope_of_the_contract() {
    use FaultKind::{Body, ChunkedInvalid, Close, CutBody, EndlessHeaders, Garbage, RefuseToken, Reset};
    use Scope::{Account as OfAccount, Balance as OfBalance};
    let inside = |code: u16| Body { text: format!(r#"{{"code":{code},"content":null}}"#) };
    for (fault, error, seconds, scope) in [
        (status(500), "Status(500)", 1, OfBalance),
        (status(503), "Status(503)", 1, OfBalance),
        (status(404), "Status(404)", 1, OfBalance),
        (status(304), "Status(304)", 1, OfBalance),
        (status(429), "Throttled(None)", 5, OfAccount),
        (asking_for_time(429, "20"), "Throttled(Some(20s))", 20, OfAccount),
        (asking_for_time(429, "soon"), "Throttled(None)", 5, OfAccount),
        (asking_for_time(503, "20"), "Unavailable(20s)", 20, OfAccount),
        (asking_for_time(503, "0"), "Unavailable(0ns)", 1, OfAccount),
        (asking_for_time(503, "9000"), "Unavailable(9000s)", 600, OfAccount),
        (asking_for_time(500, "20"), "Status(500)", 1, OfBalance),
        (RefuseToken { status: 401 }, "Refused", 30, OfAccount),
        (RefuseToken { status: 403 }, "Refused", 30, OfAccount),
        (inside(500), "Status(500)", 1, OfBalance),
        (inside(401), "Refused", 30, OfAccount),
        (inside(429), "Throttled(None)", 5, OfAccount),
        (inside(302), "Invalid", 5, OfBalance),
        (Body { text: "<html>".to_owned() }, "Invalid", 5, OfBalance),
        (Body { text: String::new() }, "Invalid", 5, OfBalance),
        (Garbage, "Invalid", 5, OfBalance),
        (ChunkedInvalid, "Invalid", 5, OfBalance),
        (EndlessHeaders, "Invalid", 5, OfBalance),
        (Reset, "Unreachable(Closed)", 1, OfBalance),
        (Close, "Unreachable(CutShort)", 1, OfBalance),
        (CutBody, "Unreachable(CutShort)", 1, OfBalance),
    ] {
        let account = Account::new(Kind::Pluggo).await;
        account.queue([Fault::on_balance(fault.clone())]);

        let failure = account.read(1).await.unwrap_err();
        let wait = wait_seconds(&failure);
        let other_is_asked = account.read(0).await.is_ok();

        assert_eq!(name(failure.error), error, "{fault:?}");
        assert!(failure.is_held, "{fault:?}");
        assert_eq!(wait, seconds, "{fault:?}");
        assert_eq!(other_is_asked, scope == OfBalance, "{fault:?}");
    }
}

#[tokio::test]
async fn silence_is_a_time_out_wherever_it_begins() {
    for fault in [FaultKind::StallHead, FaultKind::StallBody, FaultKind::SlowBody { ms_per_byte: 20 }] {
        let setup = Setup::with(Kind::Pluggo, |settings| settings.attempt_timeout = SHORT * 2);
        let account = setup.start(Kind::Pluggo).await;
        account.queue([Fault::on_balance(fault.clone())]);

        let failure = account.read(1).await.unwrap_err();

        assert_eq!(failure.error, UpstreamError::Timeout, "{fault:?}");
        assert_eq!((failure.is_held, wait_seconds(&failure)), (true, 1), "{fault:?}");
        assert!(account.read(0).await.is_ok(), "{fault:?}");
    }
}

#[tokio::test]
async fn a_closed_port_is_unreachable() {
    let account = Account::new(Kind::NtxpayBr).await;
    account.provider.stop().await;

    let failure = account.upstream.read(0, ReadRequest::alone(Priority::Plain)).await.result.unwrap_err();

    assert_eq!(failure.error, UpstreamError::Unreachable(Cause::ConnectionRefused));
    assert_eq!((failure.is_held, wait_seconds(&failure)), (true, 1));
}

#[tokio::test]
async fn a_held_balance_causes_no_call() {
    let account = Account::new(Kind::NtxpayBr).await;
    account.queue([Fault::on_balance(status(500))]);
    let failure = account.read(0).await.unwrap_err();

    let again = account.read(0).await.unwrap_err();

    assert_eq!(again, Failure { was_called: false, ..failure });
    assert_eq!(account.provider.calls().len(), 1);
    let counted = account.counted("reads_refused_total");
    assert_eq!(counted, ["{provider=\"p\",reason=\"hold\"} 1"]);
}

#[tokio::test]
async fn a_success_resets_the_doubling() {
    let account = Account::new(Kind::NtxpayBr).await;
    account.queue([Fault::on_balance(status(500))]);
    let first = account.read(0).await.unwrap_err();
    tokio::time::sleep_until(first.retry_at.unwrap().into()).await;
    account.read(0).await.unwrap();
    account.queue([Fault::on_balance(status(500))]);

    let second = account.read(0).await.unwrap_err();

    assert_eq!(wait_seconds(&second), 1);
}

/// The successful call was sent before the provider asked us to slow down.
#[tokio::test]
async fn a_success_that_was_sent_earlier_does_not_end_the_accounts_hold() {
    let account = Account::new(Kind::Pluggo).await;
    account.queue([
        Fault::on_balance(FaultKind::Delay { ms: 300 }),
        Fault::on_balance(asking_for_time(429, "20")),
    ]);
    let slow = account.spawn_read(0);
    account.provider.wait_for_calls(1).await;
    let throttled = account.read(1).await.unwrap_err();
    assert_eq!(wait_seconds(&throttled), 20);
    assert!(slow.await.unwrap().result.is_ok());

    let next = account.read(2).await;

    assert_eq!(next.unwrap_err().error, throttled.error);
    assert_eq!(account.provider.calls().len(), 2);
}

#[tokio::test]
async fn a_shorter_hold_does_not_shorten_the_accounts_hold() {
    let (both_asked, is_held) = (Arc::new(Barrier::new(2)), Arc::new(Notify::new()));
    let release = Arc::clone(&is_held);
    let url = serve(move |head| {
        let (both_asked, release) = (Arc::clone(&both_asked), Arc::clone(&release));
        async move {
            both_asked.wait().await;
            let is_later = head.contains("currency=BRL");
            if is_later {
                release.notified().await;
            }
            let told = if is_later { 1 } else { 60 };
            format!("HTTP/1.1 429 Slow\r\nRetry-After: {told}\r\nContent-Length: 0\r\n\r\n").into_bytes()
        }
    })
    .await;
    let keys = Credential::Static(Authorisation::Keys { api_key: "k".into(), session_token: "t".into() });
    let (_, upstream) = Setup::new(Kind::Pluggo).at(&url, keys);

    let (later, sooner) = tokio::join!(upstream.read(0, ReadRequest::alone(Priority::Plain)), async {
        let sooner = upstream.read(1, ReadRequest::alone(Priority::Plain)).await;
        is_held.notify_one();
        sooner
    });
    assert_eq!(name(later.result.unwrap_err().error), "Throttled(Some(1s))");
    assert_eq!(wait_seconds(&sooner.result.unwrap_err()), 60);

    let next = upstream.read(2, ReadRequest::alone(Priority::Plain)).await.result.unwrap_err();
    assert_eq!(wait_seconds(&next), 60);
}

/// Other reads wait for a slot or for their retry when the provider asks us to slow down.
#[tokio::test]
async fn a_waiting_read_sends_no_call_after_a_hold_has_begun() {
    for (max_concurrency, retried) in [(1, 0), (2, 1)] {
        let setup = Setup::with(Kind::Pluggo, |settings| {
            (settings.max_concurrency, settings.retries) = (max_concurrency, 1);
        });
        let account = setup.start(Kind::Pluggo).await;
        let throttled = Fault::on_balance(asking_for_time(429, "20"));
        let resets = Fault::on_balance(FaultKind::Reset).times(retried);
        account.queue([resets, throttled]);
        let read = |index| account.read(index);

        let (first, second, third) = tokio::join!(read(0), read(1), read(2));

        let failures = [first, second, third].map(Result::unwrap_err);
        let is_throttled = |failure: &&Failure| failure.error == UpstreamError::Throttled(Some(SECOND * 20));
        assert_eq!(failures.iter().filter(is_throttled).count(), 3 - retried as usize, "{failures:?}");
        assert_eq!(account.calls().len(), 1 + retried as usize, "{:?}", account.calls());
    }
}

#[tokio::test]
async fn balances_that_are_refused_together_do_not_double_the_hold() {
    let all_asked = Arc::new(Barrier::new(3));
    let url = serve(move |_| {
        let all_asked = Arc::clone(&all_asked);
        async move {
            all_asked.wait().await;
            b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n".to_vec()
        }
    })
    .await;
    let keys = Credential::Static(Authorisation::Keys { api_key: "k".into(), session_token: "t".into() });
    let (_, upstream) = Setup::new(Kind::Pluggo).at(&url, keys);
    let read = |index| upstream.read(index, ReadRequest::alone(Priority::Plain));

    let answers = tokio::join!(read(0), read(1), read(2));

    for answer in <[Answer; 3]>::from(answers) {
        assert_eq!(wait_seconds(&answer.result.unwrap_err()), 30);
    }
}

#[tokio::test]
async fn a_call_whose_connection_ends_is_not_repeated_silently() {
    for fault in [FaultKind::Reset, FaultKind::Close] {
        let account = Account::new(Kind::NtxpayBr).await;
        account.read(0).await.unwrap();
        account.queue([Fault::on_balance(fault)]);

        assert!(matches!(
            account.error(0).await,
            UpstreamError::Unreachable(Cause::Closed | Cause::CutShort)
        ));
        assert_eq!(account.calls(), [("balance", Some(200)), ("balance", None)]);
    }
}

#[tokio::test]
async fn the_last_success_and_failure_are_known() {
    let account = Account::new(Kind::Pluggo).await;
    account.queue([Fault::on_balance(status(429))]);

    let before = account.upstream.provider.last();
    account.read(1).await.unwrap_err();
    account.upstream.holds.end(clock::now().monotonic);
    account.read(0).await.unwrap();
    let after = account.upstream.provider.last();

    assert!(before.success.is_none() && before.failure.is_none());
    assert!(after.success.is_some());
    assert_eq!(after.failure.map(|failure| failure.kind), Some(crate::domain::ErrorKind::Throttled));
}
