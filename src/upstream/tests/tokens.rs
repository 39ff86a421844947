//! Tokens of client credentials: one call for many reads, renewals after a refusal and ahead of time.

use super::*;
use crate::upstream::credentials::credential::Issued;
use crate::upstream::credentials::{Token, Tokens};

const TOKEN: (&str, Option<u16>) = ("token", Some(201));
const GOOD: (&str, Option<u16>) = ("balance", Some(200));
const REFUSED: (&str, Option<u16>) = ("balance", Some(401));

async fn account() -> Account {
    Setup::new(Kind::NtxpayBr).with_client().with_balances(10).start(Kind::NtxpayBr).await
}

fn refuse() -> Fault {
    Fault::on_balance(FaultKind::RefuseToken { status: 401 })
}

/// Returns when every call has ended.
async fn until_idle(account: &Account) {
    let idle = async {
        while account.in_flight() > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONGEST_WAIT, idle).await.unwrap();
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
    account.provider.set_token_life(1);
    account.read(0).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1050)).await;

    assert!(account.read(0).await.is_ok());
    assert_eq!(account.calls(), [TOKEN, GOOD, TOKEN, GOOD]);
}

#[tokio::test]
async fn a_refusal_causes_one_renewal_and_one_repeat() {
    let account = account().await;
    account.read(0).await.unwrap();
    account.queue([Fault::on_balance(FaultKind::ExpireToken)]);

    assert!(account.read(0).await.is_ok());
    assert_eq!(account.calls(), [TOKEN, GOOD, REFUSED, TOKEN, GOOD]);
}

#[tokio::test]
async fn reads_that_are_refused_together_share_one_renewal() {
    let account = account().await;
    account.read(0).await.unwrap();
    account.provider.expire_tokens();

    let (first, second) = tokio::join!(account.read(1), account.read(2));

    assert!(first.is_ok() && second.is_ok());
    assert_eq!(account.calls().iter().filter(|call| **call == TOKEN).count(), 2);
}

/// Some providers accept a new token only after a moment.
#[tokio::test]
async fn a_new_token_that_is_refused_is_tried_again_in_the_same_read() {
    let account = account().await;
    account.queue([refuse().times(2)]);

    assert!(account.read(0).await.is_ok());

    assert_eq!(account.calls(), [TOKEN, REFUSED, REFUSED, GOOD]);
}

/// This failure is held for a second, doubling to five.
#[tokio::test]
async fn a_new_token_that_stays_refused_holds_the_account_for_a_second() {
    let account = account().await;
    account.queue([refuse().times(100)]);

    let failure = account.read(0).await.unwrap_err();

    assert_eq!((failure.error, failure.is_held), (UpstreamError::Refused, true));
    assert_eq!(wait_seconds(&failure), 1);
    assert_eq!(account.error(1).await, UpstreamError::Refused, "it holds the account");
    assert_eq!(account.calls(), [TOKEN, REFUSED, REFUSED, REFUSED, REFUSED]);
}

/// A token call for each read would be too many.
#[tokio::test]
async fn a_renewed_token_that_is_refused_leaves_the_previous_one_in_use() {
    let account = account().await;
    account.provider.set_token_life(4);
    account.read(0).await.unwrap();
    account.provider.wait_for_calls(3).await;
    until_idle(&account).await;
    account.queue([refuse()]);

    account.read(0).await.unwrap();
    account.read(0).await.unwrap();

    let calls = account.provider.calls();
    let used: Vec<_> = calls.iter().map(|call| call.header("authorization").unwrap_or_default()).collect();
    assert_eq!(account.calls(), [TOKEN, GOOD, TOKEN, REFUSED, GOOD, GOOD]);
    assert_eq!((used[4], used[5]), (used[1], used[1]), "with the previous token");
    assert_ne!(used[3], used[1]);
}

