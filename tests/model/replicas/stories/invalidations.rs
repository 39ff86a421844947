//! Invalidations and notifications.

use super::*;

pub(super) fn an_invalidation_is_missed() -> Schedule {
    let steps = vec![
        (0, plain(1, 0)),
        (SECOND, weather(1, LOST)),
        (SECOND, Action::Invalidate { replica: 0, balance: 0 }),
        (SECOND, weather(1, FOUND)),
        (6 * SECOND, plain(1, 0)),
    ];
    story(Mood::Wild, AMPLE, steps, &[(10, OK)])
}

pub(super) fn the_stores_clock_steps_back_before_an_invalidation() -> Schedule {
    let steps = vec![
        (0, plain(0, 0)),
        (200, Action::StepClock { whose: STORE, by: -1500 }),
        (100, Action::Invalidate { replica: 1, balance: 0 }),
        (5 * SECOND, plain(0, 0)),
    ];
    story(Mood::Wild, AMPLE, steps, &[(10, OK)])
}

pub(super) fn notifications_arrive_everywhere() -> Schedule {
    let mut steps = vec![(0, plain(0, 0)), (SECOND, plain(1, 1))];
    let storm = (0..60).map(|number| (50, Action::Notify { replica: number % REPLICAS }));
    steps.extend(storm);
    story(Mood::Calm, AMPLE, steps, &[(10, OK)])
}

/// The read began after the invalidation, but the `Age` of its answer makes the balance older. A replica looks it up
/// once, and then reads.
pub(super) fn a_stored_answer_is_older_than_the_invalidation() -> Schedule {
    let young = Asks { max_age: Some(40), ..Asks::default() };
    let steps = vec![
        (0, Action::Invalidate { replica: 0, balance: 0 }),
        (SECOND, plain(1, 0)),
        (SECOND, ask(2, 0, young)),
    ];
    story(Mood::Calm, AMPLE, steps, &[(100, Ending::Success { age: 8 * SECOND }), (100, OK)])
}

/// The store has lost its data, and its clock was set back. By that clock, the invalidation seems to be earlier than the
/// cached balance.
pub(super) fn a_lone_replica_is_handed_an_instant() -> Schedule {
    let handed_on = Asks { not_before: Some(NotBefore::Invalidation), ..Asks::default() };
    let steps = vec![
        (0, plain(0, 0)),
        (SECOND, weather(0, LOST)),
        (4 * SECOND, Action::Kill(0)),
        (0, Action::StepClock { whose: STORE, by: -20 * SECOND }),
        (3 * SECOND, Action::Invalidate { replica: 1, balance: 0 }),
        (500, ask(0, 0, handed_on)),
    ];
    story(Mood::Wild, AMPLE, steps, &[(10, OK)])
}

/// The third replica does not receive the message, and the fail-over loses the mark. The replica that invalidated writes
/// the mark again.
pub(super) fn a_fail_over_loses_an_invalidation() -> Schedule {
    let steps = vec![
        (0, plain(2, 0)),
        (SECOND, Action::Replicate),
        (100, weather(2, LOST)),
        (100, Action::Invalidate { replica: 0, balance: 0 }),
        (100, Action::FailOver(0)),
        (3 * SECOND, weather(2, FOUND)),
        (10 * SECOND, plain(2, 0)),
    ];
    story(Mood::Wild, AMPLE, steps, &[(10, OK)])
}

/// As before, but the connection stays while the store drops the mark. The next read at the first replica notices the
/// loss.
pub(super) fn the_store_drops_an_invalidation() -> Schedule {
    let steps = vec![
        (0, new(0, 1)),
        (100, plain(2, 0)),
        (SECOND, weather(2, LOST)),
        (100, Action::Invalidate { replica: 0, balance: 0 }),
        (100, Action::Evict(STATE)),
        (100, new(0, 1)),
        (3 * SECOND, weather(2, FOUND)),
        (10 * SECOND, plain(2, 0)),
    ];
    story(Mood::Wild, AMPLE, steps, &[(10, OK)])
}

pub(super) fn an_invalidation_is_refused_at_first() -> Schedule {
    let steps = vec![
        (0, plain(1, 0)),
        (SECOND, Action::WriteProtect(true)),
        (100, Action::Invalidate { replica: 0, balance: 0 }),
        (500, Action::WriteProtect(false)),
        (6 * SECOND, plain(1, 0)),
    ];
    story(Mood::Wild, AMPLE, steps, &[(10, OK)])
}

/// The store refuses the second mark, and the replica reads the first one again when it reconnects. Only the second is
/// later than the cached balance.
pub(super) fn an_earlier_mark_is_found_while_a_later_one_is_refused() -> Schedule {
    let steps = vec![
        (0, Action::Invalidate { replica: 0, balance: 0 }),
        (SECOND, plain(1, 0)),
        (SECOND, Action::Cut(1)),
        (0, Action::WriteProtect(true)),
        (100, Action::Invalidate { replica: 1, balance: 0 }),
        (3 * SECOND, plain(1, 0)),
    ];
    story(Mood::Wild, AMPLE, steps, &[(10, OK)])
}
