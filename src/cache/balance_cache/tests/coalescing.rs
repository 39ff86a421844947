//! Callers that ask for one balance at the same time share one read. Any of them may leave before it ends.

use super::*;

#[tokio::test]
async fn many_callers_share_one_read() {
    let mut balance = Balance::new();
    let callers = balance.ask_all(NONE, 50);

    balance.next_read().await.succeed();

    for caller in callers {
        assert_eq!(requested_at(caller).await, now());
    }
    assert_eq!(balance.sent().await, 1);
}

#[tokio::test]
async fn only_the_leader_is_not_collapsed() {
    let mut balance = Balance::new();
    let callers = balance.ask_all(NONE, 5);

    balance.next_read().await.succeed();

    let mut collapsed = 0;
    for caller in callers {
        collapsed += u32::from(got(caller).await.is_collapsed);
    }
    assert_eq!(collapsed, 4);
}

#[tokio::test]
async fn two_balances_do_not_wait_for_each_other() {
    let mut first = Balance::new();
    let mut second = Balance { cache: first.cache.clone(), ..Balance::new() };
    second.key = BalanceKey::new(&AccountName::parse("b").unwrap(), &[], &Selector::default());
    let waiting = first.ask(NONE);
    let stalled = first.next_read().await;

    let caller = second.ask(NONE);
    second.next_read().await.succeed();

    assert_eq!(requested_at(caller).await, now());
    stalled.succeed();
    assert!(got(waiting).await.result.is_ok());
}

#[tokio::test]
async fn a_leader_that_leaves_changes_nothing() {
    let mut balance = Balance::new();
    let leader = balance.ask(NONE);
    let read = balance.next_read().await;
    let waiters = balance.ask_all(NONE, 3);
    settle().await;

    leader.abort();
    settle().await;
    read.succeed();

    for waiter in waiters {
        assert_eq!(requested_at(waiter).await, now());
    }
    assert_eq!(balance.sent().await, 1);
    assert!(matches!(balance.peek(NONE).await, Peek::Fresh(_)));
}

#[tokio::test]
async fn a_read_without_waiters_is_stored() {
    let mut balance = Balance::new();
    let leader = balance.ask(NONE);
    let read = balance.next_read().await;
    leader.abort();
    assert!(leader.await.unwrap_err().is_cancelled());

    read.succeed();
    settle().await;

    assert!(matches!(balance.peek(NONE).await, Peek::Fresh(_)));
}

#[tokio::test]
async fn a_forced_read_shares_the_next_read_and_never_the_running_one() {
    let mut balance = Balance::new();
    let before = balance.ask_all(FORCED, 5);
    let first = balance.next_read().await;
    advance(SECOND);
    let during = balance.ask_all(FORCED, 7);
    settle().await;
    let first_sent_at = first.sent_at;

    first.succeed();
    let second = balance.next_read().await;
    let second_sent_at = second.sent_at;
    second.succeed();

    for caller in before {
        assert_eq!(requested_at(caller).await, first_sent_at);
    }
    for caller in during {
        assert_eq!(requested_at(caller).await, second_sent_at);
    }
    assert_eq!(balance.sent().await, 2);
}

#[tokio::test]
async fn a_demand_that_the_running_read_satisfies_joins_it() {
    let mut balance = Balance::new();
    let leader = balance.ask(NONE);
    let read = balance.next_read().await;
    advance(SECOND * 3);
    let joining = balance.ask(max_age(3));
    let stricter = balance.ask(max_age(2));
    settle().await;
    let sent_at = read.sent_at;

    read.succeed();

    assert_eq!(requested_at(leader).await, sent_at);
    assert_eq!(requested_at(joining).await, sent_at);
    balance.next_read().await.succeed();
    assert_eq!(requested_at(stricter).await, now());
    assert_eq!(balance.sent().await, 2);
}

#[tokio::test]
async fn a_forced_read_is_served_to_all_later_callers() {
    let mut balance = Balance::known().await;
    advance(SECOND);

    let forced = balance.ask(FORCED);
    balance.next_read().await.succeed();

    assert_eq!(requested_at(forced).await, now());
    assert_eq!(balance.stored_at().await, Some(now()));
}
