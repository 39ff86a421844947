//! Schedules written by hand, each about one case that random schedules rarely reach. Their seeds begin at [`FIRST`].

use std::ops::Range;
use std::time::Duration;

use super::clock::{REPLICAS, STORE};
use super::schedule::{Action, Call, Ending, Limit, Mood, Reply, Schedule, Step, Terms};
use crate::alone::clock::{Ms, SECOND};
use crate::alone::log::Ages;
use crate::alone::schedule::{Asks, NotBefore};
use crate::store::Weather;
use balance_gateway::domain::{Cause, UpstreamError};

/// The seed of the first story.
pub(crate) const FIRST: u64 = 1 << 40;

const STORIES: [fn() -> Schedule; 16] = [
    an_aged_answer_comes_after_a_young_one,
    a_waiter_gets_the_failure_of_the_read,
    a_short_hold_follows_a_long_one,
    reads_that_fail_together_are_one_in_the_row,
    a_success_ends_a_row_of_failures,
    a_call_takes_longer_than_its_span,
    the_stores_clock_steps_ahead,
    a_fail_over_loses_calls,
    the_log_of_calls_is_evicted,
    two_replicas_probe_at_once,
    an_invalidation_is_missed,
    the_stores_clock_steps_back_before_an_invalidation,
    notifications_arrive_everywhere,
    a_fail_over_loses_calls_and_who_made_them_asks_for_no_more,
    the_stores_clock_steps_between_look_up_and_grant,
    a_fail_over_loses_calls_of_a_replica_that_stays_away,
];

/// The seeds of all stories.
pub(crate) fn all() -> Range<u64> {
    FIRST..FIRST + STORIES.len() as u64
}

/// The story with this seed.
pub(crate) fn of(seed: u64) -> Option<Schedule> {
    let story = STORIES.get(usize::try_from(seed.checked_sub(FIRST)?).ok()?)?;
    Some(Schedule { seed, ..story() })
}

fn story(mood: Mood, budget: Terms, steps: Vec<(Ms, Action)>, replies: &[(Ms, Ending)]) -> Schedule {
    Schedule {
        seed: 0,
        mood,
        skews: [0; REPLICAS + 1],
        links: [0; REPLICAS],
        weathers: [Weather { delay: 2, loss: 0 }; REPLICAS],
        ages: Ages { fresh_for: 10 * SECOND, max_age: 60 * SECOND },
        budget,
        limit: Limit { requests: 10, per: 10 * SECOND, burst: 10 },
        settle: 500,
        steps: steps.into_iter().map(|(after, action)| Step { after, action }).collect(),
        replies: replies
            .iter()
            .map(|(takes, ending)| Reply { takes: *takes, ending: ending.clone() })
            .collect(),
    }
}

const AMPLE: Terms = Terms { requests: 1000, per: 5 * SECOND };
const OK: Ending = Ending::Success { age: 0 };
const STATUS: Ending = Ending::Failure(UpstreamError::Status(500));

fn ask(replica: usize, balance: usize, asks: Asks) -> Action {
    Action::Call(Call { replica, balance, asks, wait: 30 * SECOND, takes: 0 })
}

fn plain(replica: usize, balance: usize) -> Action {
    ask(replica, balance, Asks::default())
}

/// A caller that must have a new balance, and may use the whole budget.
fn new(replica: usize, balance: usize) -> Action {
    let asks = Asks { max_age: Some(0), not_before: Some(NotBefore::Ago(0)), ..Asks::default() };
    ask(replica, balance, asks)
}

fn an_aged_answer_comes_after_a_young_one() -> Schedule {
    let aged = Ending::Success { age: 20 * SECOND };
    let steps = vec![(0, plain(0, 0)), (SECOND, new(1, 0)), (3 * SECOND, plain(2, 0))];
    story(Mood::Calm, AMPLE, steps, &[(100, OK), (100, aged.clone()), (100, aged)])
}

fn a_waiter_gets_the_failure_of_the_read() -> Schedule {
    let unreachable = Ending::Failure(UpstreamError::Unreachable(Cause::Closed));
    story(Mood::Calm, AMPLE, vec![(0, plain(0, 0)), (200, plain(1, 0))], &[(SECOND, unreachable)])
}

