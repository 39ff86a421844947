//! The freshness demand of one caller for one balance, and the one decision whether a read meets it.
//!
//! One of two judges decides, chosen once for each lookup. Without a reachable store, this process's clock judges every
//! read. With one, the store's order judges every read that has a turn.

use std::time::{Duration, Instant};

use super::age::{AgeLimit, Since};
use super::limits::{Limits, MaxAge};
use super::mark::Mark;
use crate::domain::moment::Moment;
use crate::domain::turn::{OrderState, StoreTime, Ticket, Turn};

/// The freshness demand of one caller for one balance.
#[derive(Clone, Copy, Debug)]
pub struct Demand {
    pub(super) arrived: Moment,
    /// The oldest acceptable age on arrival.
    pub(super) age: AgeLimit,
    /// The invalidation that a snapshot must be newer than.
    pub(super) mark: Option<Mark>,
    pub(super) judge: Judge,
    /// The priority of a read for it.
    pub(super) priority: Priority,
    /// Whether no call may be made.
    pub(super) only_if_cached: bool,
    /// The oldest acceptable fall-back when the read fails.
    pub(super) fallback: Option<Duration>,
}

/// The judge of a demand: decides whether a read is new enough.
#[derive(Clone, Copy, Debug)]
pub(super) enum Judge {
    /// This process's clock, by the age limit.
    Process,
    /// The order of the shared store, by a minimum turn. Reads without a turn are still judged by the age limit.
    Store(Ticket),
}

impl Demand {
    /// The demand of a background refresh: younger than `fresh_for`, not equal to it.
    #[must_use]
    pub fn refresh(now: Moment, limits: Limits) -> Self {
        let younger = limits.fresh_for.get().saturating_sub(Duration::from_nanos(1));
        Self { age: AgeLimit { oldest: younger, since: None }, ..Self::none(now, limits) }
    }

    /// The same demand for a balance that was invalidated at `mark`.
    #[must_use]
    pub fn after_mark(self, mark: Option<Mark>) -> Self {
        Self { mark, ..self }
    }

    /// The same demand in a gateway with a store: the store's clock measures `?not_before=`, not this process's clock.
    ///
    /// A snapshot without a turn must then be requested after the arrival; unless the replica `is_sharing`, every
    /// snapshot must.
    #[must_use]
    pub fn by_store_clock(self, limits: Limits, is_sharing: bool) -> Self {
        // An instant long ago demands nothing, even if the two clocks differ by a minute.
        let long_ago = self.arrived.earlier_by(limits.max_age.get() + MaxAge::CEILING.get()).wall;
        let Some(since) = self.age.since.filter(|since| long_ago < since.instant) else { return self };
        let oldest = if is_sharing { self.age.oldest } else { Duration::ZERO };
        let since = Some(Since { oldest: Duration::ZERO, ..since });
        Self { age: AgeLimit { oldest, since }, ..self }
    }

    /// The same demand, judged by the shared store's order as read after the arrival.
    #[must_use]
    pub fn judged_by_store(self, order_state: OrderState) -> Self {
        let OrderState { last, now, is_clock_trusted } = order_state;
        let since = self.age.since.map_or(StoreTime::default(), |since| StoreTime::of(since.instant));
        let is_after_arrival =
            self.age.oldest.is_zero() || since >= now || self.has_unnumbered_mark() || !is_clock_trusted;
        let ticket = if is_after_arrival {
            Ticket { above: last, since: now }
        } else {
            // The age limit counts, too: an answer with an `Age` is older than its turn.
            Ticket { above: 0, since: since.max(now.earlier_by(self.age.oldest)) }
        };
        Self { judge: Judge::Store(ticket), ..self }
    }

    /// The same demand, judged by the shared store's order with any turn acceptable.
    #[must_use]
    pub fn with_any_turn(self) -> Self {
        Self { judge: Judge::Store(Ticket::default()), ..self }
    }

    /// Whether every read of another replica within the ceiling is acceptable. Then the store's order need not be read.
    #[must_use]
    pub fn accepts_any_turn(&self, limits: Limits) -> bool {
        self.age.oldest >= limits.max_age.get() && self.age.since.is_none() && !self.has_unnumbered_mark()
    }

    /// The same demand, excluding this turn and all earlier ones.
    #[must_use]
    pub fn later_than(self, turn: Turn) -> Self {
        let judge = match self.judge {
            Judge::Process => Judge::Process,
            Judge::Store(ticket) => Judge::Store(Ticket { above: ticket.above.max(turn.number), ..ticket }),
        };
        Self { judge, ..self }
    }

    /// The minimum turn, if the store judges. It includes an invalidation that the store may have lost.
    #[must_use]
    pub fn ticket(&self) -> Option<Ticket> {
        let mark = self.mark.and_then(|mark| mark.number).unwrap_or(0);
        match self.judge {
            Judge::Process => None,
            Judge::Store(ticket) => Some(Ticket { above: ticket.above.max(mark), ..ticket }),
        }
    }

