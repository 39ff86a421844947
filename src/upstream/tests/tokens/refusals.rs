//! Tokens that the provider refuses, and token calls that fail.

use super::*;
use crate::upstream::credentials::credential::Issued;
use crate::upstream::credentials::{Token, Tokens};

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
    clock::advance(SECOND);
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
async fn a_configured_token_is_not_renewed() {
    let account = Account::new(Kind::NtxpayBr).await;
    account.queue([refuse()]);

    let failure = account.read(0).await.unwrap_err();

    assert_eq!((failure.error, wait_seconds(&failure)), (UpstreamError::Refused, 30));
    assert_eq!(account.calls(), [REFUSED]);
}
