//! The age of a snapshot: its boundaries, two clocks, and the `Age` of an answer.

use super::*;

#[tokio::test]
async fn an_age_is_judged_at_its_boundary() {
    for (age, expected) in [
        (Duration::ZERO, "fresh"),
        (just_under(FRESH_FOR), "fresh"),
        (FRESH_FOR, "stale"),
        (just_under(LATEST_START), "stale"),
        (LATEST_START, "absent"),
    ] {
        let balance = Balance::known().await;
        advance(age);

        let judged = match balance.peek(NONE).await {
            Peek::Fresh(_) => "fresh",
            Peek::Stale { is_failing: false, .. } => "stale",
            Peek::Stale { is_failing: true, .. } => "failing",
            Peek::Absent { absence: Absence::Stale, held: None } => "absent",
            Peek::Absent { .. } => "absent for another reason",
        };

        assert_eq!(judged, expected, "{age:?}");
    }
}

#[tokio::test]
async fn a_wall_clock_that_steps_forward_ages_a_snapshot() {
    let balance = Balance::known().await;

    step_wall_clock(MAX_AGE);

    assert!(matches!(balance.peek(NONE).await, Peek::Absent { absence: Absence::Stale, .. }));
}

#[tokio::test]
async fn an_absence_has_its_reason() {
    let empty = Balance::new();
    let known = Balance::known().await;
    advance(SECOND);

    let absence = |peek| match peek {
        Peek::Absent { absence, .. } => Some(absence),
        Peek::Fresh(_) | Peek::Stale { .. } => None,
    };

    assert_eq!(absence(empty.peek(NONE).await), Some(Absence::UriMiss));
    assert_eq!(absence(known.peek(FORCED).await), Some(Absence::Request));
    known.invalidate();
    assert_eq!(absence(known.peek(FORCED).await), Some(Absence::Stale));
}

#[tokio::test]
async fn an_acceptable_snapshot_is_served_without_a_read() {
    let balance = Balance::known().await;
    let known_at = now();
    advance(just_under(LATEST_START));

    let caller = balance.ask(NONE);

    assert_eq!(requested_at(caller).await, known_at);
    assert_eq!(balance.sent().await, 1);
}

#[tokio::test]
async fn a_balance_at_the_ceiling_is_read_again() {
    let mut balance = Balance::known().await;
    advance(MAX_AGE);

    let caller = balance.ask(NONE);
    balance.next_read().await.succeed();

    assert_eq!(requested_at(caller).await, now());
}

#[tokio::test]
async fn an_older_snapshot_never_replaces_a_younger_one() {
    let mut balance = Balance::known().await;
    let known_at = now();
    advance(SECOND);

    let forced = balance.ask(FORCED);
    balance.next_read().await.succeed_with_age(SECOND * 5);

    assert!(got(forced).await.result.is_err());
    assert_eq!(balance.stored_at().await, Some(known_at));
}

#[tokio::test]
async fn a_snapshot_that_is_older_by_the_wall_clock_is_replaced() {
    let mut balance = Balance::known().await;
    advance(SECOND);
    step_wall_clock(SECOND * 30);

    let forced = balance.ask(FORCED);
    balance.next_read().await.succeed_with_age(SECOND * 5);

    assert!(got(forced).await.result.is_err());
    assert_eq!(balance.stored_at().await, Some(now().earlier_by(SECOND * 5)));
}

#[tokio::test]
async fn a_wall_clock_step_during_a_read_does_not_count_as_the_age_of_its_answer() {
    let mut balance = Balance::new();
    let leader = balance.ask(NONE);
    let read = balance.next_read().await;
    step_wall_clock(MAX_AGE);
    let joining = balance.ask(NONE);

    read.succeed();
    balance.next_read().await.succeed();

    assert_eq!(requested_at(leader).await, now());
    assert_eq!(requested_at(joining).await, now());
}

