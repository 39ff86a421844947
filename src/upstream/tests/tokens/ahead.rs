//! Renewals ahead of time.

use super::*;

/// Returns when every call has ended.
async fn until_idle(account: &Account) {
    until(|| account.in_flight() == 0).await;
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

/// Tokens live 2 s and are renewed after 1 s. The first token is used, the second is not.
#[tokio::test]
async fn a_token_is_renewed_ahead_of_time_only_when_it_was_used() {
    let account = account().await;
    account.provider.set_token_life(2);
    account.read(0).await.unwrap();

    account.provider.wait_for_calls(3).await;
    let renewed = account.calls();
    until_idle(&account).await;
    until(|| account.upstream.tokens.live(clock::monotonic()).is_none()).await;

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
