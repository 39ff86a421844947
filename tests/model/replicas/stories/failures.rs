//! Failed reads: their holds, and what waiting callers get.

use super::*;

pub(super) fn a_waiter_gets_the_failure_of_the_read() -> Schedule {
    story(Mood::Calm, AMPLE, vec![(0, plain(0, 0)), (200, plain(1, 0))], &[(SECOND, UNREACHABLE)])
}

pub(super) fn a_short_hold_follows_a_long_one() -> Schedule {
    let long = Ending::Failure(UpstreamError::Throttled(Some(Duration::from_secs(20))));
    let steps = vec![(0, plain(0, 0)), (100, plain(1, 1)), (9 * SECOND, plain(2, 0))];
    story(Mood::Calm, AMPLE, steps, &[(SECOND, long), (1200, THROTTLED), (100, OK)])
}

pub(super) fn reads_that_fail_together_are_one_in_the_row() -> Schedule {
    let steps = vec![(0, plain(0, 0)), (100, plain(1, 1)), (7500, plain(2, 0))];
    story(Mood::Calm, AMPLE, steps, &[(SECOND, THROTTLED), (1200, THROTTLED), (100, OK)])
}

pub(super) fn a_success_ends_a_failure_series() -> Schedule {
    let steps = vec![(0, new(0, 0)), (7 * SECOND, new(1, 0)), (SECOND, new(2, 0)), (7 * SECOND, new(1, 0))];
    story(Mood::Calm, AMPLE, steps, &[(10, THROTTLED), (10, OK), (10, THROTTLED), (10, OK)])
}

/// The failure is held only at the first replica. Another replica reads the balance meanwhile, and the callers of the
/// first one get it.
pub(super) fn a_replica_reads_what_another_cannot_reach() -> Schedule {
    let steps = vec![(0, plain(0, 0)), (600, plain(1, 0)), (200, plain(0, 0))];
    story(Mood::Calm, AMPLE, steps, &[(10, UNREACHABLE), (10, UNREACHABLE), (10, OK)])
}

/// The read began before the demand, so the demand does not get its failure.
pub(super) fn a_demand_waits_for_a_read_that_fails() -> Schedule {
    let steps = vec![(0, plain(0, 0)), (200, no_cache(1, 0))];
    story(Mood::Calm, AMPLE, steps, &[(SECOND, UNREACHABLE), (SECOND, UNREACHABLE), (10, OK)])
}

pub(super) fn a_success_ends_the_failure_series_of_its_balance() -> Schedule {
    let steps = vec![(0, new(0, 0)), (3 * SECOND, new(1, 0)), (2 * SECOND, new(2, 0)), (1600, new(1, 0))];
    story(Mood::Calm, AMPLE, steps, &[(10, STATUS), (10, OK), (10, STATUS), (10, OK)])
}

/// A caller that waits for the second read does not get the failure of the first.
pub(super) fn a_read_panics_after_one_that_failed() -> Schedule {
    let steps = vec![(0, new(0, 0)), (3 * SECOND, new(0, 0)), (200, plain(1, 0))];
    story(Mood::Calm, AMPLE, steps, &[(10, STATUS), (SECOND, Ending::Panic), (10, OK)])
}

/// A replica that could not reach the provider does not call it again during its own hold.
pub(super) fn a_replica_keeps_its_own_hold() -> Schedule {
    let steps = vec![(0, plain(0, 0)), (700, plain(0, 0)), (2 * SECOND, plain(0, 0))];
    story(Mood::Calm, AMPLE, steps, &[(10, UNREACHABLE), (10, UNREACHABLE), (10, OK)])
}