    /// Whether a snapshot that was requested at this moment, with this turn, is acceptable.
    ///
    /// A snapshot requested after the arrival by the monotonic clock always is, unless the store's order excludes it.
    /// Otherwise a wall clock that steps back during the read would repeat the lookup for ever.
    #[must_use]
    pub fn accepts(&self, requested_at: Moment, turn: Option<Turn>) -> bool {
        let is_after_arrival = requested_at.monotonic >= self.arrived.monotonic;
        let (started_at, is_new) = match (self.judge, turn) {
            (Judge::Store(ticket), Some(turn)) => {
                // A store whose clock was set back gives later reads earlier instants.
                let is_recent = turn.instant >= ticket.since || is_after_arrival;
                (Some(requested_at.monotonic), turn.number > ticket.above && is_recent)
            }
            (Judge::Store(_) | Judge::Process, _) if is_after_arrival => (Some(requested_at.monotonic), true),
            (Judge::Store(_) | Judge::Process, turn) => {
                let age = requested_at.age_at(self.arrived);
                (self.arrived.monotonic.checked_sub(age), self.age.accepts(age, turn))
            }
        };
        is_new && started_at.is_some_and(|started_at| self.is_after_mark(started_at, turn))
    }

    /// Whether a running read with this start and turn may be joined.
    #[must_use]
    pub fn may_join(&self, started_at: Instant, turn: Option<Turn>) -> bool {
        let is_new = match (self.judge, turn) {
            (Judge::Store(ticket), Some(turn)) => ticket.accepts(turn),
            (Judge::Store(_) | Judge::Process, _) => started_at >= self.age.not_before(self.arrived),
        };
        is_new && self.is_after_mark(started_at, turn)
    }

    fn is_after_mark(&self, started_at: Instant, turn: Option<Turn>) -> bool {
        self.mark.is_none_or(|mark| mark.precedes(started_at, turn))
    }

    fn has_unnumbered_mark(&self) -> bool {
        self.mark.is_some_and(Mark::is_unnumbered)
    }

    /// When the request arrived.
    #[must_use]
    pub fn arrived(&self) -> Moment {
        self.arrived
    }

    /// Whether the caller demands more than the ceiling.
    #[must_use]
    pub fn is_explicit(&self) -> bool {
        self.priority > Priority::Plain
    }

    /// The priority of a read for it.
    #[must_use]
    pub fn priority(&self) -> Priority {
        self.priority
    }

    /// Whether no call may be made.
    #[must_use]
    pub fn only_if_cached(&self) -> bool {
        self.only_if_cached
    }

    /// The oldest acceptable fall-back when the read fails.
    #[must_use]
    pub fn fallback(&self) -> Option<Duration> {
        self.fallback
    }
}

/// The priority of a read decides which share of the outgoing budget it may use. Later variants may use more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// A background refresh, or a renewal ahead of time: no caller waits.
    Background,
    /// A caller waits, without a demand.
    Plain,
    /// A caller waits, and its `Cache-Control` demands the read. HTTP libraries add such demands on their own.
    Demanded,
    /// A caller waits and must have a newer balance: `sufficiency`, `not_before`, or reconciliation's own demand.
    Certain,
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs some moment to count from")]
mod tests {
    use jiff::{SignedDuration, Timestamp};
    use proptest::prelude::*;

    use super::*;
    use crate::domain::Directives;
    use crate::domain::freshness::limits::FreshFor;

    const LIMITS: Limits =
        Limits { fresh_for: FreshFor(Duration::from_secs(10)), max_age: MaxAge(Duration::from_mins(1)) };

    fn start() -> Moment {
        Moment { monotonic: Instant::now(), wall: Timestamp::now() }
    }

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn directives_become_the_documented_instant() {
        let now = start();
        let not_before = |ago: i64| now.wall.checked_sub(SignedDuration::from_secs(ago)).ok();
        let none = Directives::default();
        for (directives, oldest, own) in [
            (none, 60, false),
            (Directives { max_age: Some(seconds(0)), ..none }, 0, true),
            (Directives { max_age: Some(seconds(30)), ..none }, 30, true),
            (Directives { max_age: Some(seconds(60)), ..none }, 60, false),
            (Directives { max_age: Some(seconds(600)), ..none }, 60, false),
            (Directives { min_fresh: Some(seconds(4)), ..none }, 6, true),
            (Directives { min_fresh: Some(seconds(0)), ..none }, 10, true),
            (Directives { min_fresh: Some(seconds(11)), ..none }, 0, true),
            (Directives { max_age: Some(seconds(3)), min_fresh: Some(seconds(4)), ..none }, 3, true),
            (Directives { not_before: not_before(21), ..none }, 20, true),
            (Directives { not_before: not_before(600), ..none }, 60, true),
            (Directives { not_before: not_before(-600), ..none }, 0, true),
            (Directives { only_if_cached: true, ..none }, 60, true),
        ] {
            let demand = directives.demand(now, LIMITS);

            assert!(demand.accepts(now.earlier_by(seconds(oldest)), None), "{directives:?}");
            let older = now.earlier_by(seconds(oldest) + Duration::from_millis(1));
            assert!(!demand.accepts(older, None), "{directives:?}");
            assert_eq!(demand.is_explicit(), own, "{directives:?}");
        }
    }

