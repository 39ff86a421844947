//! Leases of reads that nobody ends.

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
