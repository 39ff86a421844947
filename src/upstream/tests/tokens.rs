//! Tokens of client credentials: one call for many reads, until the token expires.

mod ahead;
mod refusals;

use super::*;

/// The life of a simulated provider's token, unless a test changes it.
const TOKEN_LIFE: Duration = Duration::from_mins(30);

const TOKEN: (&str, Option<u16>) = ("token", Some(201));
const GOOD: (&str, Option<u16>) = ("balance", Some(200));
const REFUSED: (&str, Option<u16>) = ("balance", Some(401));

async fn account() -> Account {
    Setup::new(Kind::NtxpayBr).with_client().with_balances(10).start(Kind::NtxpayBr).await
}

fn refuse() -> Fault {
    Fault::on_balance(FaultKind::RefuseToken { status: 401 })
}

#[tokio::test]
async fn many_reads_share_one_token_call() {
    let account = account().await;
    let reads: Vec<_> = (0..10).map(|index| account.spawn_read(index)).collect();

    for read in reads {
        assert!(read.await.unwrap().result.is_ok());
    }

    let calls = account.calls();
    assert_eq!(calls.iter().filter(|call| **call == TOKEN).count(), 1);
    assert_eq!(calls.len(), 11);
}

#[tokio::test]
async fn a_live_token_is_reused() {
    let account = account().await;

    account.read(0).await.unwrap();
    account.read(0).await.unwrap();

    assert_eq!(account.calls(), [TOKEN, GOOD, GOOD]);
}

#[tokio::test]
async fn the_expiry_of_a_token_is_known() {
    let account = account().await;
    let before = account.upstream.token_expiry();
    account.read(0).await.unwrap();

    let life = account.upstream.token_expiry().unwrap().duration_since(clock::now().wall).as_secs();

    assert!(before.is_none());
    assert!((1770..=1800).contains(&life), "{life}");
}

#[tokio::test]
async fn an_expired_token_is_replaced_by_the_next_read() {
    let account = account().await;
    account.read(0).await.unwrap();
    clock::advance(TOKEN_LIFE);

    assert!(account.read(0).await.is_ok());
    assert_eq!(account.calls(), [TOKEN, GOOD, TOKEN, GOOD]);
}

#[tokio::test]
async fn every_failure_of_the_token_endpoint_holds_the_account() {
    for (fault, seconds) in [
        (status(500), 1),
        (FaultKind::Body { text: "{}".to_owned() }, 5),
        (FaultKind::Reset, 1),
        (status(429), 5),
    ] {
        let account = account().await;
        account.queue([Fault::on_token(fault.clone())]);

        let failure = account.read(0).await.unwrap_err();

        assert_eq!((failure.is_held, wait_seconds(&failure)), (true, seconds), "{fault:?}");
        assert_eq!(account.error(1).await, failure.error, "{fault:?}");
        assert_eq!(account.provider.calls().len(), 1, "{fault:?}");
    }
}

#[tokio::test]
async fn a_transient_failure_of_a_token_call_is_retried_once() {
    let setup = Setup::with(Kind::NtxpayBr, |settings| settings.retries = 1);
    let account = setup.with_client().start(Kind::NtxpayBr).await;
    account.queue([Fault::on_token(status(503))]);

    assert!(account.read(0).await.is_ok());
    assert_eq!(account.calls(), [("token", Some(503)), TOKEN, GOOD]);
}