fn a_short_hold_follows_a_long_one() -> Schedule {
    let long = Ending::Failure(UpstreamError::Throttled(Some(Duration::from_secs(20))));
    let short = Ending::Failure(UpstreamError::Throttled(None));
    let steps = vec![(0, plain(0, 0)), (100, plain(1, 1)), (9 * SECOND, plain(2, 0))];
    story(Mood::Calm, AMPLE, steps, &[(SECOND, long), (1200, short), (100, OK)])
}

fn reads_that_fail_together_are_one_in_the_row() -> Schedule {
    let throttled = Ending::Failure(UpstreamError::Throttled(None));
    let steps = vec![(0, plain(0, 0)), (100, plain(1, 1)), (7500, plain(2, 0))];
    story(Mood::Calm, AMPLE, steps, &[(SECOND, throttled.clone()), (1200, throttled), (100, OK)])
}

fn a_success_ends_a_row_of_failures() -> Schedule {
    let throttled = Ending::Failure(UpstreamError::Throttled(None));
    let steps = vec![(0, new(0, 0)), (7 * SECOND, new(1, 0)), (SECOND, new(2, 0)), (7 * SECOND, new(1, 0))];
    story(Mood::Calm, AMPLE, steps, &[(10, throttled.clone()), (10, OK), (10, throttled), (10, OK)])
}

fn a_call_takes_longer_than_its_span() -> Schedule {
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

fn the_stores_clock_steps_ahead() -> Schedule {
    spend_around(&[(300, Action::StepClock { whose: STORE, by: 50 * SECOND })])
}

fn a_fail_over_loses_calls() -> Schedule {
    // The first replica makes one more request, and so writes its calls back.
    spend_around(&[(300, Action::FailOver(0)), (6 * SECOND, new(0, 0))])
}

fn the_log_of_calls_is_evicted() -> Schedule {
    spend_around(&[(300, Action::Evict)])
}

fn two_replicas_probe_at_once() -> Schedule {
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

fn an_invalidation_is_missed() -> Schedule {
    let lost = Weather { delay: 2, loss: 100 };
    let steps = vec![
        (0, plain(1, 0)),
        (SECOND, Action::Weather { replica: 1, weather: lost }),
        (SECOND, Action::Invalidate { replica: 0, balance: 0 }),
        (SECOND, Action::Weather { replica: 1, weather: Weather { loss: 0, ..lost } }),
        (6 * SECOND, plain(1, 0)),
    ];
    story(Mood::Wild, AMPLE, steps, &[(10, OK)])
}

fn the_stores_clock_steps_back_before_an_invalidation() -> Schedule {
    let steps = vec![
        (0, plain(0, 0)),
        (200, Action::StepClock { whose: STORE, by: -1500 }),
        (100, Action::Invalidate { replica: 1, balance: 0 }),
        (5 * SECOND, plain(0, 0)),
    ];
    story(Mood::Wild, AMPLE, steps, &[(10, OK)])
}

fn notifications_arrive_everywhere() -> Schedule {
    let mut steps = vec![(0, plain(0, 0)), (SECOND, plain(1, 1))];
    let storm = (0..60).map(|number| (50, Action::Notify { replica: number % REPLICAS }));
    steps.extend(storm);
    story(Mood::Calm, AMPLE, steps, &[(10, OK)])
}

/// The replica that made the calls makes no further request: it writes them back after it has reconnected.
fn a_fail_over_loses_calls_and_who_made_them_asks_for_no_more() -> Schedule {
    spend_around(&[(300, Action::FailOver(0)), (6 * SECOND, Action::Replicate)])
}

/// No replica writes the lost calls back to the store.
fn a_fail_over_loses_calls_of_a_replica_that_stays_away() -> Schedule {
    let lost = Action::Weather { replica: 0, weather: Weather { delay: 2, loss: 100 } };
    spend_around(&[(300, lost), (10, Action::FailOver(0)), (1500, Action::Replicate)])
}

/// The look-up takes a little longer than the step of the clock, and the answer is older than its demand.
fn the_stores_clock_steps_between_look_up_and_grant() -> Schedule {
    let no_cache = Asks { max_age: Some(0), ..Asks::default() };
    let steps = (0..12).flat_map(|after| {
        [
            (9 * SECOND, ask(0, 0, no_cache.clone())),
            (after, Action::StepClock { whose: STORE, by: 29 * SECOND }),
        ]
    });
    story(Mood::Wild, AMPLE, steps.collect(), &[(10, Ending::Success { age: 8 * SECOND })])
}
