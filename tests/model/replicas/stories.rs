//! Schedules written by hand, each about one case that random schedules rarely reach. Their seeds begin at [`FIRST`].

use std::ops::Range;
use std::time::Duration;

use super::clock::{REPLICAS, STORE};
use super::schedule::{Action, CALLS, Call, Ending, Limit, Mood, Reply, STATE, Schedule, Step, Terms};
use crate::alone::clock::{Ms, SECOND};
use crate::alone::log::Ages;
use crate::alone::schedule::{Asks, NotBefore};
use crate::store::Weather;
use balance_gateway::domain::{Cause, UpstreamError};

/// The seed of the first story.
pub(crate) const FIRST: u64 = 1 << 40;

const STORIES: [fn() -> Schedule; 39] = [
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
    what_one_replica_cannot_reach_another_reads,
    a_demand_waits_for_a_read_that_fails,
    a_replica_that_cannot_reach_the_provider_leaves_reads_to_others,
    a_replica_knows_of_a_breaker_that_others_opened,
    a_stored_answer_is_older_than_the_invalidation,
    a_lease_is_never_ended,
    a_waiter_hears_nothing_any_more,
    the_stores_clock_is_set_before_a_look_up,
    a_replica_joins_after_the_stores_clock_was_set_back,
    a_lone_replica_is_handed_an_instant,
    a_fail_over_loses_an_invalidation,
    the_store_drops_an_invalidation,
    an_invalidation_is_refused_at_first,
    a_replica_makes_calls_alone,
    the_stores_clock_is_set_back_and_its_numbers_are_lost,
    a_snapshot_outlives_its_epoch,
    a_snapshot_outlives_its_epoch_where_a_read_fails,
    a_snapshot_is_of_an_instant_to_come,
    a_success_ends_the_row_of_its_balance,
    a_probe_ends_without_an_answer,
    a_read_panics_after_one_that_failed,
    a_slow_replica_gives_up_a_lease_that_it_never_had,
    a_success_ends_the_row_of_the_breaker,
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
    spend_around(&[(300, Action::Evict(CALLS))])
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
    let steps = vec![
        (0, plain(1, 0)),
        (SECOND, weather(1, LOST)),
        (SECOND, Action::Invalidate { replica: 0, balance: 0 }),
        (SECOND, weather(1, FOUND)),
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
    spend_around(&[(300, weather(0, LOST)), (10, Action::FailOver(0)), (1500, Action::Replicate)])
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

const LOST: Weather = Weather { delay: 2, loss: 100 };
const FOUND: Weather = Weather { delay: 2, loss: 0 };
const UNREACHABLE: Ending = Ending::Failure(UpstreamError::Unreachable(Cause::Closed));

fn weather(replica: usize, weather: Weather) -> Action {
    Action::Weather { replica, weather }
}

/// The failure holds at the first replica alone, and what another one reads meanwhile serves its callers.
fn what_one_replica_cannot_reach_another_reads() -> Schedule {
    let steps = vec![(0, plain(0, 0)), (600, plain(1, 0)), (200, plain(0, 0))];
    story(Mood::Calm, AMPLE, steps, &[(10, UNREACHABLE), (10, UNREACHABLE), (10, OK)])
}

/// The read began before the demand, so that its failure is no answer to it.
fn a_demand_waits_for_a_read_that_fails() -> Schedule {
    let no_cache = Asks { max_age: Some(0), ..Asks::default() };
    let steps = vec![(0, plain(0, 0)), (200, ask(1, 0, no_cache))];
    story(Mood::Calm, AMPLE, steps, &[(SECOND, UNREACHABLE), (SECOND, UNREACHABLE), (10, OK)])
}

fn a_replica_that_cannot_reach_the_provider_leaves_reads_to_others() -> Schedule {
    let steps = vec![(0, new(0, 0)), (2500, new(0, 0)), (SECOND, new(0, 1))];
    story(Mood::Calm, AMPLE, steps, &[(10, UNREACHABLE), (10, UNREACHABLE), (10, UNREACHABLE), (10, OK)])
}

fn a_replica_knows_of_a_breaker_that_others_opened() -> Schedule {
    let steps =
        vec![(0, new(0, 0)), (1500, new(1, 1)), (1500, new(0, 0)), (2500, new(2, 0)), (100, new(2, 1))];
    story(Mood::Calm, AMPLE, steps, &[(10, STATUS), (10, STATUS), (10, STATUS), (10, OK)])
}

/// By its `Age`; its read began later. It is looked up once, and then a read follows.
fn a_stored_answer_is_older_than_the_invalidation() -> Schedule {
    let young = Asks { max_age: Some(40), ..Asks::default() };
    let steps = vec![
        (0, Action::Invalidate { replica: 0, balance: 0 }),
        (SECOND, plain(1, 0)),
        (SECOND, ask(2, 0, young)),
    ];
    story(Mood::Calm, AMPLE, steps, &[(100, Ending::Success { age: 8 * SECOND }), (100, OK)])
}

fn a_lease_is_never_ended() -> Schedule {
    let patient = Call { replica: 1, balance: 0, asks: Asks::default(), wait: 200 * SECOND, takes: 0 };
    let steps = vec![(0, plain(0, 0)), (200, Action::Call(patient)), (300, weather(0, LOST))];
    story(Mood::Wild, AMPLE, steps, &[(SECOND, OK), (10, OK)])
}

fn a_waiter_hears_nothing_any_more() -> Schedule {
    let steps = vec![(0, plain(0, 0)), (200, plain(1, 0)), (300, weather(1, LOST))];
    story(Mood::Wild, AMPLE, steps, &[(6 * SECOND, OK), (10, OK)])
}

/// What is stored has no known age any more; the next read is shared again.
fn the_stores_clock_is_set_before_a_look_up() -> Schedule {
    let step = Action::StepClock { whose: STORE, by: 5 * SECOND };
    story(Mood::Wild, AMPLE, vec![(0, plain(0, 0)), (SECOND, step), (2 * SECOND, plain(1, 0))], &[(10, OK)])
}

/// Its own wall clock is behind, and so tells nothing of the age of what it finds.
fn a_replica_joins_after_the_stores_clock_was_set_back() -> Schedule {
    let step = Action::StepClock { whose: STORE, by: -20 * SECOND };
    let steps = vec![(0, plain(0, 0)), (5 * SECOND, step), (24 * SECOND, plain(2, 0))];
    let (links, skews) = ([0, 0, 10 * SECOND], [0, 0, -40 * SECOND, 0]);
    Schedule { skews, links, ..story(Mood::Wild, AMPLE, steps, &[(10, OK)]) }
}

/// The store has lost its data, and its clock was set back, so that the instant seems to be before the balance.
fn a_lone_replica_is_handed_an_instant() -> Schedule {
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

/// Its message is lost on the way to the third replica, and its mark with the primary. Who made it writes it again.
fn a_fail_over_loses_an_invalidation() -> Schedule {
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

/// The same where the store forgets it without a broken connection: the next read at the first replica shows that.
fn the_store_drops_an_invalidation() -> Schedule {
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

fn an_invalidation_is_refused_at_first() -> Schedule {
    let steps = vec![
        (0, plain(1, 0)),
        (SECOND, Action::WriteProtect(true)),
        (100, Action::Invalidate { replica: 0, balance: 0 }),
        (500, Action::WriteProtect(false)),
        (6 * SECOND, plain(1, 0)),
    ];
    story(Mood::Wild, AMPLE, steps, &[(10, OK)])
}

/// It writes them to the store when it shares again, before another replica takes as many as there are.
fn a_replica_makes_calls_alone() -> Schedule {
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

/// By more than a doubt of the clock lasts. A new read has a number above the old one all the same.
fn the_stores_clock_is_set_back_and_its_numbers_are_lost() -> Schedule {
    let no_cache = Asks { max_age: Some(0), ..Asks::default() };
    let steps = vec![
        (0, ask(0, 0, no_cache.clone())),
        (SECOND, Action::Kill(0)),
        (0, Action::StepClock { whose: STORE, by: -100 * SECOND }),
        (70 * SECOND, ask(0, 0, no_cache)),
    ];
    story(Mood::Wild, AMPLE, steps, &[(10, OK)])
}

/// The store's clock is set back, and later shows the instant of an old snapshot again. The third replica's wall clock,
/// which would show the age, is as far behind.
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

fn a_snapshot_outlives_its_epoch() -> Schedule {
    snapshot_of_an_old_epoch(&[(10, OK)])
}

fn a_snapshot_outlives_its_epoch_where_a_read_fails() -> Schedule {
    snapshot_of_an_old_epoch(&[(10, STATUS), (10, STATUS)])
}

/// By the store's clock it has no age yet, and the third replica's wall clock, which is behind, agrees.
fn a_snapshot_is_of_an_instant_to_come() -> Schedule {
    let step = Action::StepClock { whose: STORE, by: -20 * SECOND };
    let steps =
        vec![(0, new(0, 1)), (50 * SECOND, plain(0, 0)), (2 * SECOND, step), (8 * SECOND, plain(2, 0))];
    let (links, skews) = ([0, 0, 55 * SECOND], [0, 0, -10 * SECOND, 0]);
    Schedule { skews, links, ..story(Mood::Wild, AMPLE, steps, &[(10, OK)]) }
}

fn a_success_ends_the_row_of_its_balance() -> Schedule {
    let steps = vec![(0, new(0, 0)), (3 * SECOND, new(1, 0)), (2 * SECOND, new(2, 0)), (1600, new(1, 0))];
    story(Mood::Calm, AMPLE, steps, &[(10, STATUS), (10, OK), (10, STATUS), (10, OK)])
}

fn a_success_ends_the_row_of_the_breaker() -> Schedule {
    let steps = vec![
        (0, new(0, 0)),
        (2 * SECOND, new(1, 1)),
        (2 * SECOND, new(2, 0)),
        (2 * SECOND, new(2, 1)),
        (2 * SECOND, new(1, 0)),
    ];
    story(Mood::Calm, AMPLE, steps, &[(10, STATUS), (10, STATUS), (10, OK), (10, STATUS), (10, OK)])
}

/// Another replica may probe at once.
fn a_probe_ends_without_an_answer() -> Schedule {
    let steps =
        vec![(0, new(0, 0)), (1500, new(1, 1)), (1500, new(0, 0)), (6500, new(1, 0)), (1500, new(2, 1))];
    let replies = [(10, STATUS), (10, STATUS), (10, STATUS), (10, UNREACHABLE), (10, UNREACHABLE), (10, OK)];
    story(Mood::Calm, AMPLE, steps, &replies)
}

/// Who waited for it does not get the failure of the one before.
fn a_read_panics_after_one_that_failed() -> Schedule {
    let steps = vec![(0, new(0, 0)), (3 * SECOND, new(0, 0)), (200, plain(1, 0))];
    story(Mood::Calm, AMPLE, steps, &[(10, STATUS), (SECOND, Ending::Panic), (10, OK)])
}

/// The lease is another replica's, and stays.
fn a_slow_replica_gives_up_a_lease_that_it_never_had() -> Schedule {
    let steps = vec![
        (0, plain(0, 0)),
        (500, weather(1, Weather { delay: 150, loss: 0 })),
        (10, plain(1, 0)),
        (SECOND, plain(2, 0)),
    ];
    story(Mood::Wild, AMPLE, steps, &[(6 * SECOND, OK), (10, OK)])
}
