//! Schedules written by hand, each about one case that random schedules rarely reach. Their seeds begin at [`FIRST`].

mod ages;
mod breaker;
mod budget;
mod failures;
mod invalidations;
mod leases;

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

const STORIES: [fn() -> Schedule; 49] = [
    ages::an_aged_answer_comes_after_a_young_one,
    failures::a_waiter_gets_the_failure_of_the_read,
    failures::a_short_hold_follows_a_long_one,
    failures::reads_that_fail_together_are_one_in_the_row,
    failures::a_success_ends_a_failure_series,
    budget::a_call_takes_longer_than_its_span,
    budget::the_stores_clock_steps_ahead,
    budget::a_fail_over_loses_calls,
    budget::the_log_of_calls_is_evicted,
    breaker::two_replicas_probe_at_once,
    invalidations::an_invalidation_is_missed,
    invalidations::the_stores_clock_steps_back_before_an_invalidation,
    invalidations::notifications_arrive_everywhere,
    budget::a_fail_over_loses_calls_and_who_made_them_asks_for_no_more,
    ages::the_stores_clock_steps_between_look_up_and_grant,
    budget::a_fail_over_loses_calls_of_a_replica_that_stays_away,
    failures::a_replica_reads_what_another_cannot_reach,
    failures::a_demand_waits_for_a_read_that_fails,
    breaker::a_replica_that_cannot_reach_the_provider_leaves_reads_to_others,
    breaker::a_replica_knows_of_a_breaker_that_others_opened,
    invalidations::a_stored_answer_is_older_than_the_invalidation,
    leases::a_lease_is_never_ended,
    leases::a_waiter_loses_its_subscription,
    ages::the_stores_clock_is_set_before_a_look_up,
    ages::a_replica_joins_after_the_stores_clock_was_set_back,
    invalidations::a_lone_replica_is_handed_an_instant,
    invalidations::a_fail_over_loses_an_invalidation,
    invalidations::the_store_drops_an_invalidation,
    invalidations::an_invalidation_is_refused_at_first,
    budget::a_replica_makes_calls_alone,
    ages::the_stores_clock_is_set_back_and_its_numbers_are_lost,
    ages::a_snapshot_outlives_its_epoch,
    ages::a_snapshot_outlives_its_epoch_where_a_read_fails,
    ages::a_snapshot_is_of_an_instant_to_come,
    failures::a_success_ends_the_failure_series_of_its_balance,
    breaker::a_probe_ends_without_an_answer,
    failures::a_read_panics_after_one_that_failed,
    leases::a_slow_replica_gives_up_a_lease_that_it_never_had,
    breaker::a_success_ends_the_failure_series_of_the_breaker,
    invalidations::an_earlier_mark_is_found_while_a_later_one_is_refused,
    leases::a_balance_is_published_after_its_lease_was_taken_over,
    leases::a_read_fails_after_its_lease_was_taken_over,
    budget::calls_from_before_a_step_back_stop_counting,
    budget::the_stores_clock_steps_ahead_in_an_unknown_epoch,
    budget::the_stores_clock_steps_back_in_a_young_epoch,
    budget::the_stores_clock_steps_back_twice,
    budget::the_stores_clock_steps_ahead_twice,
    breaker::suspended_reads_give_their_calls_back,
    failures::a_replica_keeps_its_own_hold,
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
const THROTTLED: Ending = Ending::Failure(UpstreamError::Throttled(None));
const UNREACHABLE: Ending = Ending::Failure(UpstreamError::Unreachable(Cause::Closed));
const LOST: Weather = Weather { delay: 2, loss: 100 };
const FOUND: Weather = Weather { delay: 2, loss: 0 };

fn ask(replica: usize, balance: usize, asks: Asks) -> Action {
    Action::Call(Call { replica, balance, asks, wait: 30 * SECOND, takes: 0 })
}

fn plain(replica: usize, balance: usize) -> Action {
    ask(replica, balance, Asks::default())
}

fn no_cache(replica: usize, balance: usize) -> Action {
    ask(replica, balance, Asks { max_age: Some(0), ..Asks::default() })
}

/// A caller that must have a new balance, and may use the whole budget.
fn new(replica: usize, balance: usize) -> Action {
    let asks = Asks { max_age: Some(0), not_before: Some(NotBefore::Ago(0)), ..Asks::default() };
    ask(replica, balance, asks)
}

fn weather(replica: usize, weather: Weather) -> Action {
    Action::Weather { replica, weather }
}