#[tokio::test]
async fn refused_credentials_hold_the_account_for_thirty_seconds() {
    let account = account().await;
    account.read(0).await.unwrap();
    let token = account.upstream.tokens.live(clock::monotonic()).unwrap();
    let before = clock::monotonic().checked_sub(SECOND * 10).unwrap();
    assert!(account.upstream.tokens.is_settling(&never_accepted(), before), "refused for ten seconds");
    account.queue([refuse().times(100)]);

    let failure = account.read(0).await.unwrap_err();

    assert!(token.was_accepted());
    assert_eq!((failure.error, wait_seconds(&failure)), (UpstreamError::Refused, 30));
    assert_eq!(account.calls(), [TOKEN, GOOD, REFUSED, TOKEN, REFUSED]);
}

fn never_accepted() -> Arc<Token> {
    let issued = Issued { authorisation: Authorisation::Bearer("t".into()), life: SECOND * 60 };
    Tokens::<()>::default().store(issued, clock::now())
}

#[tokio::test]
async fn a_refusal_soon_after_a_renewal_holds_only_until_the_next_renewal_is_permitted() {
    let account = account().await;
    account.read(0).await.unwrap();
    account.queue([refuse()]);
    account.read(0).await.unwrap();
    tokio::time::sleep(SECOND).await;
    account.queue([refuse()]);

    let failure = account.read(0).await.unwrap_err();

    assert_eq!((failure.error, failure.is_held), (UpstreamError::Refused, true));
    assert!((5..=9).contains(&wait_seconds(&failure)), "{}", wait_seconds(&failure));
    assert_eq!(account.error(1).await, UpstreamError::Refused, "it holds the account");
    assert_eq!(account.calls(), [TOKEN, GOOD, REFUSED, TOKEN, GOOD, REFUSED]);
}

#[tokio::test]
async fn a_refusal_by_the_token_endpoint_means_refused_credentials() {
    for code in [400, 401, 403] {
        let account = account().await;
        account.queue([Fault::on_token(status(code))]);

        let failure = account.read(0).await.unwrap_err();

        assert_eq!((failure.error, wait_seconds(&failure)), (UpstreamError::Refused, 30), "{code}");
        assert_eq!(account.error(1).await, UpstreamError::Refused, "{code}");
        assert_eq!(account.calls(), [("token", Some(code))]);
    }
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

#[tokio::test]
async fn a_configured_token_is_not_renewed() {
    let account = Account::new(Kind::NtxpayBr).await;
    account.queue([refuse()]);

    let failure = account.read(0).await.unwrap_err();

    assert_eq!((failure.error, wait_seconds(&failure)), (UpstreamError::Refused, 30));
    assert_eq!(account.calls(), [REFUSED]);
}

/// Tokens live 2 s and are renewed after 1 s. The first token is used, the second is not.
#[tokio::test]
async fn a_token_is_renewed_ahead_of_time_only_when_it_was_used() {
    let account = account().await;
    account.provider.set_token_life(2);
    account.read(0).await.unwrap();

    account.provider.wait_for_calls(3).await;
    let renewed = account.calls();
    tokio::time::sleep(Duration::from_millis(1500)).await;

    assert_eq!(renewed[..2], [TOKEN, GOOD]);
    assert_eq!(account.calls(), [TOKEN, GOOD, TOKEN]);
}

#[tokio::test]
async fn the_next_read_uses_a_token_renewed_ahead_of_time() {
    let account = account().await;
    account.provider.set_token_life(2);
    account.read(0).await.unwrap();
    account.provider.wait_for_calls(3).await;
    until_idle(&account).await;

    account.read(0).await.unwrap();

    let calls = account.provider.calls();
    assert_eq!(account.calls(), [TOKEN, GOOD, TOKEN, GOOD]);
    assert_ne!(calls[1].header("authorization"), calls[3].header("authorization"));
}

#[tokio::test]
async fn a_renewal_ahead_of_time_that_fails_causes_no_hold() {
    let account = account().await;
    account.provider.set_token_life(3);
    account.read(0).await.unwrap();
    account.queue([Fault::on_token(status(500))]);
    account.provider.wait_for_calls(3).await;
    until_idle(&account).await;

    assert!(account.read(0).await.is_ok());
    assert_eq!(account.calls(), [TOKEN, GOOD, ("token", Some(500)), GOOD]);
}