    #[test]
    fn a_request_without_an_age_may_demand_a_new_read() {
        let none = Directives::default();
        let new = Some(Duration::ZERO);
        assert_eq!(none.or_new(), Directives { max_age: new, is_certain: true, ..none });
        let on_error = Directives { stale_if_error: Some(seconds(30)), ..none };
        assert_eq!(on_error.or_new(), Directives { max_age: new, is_certain: true, ..on_error });
        for directives in [
            Directives { max_age: Some(seconds(60)), ..none },
            Directives { min_fresh: Some(seconds(1)), ..none },
            Directives { not_before: Some(Timestamp::UNIX_EPOCH), ..none },
            Directives { only_if_cached: true, ..none },
        ] {
            assert_eq!(directives.or_new(), directives);
        }
    }

    #[test]
    fn the_priority_of_a_demand_depends_on_its_origin() {
        let none = Directives::default();
        let now = start();
        for (directives, priority) in [
            (none, Priority::Plain),
            (Directives { max_age: Some(seconds(60)), ..none }, Priority::Plain),
            (Directives { max_age: Some(seconds(0)), ..none }, Priority::Demanded),
            (Directives { min_fresh: Some(seconds(1)), ..none }, Priority::Demanded),
            (Directives { not_before: Some(now.wall), ..none }, Priority::Certain),
            (Directives { not_before: Some(now.wall), max_age: Some(seconds(0)), ..none }, Priority::Certain),
            (none.or_new(), Priority::Certain),
            (Directives { max_age: Some(seconds(5)), ..none }.or_new(), Priority::Demanded),
        ] {
            assert_eq!(directives.demand(now, LIMITS).priority(), priority, "{directives:?}");
        }
    }

    #[test]
    fn a_read_after_the_arrival_is_accepted_with_any_wall_clock() {
        let now = start();
        let demand =
            Directives { max_age: Some(Duration::ZERO), ..Directives::default() }.demand(now, LIMITS);
        let later = now.later_by(seconds(1));

        assert!(demand.accepts(Moment { wall: now.earlier_by(seconds(600)).wall, ..later }, None));
        assert!(!demand.accepts(now.earlier_by(Duration::from_nanos(1)), None));
    }

    #[test]
    fn a_later_read_is_accepted_although_the_stores_clock_was_set_back() {
        let (now, since) = (start(), StoreTime::from_micros(60_000_000));
        let order_state = OrderState { last: 5, now: since, is_clock_trusted: true };
        let demand = Directives { max_age: Some(Duration::ZERO), ..Directives::default() }
            .demand(now, LIMITS)
            .judged_by_store(order_state);
        let set_back = |number| Some(Turn { number, instant: StoreTime::from_micros(20_000_000) });

        assert!(demand.accepts(now.later_by(seconds(1)), set_back(6)));
        assert!(!demand.accepts(now.later_by(seconds(1)), set_back(5)));
        assert!(!demand.accepts(now.earlier_by(seconds(1)), set_back(6)));
    }

    #[test]
    fn not_before_allows_no_fallback() {
        let now = start();
        let directives = Directives { stale_if_error: Some(seconds(600)), ..Directives::default() };

        assert_eq!(directives.demand(now, LIMITS).fallback(), Some(seconds(60)));
        assert_eq!(
            Directives { not_before: Some(now.wall), ..directives }.demand(now, LIMITS).fallback(),
            None
        );
    }

    proptest! {
        #[test]
        fn no_directives_accept_a_snapshot_over_the_ceiling(
            max_age in proptest::option::of(0_u64..200),
            min_fresh in proptest::option::of(0_u64..200),
            ago in 0_u64..200_000,
            wall_step in -100_000_i64..100_000,
        ) {
            let now = start();
            let directives = Directives { max_age: max_age.map(seconds), min_fresh: min_fresh.map(seconds), ..Directives::default() };
            let requested_at = now.earlier_by(Duration::from_millis(ago));
            let wall = requested_at.wall.checked_add(SignedDuration::from_millis(wall_step)).unwrap();
            let requested_at = Moment { wall, ..requested_at };

            if directives.demand(now, LIMITS).accepts(requested_at, None) {
                prop_assert!(requested_at.age_at(now) <= seconds(60));
            }
        }
    }
}
