//! The ages of stored balances: answers with an `Age`, and steps of the store's clock.

use super::*;

pub(super) fn an_aged_answer_comes_after_a_young_one() -> Schedule {
    let aged = Ending::Success { age: 20 * SECOND };
    let steps = vec![(0, plain(0, 0)), (SECOND, new(1, 0)), (3 * SECOND, plain(2, 0))];
    story(Mood::Calm, AMPLE, steps, &[(100, OK), (100, aged.clone()), (100, aged)])
}

/// The look-up takes a little longer than the step of the clock, and the answer is older than its demand.
pub(super) fn the_stores_clock_steps_between_look_up_and_grant() -> Schedule {
    let steps = (0..12).flat_map(|after| {
        [(9 * SECOND, no_cache(0, 0)), (after, Action::StepClock { whose: STORE, by: 29 * SECOND })]
    });
    story(Mood::Wild, AMPLE, steps.collect(), &[(10, Ending::Success { age: 8 * SECOND })])
}

/// After the step, the ages of stored balances are unknown, so the balance is read again. That read is shared.
pub(super) fn the_stores_clock_is_set_before_a_look_up() -> Schedule {
    let step = Action::StepClock { whose: STORE, by: 5 * SECOND };
    story(Mood::Wild, AMPLE, vec![(0, plain(0, 0)), (SECOND, step), (2 * SECOND, plain(1, 0))], &[(10, OK)])
}

/// The wall clock of the replica that joins is behind, so it does not show the true age of the stored balance.
pub(super) fn a_replica_joins_after_the_stores_clock_was_set_back() -> Schedule {
    let step = Action::StepClock { whose: STORE, by: -20 * SECOND };
    let steps = vec![(0, plain(0, 0)), (5 * SECOND, step), (24 * SECOND, plain(2, 0))];
    let (links, skews) = ([0, 0, 10 * SECOND], [0, 0, -40 * SECOND, 0]);
    Schedule { skews, links, ..story(Mood::Wild, AMPLE, steps, &[(10, OK)]) }
}

/// The clock is set back by more than the time for which a replica doubts it. A new read still has a number above the
/// old one.
pub(super) fn the_stores_clock_is_set_back_and_its_numbers_are_lost() -> Schedule {
    let steps = vec![
        (0, no_cache(0, 0)),
        (SECOND, Action::Kill(0)),
        (0, Action::StepClock { whose: STORE, by: -100 * SECOND }),
        (70 * SECOND, no_cache(0, 0)),
    ];
    story(Mood::Wild, AMPLE, steps, &[(10, OK)])
}

/// The store's clock is set back, and later shows the instant of an old snapshot again. The third replica's wall clock
/// is as far behind, so it does not show the true age either.
fn snapshot_of_an_old_epoch(last: &[(Ms, Ending)]) -> Schedule {
    let steps = vec![
        (0, plain(0, 0)),
        (5 * SECOND, Action::StepClock { whose: STORE, by: -100 * SECOND }),
        (SECOND, new(0, 1)),
        (SECOND, plain(2, 1)),
        (108 * SECOND, plain(2, 0)),
    ];
    let replies = [&[(10, OK), (10, OK), (10, OK)], last].concat();
    Schedule { skews: [0, 0, -110 * SECOND, 0], ..story(Mood::Wild, AMPLE, steps, &replies) }
}

pub(super) fn a_snapshot_outlives_its_epoch() -> Schedule {
    snapshot_of_an_old_epoch(&[(10, OK)])
}

pub(super) fn a_snapshot_outlives_its_epoch_where_a_read_fails() -> Schedule {
    snapshot_of_an_old_epoch(&[(10, STATUS), (10, STATUS)])
}

/// By the store's clock, the snapshot is from the future. The third replica's wall clock is behind and agrees.
pub(super) fn a_snapshot_is_of_an_instant_to_come() -> Schedule {
    let step = Action::StepClock { whose: STORE, by: -20 * SECOND };
    let steps =
        vec![(0, new(0, 1)), (50 * SECOND, plain(0, 0)), (2 * SECOND, step), (8 * SECOND, plain(2, 0))];
    let (links, skews) = ([0, 0, 55 * SECOND], [0, 0, -10 * SECOND, 0]);
    Schedule { skews, links, ..story(Mood::Wild, AMPLE, steps, &[(10, OK)]) }
}
