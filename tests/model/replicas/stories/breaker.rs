//! The breaker of a provider.

use super::*;

pub(super) fn two_replicas_probe_at_once() -> Schedule {
    let steps = vec![
        (0, new(0, 0)),
        (2 * SECOND, new(1, 1)),
        (9 * SECOND, new(0, 0)),
        (0, new(1, 1)),
        (0, new(2, 0)),
    ];
    let replies = [(10, STATUS), (10, STATUS), (10, STATUS), (SECOND, STATUS)];
    story(Mood::Calm, AMPLE, steps, &replies)
}

pub(super) fn a_replica_that_cannot_reach_the_provider_leaves_reads_to_others() -> Schedule {
    let steps = vec![(0, new(0, 0)), (2500, new(0, 0)), (SECOND, new(0, 1))];
    story(Mood::Calm, AMPLE, steps, &[(10, UNREACHABLE), (10, UNREACHABLE), (10, UNREACHABLE), (10, OK)])
}

pub(super) fn a_replica_knows_of_a_breaker_that_others_opened() -> Schedule {
    let steps =
        vec![(0, new(0, 0)), (1500, new(1, 1)), (1500, new(0, 0)), (2500, new(2, 0)), (100, new(2, 1))];
    story(Mood::Calm, AMPLE, steps, &[(10, STATUS), (10, STATUS), (10, STATUS), (10, OK)])
}

/// Then another replica may probe at once.
pub(super) fn a_probe_ends_without_an_answer() -> Schedule {
    let steps =
        vec![(0, new(0, 0)), (1500, new(1, 1)), (1500, new(0, 0)), (6500, new(1, 0)), (1500, new(2, 1))];
    let replies = [(10, STATUS), (10, STATUS), (10, STATUS), (10, UNREACHABLE), (10, UNREACHABLE), (10, OK)];
    story(Mood::Calm, AMPLE, steps, &replies)
}

pub(super) fn a_success_ends_the_failure_series_of_the_breaker() -> Schedule {
    let steps = vec![
        (0, new(0, 0)),
        (2 * SECOND, new(1, 1)),
        (2 * SECOND, new(2, 0)),
        (2 * SECOND, new(2, 1)),
        (2 * SECOND, new(1, 0)),
    ];
    story(Mood::Calm, AMPLE, steps, &[(10, STATUS), (10, STATUS), (10, OK), (10, STATUS), (10, OK)])
}

/// While the probe runs, each other read takes a call from the budget, is suspended, and gives the call back.
pub(super) fn suspended_reads_give_their_calls_back() -> Schedule {
    let mut steps =
        vec![(0, new(2, 0)), (25 * SECOND, new(0, 0)), (2 * SECOND, new(0, 0)), (3 * SECOND, new(0, 0))];
    steps.push((9 * SECOND, new(0, 0)));
    steps.extend((0..6).map(|_| (500, new(1, 1))));
    steps.push((2500, new(1, 1)));
    let budget = Terms { requests: 10, per: 20 * SECOND };
    let replies = [(10, OK), (10, STATUS), (10, STATUS), (10, STATUS), (5 * SECOND, OK), (10, OK)];
    story(Mood::Calm, budget, steps, &replies)
}
