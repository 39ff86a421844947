//! What an invalidation, new credentials and the removal of a balance make the cache forget.

use super::*;

#[tokio::test]
async fn a_read_sent_before_an_invalidation_is_not_accepted_after_it() {
    let mut balance = Balance::new();
    let before = balance.ask(NONE);
    let read = balance.next_read().await;
    let sent_at = read.sent_at;
    advance(SECOND);
    let mark = balance.invalidate();
    let after = balance.ask(NONE);
    settle().await;

    read.succeed();

    assert_eq!(requested_at(before).await, sent_at);
    let second = balance.next_read().await;
    assert!(matches!(balance.peek(NONE).await, Peek::Absent { absence: Absence::Stale, .. }));
    second.succeed();
    assert!(requested_at(after).await.monotonic >= mark.monotonic);
    assert!(matches!(balance.peek(NONE).await, Peek::Fresh(_)));
    assert_eq!(balance.sent().await, 2);
}

#[tokio::test]
async fn an_invalidation_affects_only_its_balance() {
    let known = Balance::known().await;
    let mut other = Balance { cache: known.cache.clone(), ..Balance::new() };
    other.key = BalanceKey::new(&AccountName::parse("b").unwrap(), &[], &Selector::default());
    advance(SECOND);

    other.invalidate();

    assert!(matches!(known.peek(NONE).await, Peek::Fresh(_)));
}

#[tokio::test]
async fn a_refresh_sent_before_an_invalidation_is_not_accepted_after_it() {
    let mut balance = Balance::known().await;
    advance(FRESH_FOR + SECOND);
    balance.refresh_behind().await;
    let refresh = balance.next_read().await;
    advance(SECOND);
    balance.invalidate();

    refresh.succeed();
    settle().await;

    assert!(matches!(balance.peek(NONE).await, Peek::Absent { absence: Absence::Stale, .. }));
}

#[tokio::test]
async fn after_an_invalidation_only_callers_without_a_demand_get_the_last_snapshot() {
    let balance = Balance::known().await;
    let known_at = now();
    advance(SECOND * 5);
    balance.invalidate();

    assert_eq!(balance.fallback(NONE).await, Some(known_at));
    assert_eq!(balance.fallback(FORCED).await, None);
    let not_before = Directives { not_before: Some(now().wall), ..NONE };
    assert_eq!(balance.fallback(not_before).await, None);
    let only_if_cached = Directives { only_if_cached: true, ..NONE };
    assert_eq!(balance.fallback(only_if_cached).await, None);
}

fn refused_credentials() -> Failure {
    Failure { error: UpstreamError::Refused, ..held(SECOND * 30) }
}

/// A change of credentials during a read is not lost.
#[tokio::test]
async fn a_refusal_that_arrives_after_the_credentials_changed_is_forgotten() {
    let mut balance = Balance::new();
    let caller = balance.ask(NONE);
    let read = balance.next_read().await;

    balance.cache.forget_refusal(&balance.key).await;
    read.fail(refused_credentials());

    assert_eq!(failure(caller).await, refused_credentials(), "the credentials were refused");
    let next = balance.ask(NONE);
    balance.next_read().await.succeed();
    assert!(got(next).await.result.is_ok(), "the next caller reads again");
}

/// The result of a read that ends at the same time is not lost.
#[tokio::test]
async fn a_read_that_ends_while_a_refusal_is_forgotten_is_kept() {
    let mut balance = Balance::failed(refused_credentials()).await;
    balance.cache.forget_refusal(&balance.key).await;
    let caller = balance.ask(NONE);
    let read = balance.next_read().await;
    let forgetting = {
        let (cache, key) = (balance.cache.clone(), balance.key);
        tokio::spawn(async move { cache.forget_refusal(&key).await })
    };
    read.succeed();

    assert!(got(caller).await.result.is_ok());
    got(forgetting).await;

    assert_eq!(balance.stored_at().await, Some(now()));
    assert_eq!(balance.sent().await, 2);
}

/// A snapshot from before the removal is not found again.
#[tokio::test]
async fn a_removed_balance_is_read_again() {
    let mut balance = Balance::known().await;
    advance(SECOND);

    balance.cache.remove(&[balance.key]).await;

    assert_eq!(balance.stored_at().await, None);
    let caller = balance.ask(NONE);
    balance.next_read().await.succeed();
    assert_eq!(requested_at(caller).await, now());
}
