//! Leases that their replica does not end, or ends late.

use super::*;

pub(super) fn a_lease_is_never_ended() -> Schedule {
    let patient = Call { replica: 1, balance: 0, asks: Asks::default(), wait: 200 * SECOND, takes: 0 };
    let steps = vec![(0, plain(0, 0)), (200, Action::Call(patient)), (300, weather(0, LOST))];
    story(Mood::Wild, AMPLE, steps, &[(SECOND, OK), (10, OK)])
}

pub(super) fn a_waiter_loses_its_subscription() -> Schedule {
    let steps = vec![(0, plain(0, 0)), (200, plain(1, 0)), (300, weather(1, LOST))];
    story(Mood::Wild, AMPLE, steps, &[(6 * SECOND, OK), (10, OK)])
}

/// The lease belongs to another replica, and stays.
pub(super) fn a_slow_replica_gives_up_a_lease_that_it_never_had() -> Schedule {
    let steps = vec![
        (0, plain(0, 0)),
        (500, weather(1, Weather { delay: 150, loss: 0 })),
        (10, plain(1, 0)),
        (SECOND, plain(2, 0)),
    ];
    story(Mood::Wild, AMPLE, steps, &[(6 * SECOND, OK), (10, OK)])
}

/// The first replica's message to end its lease takes almost a second, so that the second replica takes the lease over
/// before. The lease is then the second one's, and the third replica waits for it. Before, a read of the other balance
/// ends in the same way, so that the store knows the script.
fn ends_a_lease_late(before: &[(Ms, Action)], replies: &[(Ms, Ending)]) -> Schedule {
    let mut steps = vec![(0, plain(0, 1))];
    steps.extend_from_slice(before);
    steps.extend([
        (SECOND, no_cache(0, 0)),
        (100, no_cache(1, 0)),
        (9600, weather(0, Weather { delay: 900, loss: 0 })),
        (2500, no_cache(2, 0)),
    ]);
    story(Mood::Wild, AMPLE, steps, replies)
}

pub(super) fn a_balance_is_published_after_its_lease_was_taken_over() -> Schedule {
    ends_a_lease_late(&[], &[(10, OK), (9900, OK), (6 * SECOND, OK), (10, OK)])
}

/// The first replica has a balance to fall back to, so that it does not ask the store for one.
pub(super) fn a_read_fails_after_its_lease_was_taken_over() -> Schedule {
    let not_found = Ending::Failure(UpstreamError::Status(404));
    let replies = [(10, not_found.clone()), (10, OK), (9900, not_found), (6 * SECOND, OK), (10, OK)];
    ends_a_lease_late(&[(SECOND, plain(0, 0))], &replies)
}
