//! Refreshes in the background: when one starts, and what defers it.

use super::*;

#[tokio::test]
async fn a_stale_snapshot_is_refreshed_once_for_any_number_of_callers() {
    let mut balance = Balance::known().await;
    advance(FRESH_FOR + TICK);

    for _ in 0..5 {
        assert!(matches!(balance.peek(NONE).await, Peek::Stale { is_failing: false, .. }));
        balance.refresh_behind().await;
    }
    let refresh = balance.next_read().await;
    let priority = refresh.priority;
    refresh.succeed();

    assert_eq!(balance.sent().await, 2);
    assert_eq!(priority, Priority::Background);
    assert!(matches!(balance.peek(NONE).await, Peek::Fresh(_)));
}

#[tokio::test]
async fn a_snapshot_exactly_as_old_as_fresh_for_is_refreshed() {
    let balance = Balance::known().await;
    advance(FRESH_FOR);

    assert!(matches!(balance.peek(NONE).await, Peek::Stale { .. }));
    balance.refresh_behind().await;

    assert_eq!(balance.sent().await, 2);
}

/// A read may end after a caller has seen a stale snapshot and before that caller starts the refresh.
#[tokio::test]
async fn a_late_refresh_does_not_prevent_the_next_one() {
    let balance = Balance::known().await;
    balance.refresh_behind().await;
    assert_eq!(balance.sent().await, 1);

    advance(FRESH_FOR + TICK);
    balance.refresh_behind().await;

    assert_eq!(balance.sent().await, 2);
}

#[tokio::test]
async fn a_fresh_snapshot_is_not_refreshed() {
    let balance = Balance::known().await;
    advance(just_under(FRESH_FOR));

    balance.refresh_behind().await;

    assert_eq!(balance.sent().await, 1);
}

#[tokio::test]
async fn a_caller_joins_the_refresh_that_runs() {
    let mut balance = Balance::known().await;
    advance(FRESH_FOR + SECOND);
    balance.refresh_behind().await;
    let refresh = balance.next_read().await;

    let caller = balance.ask(max_age(5));
    settle().await;
    refresh.succeed();

    assert_eq!(requested_at(caller).await, now());
    assert_eq!(balance.sent().await, 2);
}

#[tokio::test]
async fn no_refresh_starts_while_a_failure_defers_it() {
    for is_held in [true, false] {
        let mut balance = Balance::known().await;
        advance(FRESH_FOR + TICK);
        balance.refresh_behind().await;
        let wait = SECOND * 2;
        balance.next_read().await.fail(Failure { is_held, ..held(wait) });
        settle().await;

        advance(just_under(wait));
        assert!(matches!(balance.peek(NONE).await, Peek::Stale { is_failing: true, .. }));
        balance.refresh_behind().await;
        assert_eq!(balance.sent().await, 2, "held: {is_held}");

        advance(TICK);
        balance.refresh_behind().await;
        assert_eq!(balance.sent().await, 3, "held: {is_held}");
    }
}

/// The refresh is requested before the failure that defers it is stored.
#[tokio::test]
async fn a_refresh_overtaken_by_a_failure_waits_for_its_retry_time() {
    let mut balance = Balance::known().await;
    advance(FRESH_FOR);
    let forced = balance.ask(FORCED);
    let read = balance.next_read().await;

    read.fail(refused(UpstreamError::Busy));
    balance.refresh_behind().await;

    assert_eq!(failure(forced).await.error, UpstreamError::Busy);
    assert_eq!(balance.sent().await, 2);
}