#[tokio::test]
async fn an_answer_that_is_too_old_by_its_age_is_invalid_for_its_waiters() {
    let mut balance = Balance::new();
    let callers = balance.ask_all(FORCED, 3);

    balance.next_read().await.succeed_with_age(SECOND * 5);

    for caller in callers {
        let failure = failure(caller).await;
        assert!(matches!(failure.error, UpstreamError::Invalid(error) if error.field == "Age"));
        assert!(!failure.is_held);
    }
    assert_eq!(balance.sent().await, 1);
    assert!(matches!(balance.peek(NONE).await, Peek::Fresh(_)), "it is stored for others");
}

#[tokio::test]
async fn an_age_of_exactly_the_ceiling_is_too_old_and_is_not_retried() {
    let mut balance = Balance::new();
    let caller = balance.ask(NONE);

    balance.next_read().await.succeed_with_age(MAX_AGE);
    settle().await;

    assert_eq!(balance.sent().await, 1);
    assert!(matches!(failure(caller).await.error, UpstreamError::Invalid(_)));
}

#[tokio::test]
async fn reads_that_expire_before_they_are_served_end_in_a_time_out() {
    let mut balance = Balance::new();
    let caller = balance.ask(NONE);

    while balance.sent().await > 0 && !caller.is_finished() {
        let read = balance.next_read().await;
        advance(MAX_AGE);
        read.succeed();
        settle().await;
    }

    assert_eq!(failure(caller).await.error, UpstreamError::Timeout);
    let sent = balance.sent().await;
    assert!((2..=MOST_ROUNDS as usize).contains(&sent), "{sent}");
}

/// The answer of another replica's read with this turn: its number, and its instant by the store's clock.
fn found(number: u64, instant: u64, age: Duration) -> Answer {
    let turn = Turn { number, instant: StoreTime::from_micros(instant) };
    let snapshot = Arc::unwrap_or_clone(snapshot(now().earlier_by(age))).with_turn(Some(turn));
    let sent_at = snapshot.requested_at().monotonic;
    let result = Ok(Arc::new(snapshot));
    Answer { priority: Priority::Plain, sent_at, turn: Some(turn), is_from_other_replica: true, result }
}

#[test]
fn a_snapshot_found_again_in_the_store_gets_no_younger_and_an_older_one_is_ignored() {
    let now = now();
    let first = Entry::after(None, found(7, 7, SECOND * 50), None, now);

    for (number, age, kept) in [(7, 5, 50), (6, 5, 50), (8, 5, 5)] {
        let next = Entry::after(Some(&first), found(number, number, SECOND * age), None, now);
        assert_eq!(next.snapshot().unwrap().age_at(now), SECOND * kept, "{number}");
    }
}

#[tokio::test]
async fn a_later_read_of_another_replica_that_is_older_by_its_age_is_kept_only_on_demand() {
    let now = now();
    let first = Entry::after(None, found(7, 7, SECOND * 5), None, now);

    let next = Entry::after(Some(&first), found(9, 3, SECOND * 20), None, now);
    assert_eq!(next.snapshot().unwrap().age_at(now), SECOND * 5);
    assert_eq!(next.latest_turn().unwrap().number, 9, "it is not looked up again");

    let limits = Balance::new().question(NONE).limits;
    let demand = NONE.demand(now, limits).with_any_turn();
    let next = Entry::after(Some(&first), found(9, 3, SECOND * 20), Some(&demand), now);
    assert_eq!(next.snapshot().unwrap().age_at(now), SECOND * 20);
}

#[test]
fn a_snapshot_read_alone_stays_where_another_replica_has_an_older_one() {
    let now = now();
    let sent_at = now.earlier_by(SECOND * 5);
    let alone = Answer {
        priority: Priority::Plain,
        sent_at: sent_at.monotonic,
        turn: None,
        is_from_other_replica: false,
        result: Ok(snapshot(sent_at)),
    };
    let alone = Entry::after(None, alone, None, now);
    let demand = NONE.demand(now, Balance::new().limits).with_any_turn();

    let next = Entry::after(Some(&alone), found(7, 7, SECOND * 20), Some(&demand), now);

    assert_eq!(next.snapshot().unwrap().age_at(now), SECOND * 5);
    assert!(next.kept_alone().is_some(), "so that it is published");
}
