//! Failed reads: holds, the last snapshot, and who shares a failure.

use super::*;

#[tokio::test]
async fn a_failed_read_keeps_the_last_snapshot() {
    let mut balance = Balance::known().await;
    let known_at = now();
    for _ in 0..3 {
        advance(SECOND);
        let caller = balance.ask(FORCED);
        balance.next_read().await.fail(refused(UpstreamError::Timeout));
        assert_eq!(failure(caller).await.error, UpstreamError::Timeout);
    }

    assert_eq!(balance.stored_at().await, Some(known_at));
    assert!(matches!(balance.peek(NONE).await, Peek::Fresh(_)));
}

#[tokio::test]
async fn a_balance_is_no_longer_failing_after_a_success() {
    let mut balance = Balance::failed(held(SECOND)).await;
    advance(SECOND);
    let caller = balance.ask(NONE);
    balance.next_read().await.succeed();
    assert!(got(caller).await.result.is_ok());

    advance(FRESH_FOR);

    assert!(matches!(balance.peek(NONE).await, Peek::Stale { is_failing: false, .. }));
}

#[tokio::test]
async fn a_held_failure_prevents_every_read_even_a_forced_one() {
    let known = held(SECOND * 5);
    let balance = Balance::failed(known).await;
    advance(just_under(SECOND * 5));

    assert_eq!(failure(balance.ask(NONE)).await, known);
    assert_eq!(failure(balance.ask(FORCED)).await, known);
    assert!(matches!(balance.peek(FORCED).await, Peek::Absent { held: Some(held), .. } if held == known));
    assert_eq!(balance.sent().await, 1);
}

#[tokio::test]
async fn a_hold_does_not_withhold_an_acceptable_snapshot() {
    let mut balance = Balance::known().await;
    advance(SECOND);
    let forced = balance.ask(FORCED);
    balance.next_read().await.fail(held(SECOND * 30));
    assert!(got(forced).await.result.is_err());

    assert!(matches!(balance.peek(NONE).await, Peek::Fresh(_)));
    assert!(got(balance.ask(NONE)).await.result.is_ok());
    assert_eq!(balance.sent().await, 2);
}

#[tokio::test]
async fn waiters_of_a_failed_read_share_its_hold() {
    let mut balance = Balance::new();
    let leader = balance.ask(FORCED);
    let read = balance.next_read().await;
    advance(SECOND);
    let next = balance.ask_all(FORCED, 3);
    settle().await;
    let hold = held(SECOND);

    read.fail(hold);

    assert_eq!(failure(leader).await, hold);
    for caller in next {
        assert_eq!(failure(caller).await, hold);
    }
    assert_eq!(balance.sent().await, 1);
}

#[tokio::test]
async fn the_end_of_a_hold_starts_one_read() {
    let mut balance = Balance::failed(held(SECOND * 5)).await;
    advance(SECOND * 5);

    let callers = balance.ask_all(NONE, 20);
    balance.next_read().await.succeed();

    for caller in callers {
        assert_eq!(requested_at(caller).await, now());
    }
    assert_eq!(balance.sent().await, 2);
}

#[tokio::test]
async fn a_failure_that_is_not_held_is_shared_by_its_waiters_only() {
    let mut balance = Balance::new();
    let callers = balance.ask_all(NONE, 3);
    balance.next_read().await.fail(refused(UpstreamError::Busy));
    for caller in callers {
        assert_eq!(failure(caller).await.error, UpstreamError::Busy);
    }

    let later = balance.ask(NONE);
    balance.next_read().await.succeed();

    assert!(got(later).await.result.is_ok());
    assert_eq!(balance.sent().await, 2);
}

#[tokio::test]
async fn only_callers_that_allow_it_get_the_last_snapshot_after_an_error() {
    let within = |seconds| Directives { stale_if_error: Some(SECOND * seconds), ..FORCED };
    let balance = Balance::known().await;
    let known_at = now();
    advance(SECOND * 5);

    assert_eq!(balance.fallback(within(5)).await, Some(known_at));
    assert_eq!(balance.fallback(within(4)).await, None);
    assert_eq!(balance.fallback(FORCED).await, None);
    assert_eq!(balance.fallback(NONE).await, None);
    let not_before = Directives { not_before: Some(now().wall), ..within(600) };
    assert_eq!(balance.fallback(not_before).await, None);
}

#[tokio::test]
async fn a_last_snapshot_without_time_to_leave_is_not_served() {
    let balance = Balance::known().await;
    advance(SECOND);
    balance.invalidate();
    let patient = Directives { stale_if_error: Some(SECOND * 600), ..FORCED };

    advance(just_under(LATEST_START.saturating_sub(SECOND)));
    assert!(balance.fallback(patient).await.is_some());
    assert!(balance.fallback(NONE).await.is_some());

    advance(TICK);
    assert_eq!(balance.fallback(patient).await, None);
    assert_eq!(balance.fallback(NONE).await, None);
}

#[tokio::test]
async fn a_refusal_at_a_smaller_share_of_the_budget_does_not_apply_to_a_larger_one() {
    let mut balance = Balance::new();
    let plain = balance.ask_all(NONE, 2);
    let refusal = balance.next_read().await;
    let demanded = balance.ask_all(max_age(5), 3);
    settle().await;
    let of_plain = refusal.priority;

    refusal.fail(refused(UpstreamError::BudgetExhausted));
    let second = balance.next_read().await;
    let of_demanded = second.priority;
    second.succeed();

    for caller in plain {
        assert_eq!(failure(caller).await.error, UpstreamError::BudgetExhausted);
    }
    for caller in demanded {
        assert_eq!(requested_at(caller).await, now());
    }
    assert_eq!((of_plain, of_demanded), (Priority::Plain, Priority::Demanded));
    assert_eq!(balance.sent().await, 2);
}

#[tokio::test]
async fn a_refusal_of_the_whole_budget_applies_to_all_waiters() {
    let mut balance = Balance::new();
    let demanded = balance.ask(max_age(5));
    let refusal = balance.next_read().await;
    let others = [balance.ask(NONE), balance.ask(max_age(5))];
    settle().await;

    refusal.fail(refused(UpstreamError::BudgetExhausted));

    assert_eq!(failure(demanded).await.error, UpstreamError::BudgetExhausted);
    for caller in others {
        assert_eq!(failure(caller).await.error, UpstreamError::BudgetExhausted);
    }
    assert_eq!(balance.sent().await, 1);
}

#[tokio::test]
async fn a_read_that_panics_is_a_defect_for_its_waiters_only() {
    let mut balance = Balance::new();
    let callers = balance.ask_all(NONE, 3);

    drop(balance.next_read().await);

    for caller in callers {
        assert_eq!(failure(caller).await, Failure::DEFECT);
    }
    assert_eq!(balance.sent().await, 1);
    let later = balance.ask(NONE);
    balance.next_read().await.succeed();
    assert_eq!(requested_at(later).await, now());
}

#[tokio::test]
async fn a_read_that_panics_keeps_the_last_snapshot() {
    let mut balance = Balance::known().await;
    let known_at = now();
    advance(SECOND);
    let forced = balance.ask(FORCED);

    drop(balance.next_read().await);

    assert_eq!(failure(forced).await, Failure::DEFECT);
    assert_eq!(balance.stored_at().await, Some(known_at));
}
