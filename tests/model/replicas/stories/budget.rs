//! The calls of a budget, and what the store loses of them.

use super::*;

pub(super) fn a_call_takes_longer_than_its_span() -> Schedule {
    let steps = vec![(0, new(0, 0)), (8 * SECOND, new(0, 0)), (6 * SECOND, new(1, 1))];
    let budget = Terms { requests: 1, per: 5 * SECOND };
    story(Mood::Calm, budget, steps, &[(10, OK), (9 * SECOND, OK), (10, OK)])
}

/// One replica uses up a budget of four calls, in an epoch that is older than `per`. Then these actions happen, and
/// another replica, which knows the store's clock, requests as many calls.
fn spend_around(actions: &[(Ms, Action)]) -> Schedule {
    let spend =
        |first: Ms, by: usize| [(first, new(by, 0)), (0, new(by, 1)), (300, new(by, 0)), (0, new(by, 1))];
    let mut steps = vec![(0, new(0, 0)), (21 * SECOND, new(1, 1)), (21 * SECOND, Action::Replicate)];
    steps.extend(spend(100, 0));
    steps.extend_from_slice(actions);
    steps.extend(spend(300, 1));
    story(Mood::Spending, Terms { requests: 4, per: 20 * SECOND }, steps, &[(50, OK)])
}

pub(super) fn the_stores_clock_steps_ahead() -> Schedule {
    spend_around(&[(300, Action::StepClock { whose: STORE, by: 50 * SECOND })])
}

pub(super) fn a_fail_over_loses_calls() -> Schedule {
    // The first replica makes one more request, and so writes its calls back.
    spend_around(&[(300, Action::FailOver(0)), (6 * SECOND, new(0, 0))])
}

pub(super) fn the_log_of_calls_is_evicted() -> Schedule {
    spend_around(&[(300, Action::Evict(CALLS))])
}

/// The replica that made the calls makes no further request: it writes them back after it has reconnected.
pub(super) fn a_fail_over_loses_calls_and_who_made_them_asks_for_no_more() -> Schedule {
    spend_around(&[(300, Action::FailOver(0)), (6 * SECOND, Action::Replicate)])
}

/// No replica writes the lost calls back to the store.
pub(super) fn a_fail_over_loses_calls_of_a_replica_that_stays_away() -> Schedule {
    spend_around(&[(300, weather(0, LOST)), (10, Action::FailOver(0)), (1500, Action::Replicate)])
}

/// When the replica shares again, it writes these calls to the store before another replica uses up the budget.
pub(super) fn a_replica_makes_calls_alone() -> Schedule {
    let steps = vec![
        (0, new(0, 0)),
        (21 * SECOND, new(1, 1)),
        (21 * SECOND, weather(0, LOST)),
        (4 * SECOND, new(0, 0)),
        (500, weather(0, FOUND)),
        (8 * SECOND, new(1, 0)),
        (0, new(1, 1)),
        (300, new(1, 0)),
        (0, new(1, 1)),
    ];
    story(Mood::Spending, Terms { requests: 4, per: 20 * SECOND }, steps, &[(50, OK)])
}

/// The second replica joined long before the account was used, so that it does not know when the epoch began.
pub(super) fn the_stores_clock_steps_ahead_in_an_unknown_epoch() -> Schedule {
    let steps = vec![
        (90 * SECOND, new(0, 0)),
        (21 * SECOND, new(0, 1)),
        (21 * SECOND, new(0, 0)),
        (0, new(0, 1)),
        (300, new(0, 0)),
        (0, new(0, 1)),
        (300, Action::StepClock { whose: STORE, by: 50 * SECOND }),
        (300, new(1, 0)),
        (0, new(1, 1)),
        (300, new(1, 0)),
        (0, new(1, 1)),
    ];
    story(Mood::Spending, Terms { requests: 4, per: 20 * SECOND }, steps, &[(50, OK)])
}

/// As [`calls_from_before_a_step_back_stop_counting`], in an epoch that is as young as the step is long.
pub(super) fn the_stores_clock_steps_back_in_a_young_epoch() -> Schedule {
    let steps = vec![
        (0, new(0, 0)),
        (7 * SECOND, new(0, 0)),
        (0, new(1, 1)),
        (100, Action::StepClock { whose: STORE, by: -8 * SECOND }),
        (100, new(2, 0)),
        (7 * SECOND, new(1, 1)),
        (0, new(1, 0)),
    ];
    story(Mood::Spending, Terms { requests: 3, per: 5 * SECOND }, steps, &[(10, OK)])
}

/// The clock is set back twice. The first replica knows the epoch that began because of the first step.
pub(super) fn the_stores_clock_steps_back_twice() -> Schedule {
    let back = Action::StepClock { whose: STORE, by: -8 * SECOND };
    let steps = vec![
        (0, new(0, 0)),
        (20 * SECOND, back.clone()),
        (100, new(0, 0)),
        (7 * SECOND, new(0, 0)),
        (0, new(0, 1)),
        (2 * SECOND, back),
        (2 * SECOND, new(0, 0)),
        (100, new(1, 0)),
        (6200, new(1, 1)),
        (100, new(2, 0)),
    ];
    story(Mood::Spending, Terms { requests: 3, per: 5 * SECOND }, steps, &[(10, OK)])
}

/// The clock is set ahead twice. The second replica does not know the epoch that began because of the first step.
pub(super) fn the_stores_clock_steps_ahead_twice() -> Schedule {
    let steps = vec![
        (0, new(0, 0)),
        (21 * SECOND, new(1, 0)),
        (SECOND, Action::StepClock { whose: STORE, by: 30 * SECOND }),
        (300, new(0, 0)),
        (21 * SECOND, new(0, 0)),
        (0, new(0, 1)),
        (300, new(0, 0)),
        (0, new(0, 1)),
        (300, Action::StepClock { whose: STORE, by: 50 * SECOND }),
        (300, new(1, 0)),
        (0, new(1, 1)),
        (300, new(1, 0)),
        (0, new(1, 1)),
    ];
    story(Mood::Spending, Terms { requests: 4, per: 20 * SECOND }, steps, &[(50, OK)])
}

/// The store's clock is set back. One `per` after the calls and the new epoch, the whole budget is free again, although
/// the instants of the calls are in the future.
pub(super) fn calls_from_before_a_step_back_stop_counting() -> Schedule {
    let steps = vec![
        (0, new(0, 0)),
        (20 * SECOND, new(2, 0)),
        (7 * SECOND, new(0, 0)),
        (0, new(1, 1)),
        (100, Action::StepClock { whose: STORE, by: -8 * SECOND }),
        (100, new(2, 0)),
        (7 * SECOND, new(1, 1)),
        (0, new(1, 0)),
    ];
    story(Mood::Spending, Terms { requests: 3, per: 5 * SECOND }, steps, &[(10, OK)])
}
