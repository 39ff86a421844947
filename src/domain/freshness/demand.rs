//! How old a snapshot may be: the ceiling, the demands of callers, and the one decision about both.
//!
//! Every demand becomes one instant, `not_before`, never later than the arrival. Age counts from when the
//! upstream request was *sent*, not from when its answer arrived.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::domain::moment::Moment;
use crate::domain::turn::{Standing, StoreTime, Ticket, Turn};

/// A mark's number is the instant of the invalidation, rounded up by less than this.
const MARK_ROUNDING: Duration = Duration::from_millis(1);

/// The oldest age that may ever be served: above zero and at most 60 s.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MaxAge(Duration);

/// An age outside the allowed range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected whole seconds, from 1s to 60s")]
pub struct AgeError;

impl MaxAge {
    /// The longest time that the providers advise to keep a balance.
    pub const CEILING: Self = Self(Duration::from_mins(1));

    /// Takes whole seconds from 1 s to 60 s.
    ///
    /// # Errors
    /// [`AgeError`] for any other length.
    pub fn new(age: Duration) -> Result<Self, AgeError> {
        whole_seconds(age).filter(|age| *age <= Self::CEILING.0).map(Self).ok_or(AgeError)
    }

    /// The length itself.
    #[must_use]
    pub fn get(self) -> Duration {
        self.0
    }
}

/// The age up to which a snapshot is served without a background refresh: 1 s to 60 s.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FreshFor(Duration);

impl FreshFor {
    /// Takes whole seconds from 1 s to 60 s.
    ///
    /// # Errors
    /// [`AgeError`] for any other length.
    pub fn new(age: Duration) -> Result<Self, AgeError> {
        MaxAge::new(age).map(|age| Self(age.0))
    }

    /// The length itself.
    #[must_use]
    pub fn get(self) -> Duration {
        self.0
    }
}

fn whole_seconds(age: Duration) -> Option<Duration> {
    (age.subsec_nanos() == 0 && !age.is_zero()).then_some(age)
}

/// The two limits of one balance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Younger snapshots are served without a refresh.
    pub fresh_for: FreshFor,
    /// Older snapshots are never served.
    pub max_age: MaxAge,
}

/// An invalidation of a balance: no older snapshot may be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// When this replica learnt of it.
    pub at: Instant,
    /// Its place in the shared store's order, if it has one.
    pub number: Option<u64>,
}

/// The freshness demand of one caller for one balance.
#[derive(Clone, Copy, Debug)]
pub struct Demand {
    pub(super) arrived: Moment,
    /// The earliest acceptable `requested_at`; never later than the arrival.
    pub(super) not_before: Instant,
    /// The same as an age on arrival, without `since`.
    pub(super) oldest: Duration,
    /// The earliest acceptable request time by another clock, from `?not_before=`.
    pub(super) since: Option<Timestamp>,
    /// The invalidation that a snapshot must be newer than.
    pub(super) mark: Option<Mark>,
    /// The order of the shared store on arrival; it alone decides about snapshots with a turn.
    pub(super) ticket: Option<Ticket>,
    /// The priority of a read for it.
    pub(super) priority: Priority,
    /// Whether no call may be made.
    pub(super) only_if_cached: bool,
    /// The oldest acceptable fall-back when the read fails.
    pub(super) fallback: Option<Duration>,
}

impl Demand {
    /// The demand of a background refresh: younger than `fresh_for`, not equal to it.
    #[must_use]
    pub fn refresh(now: Moment, limits: Limits) -> Self {
        let younger = limits.fresh_for.get().saturating_sub(Duration::from_nanos(1));
        Self { not_before: now.earlier_by(younger).monotonic, oldest: younger, ..Self::none(now, limits) }
    }

    /// The same demand for a balance that was invalidated at `mark`.
    #[must_use]
    pub fn and_after(self, mark: Option<Mark>) -> Self {
        Self { mark, ..self }
    }

    /// The same demand with `since` read by the store's clock. A snapshot without a turn must then be requested after the
    /// arrival; unless the replica `is_sharing`, every snapshot must.
    #[must_use]
    pub fn of_the_stores_clock(self, limits: Limits, is_sharing: bool) -> Self {
        // An instant long ago demands nothing, even if our clocks differ by a minute.
        let oldest = limits.max_age.get() + MaxAge::CEILING.get();
        let is_recent = |since: Timestamp| self.arrived.earlier_by(oldest).wall < since;
        if !self.since.is_some_and(is_recent) {
            return self;
        }
        let oldest = if is_sharing { self.oldest } else { Duration::ZERO };
        Self { not_before: self.arrived.monotonic, oldest, ..self }
    }

    /// The same demand with the order of the shared store, as read after the arrival.
    #[must_use]
    pub fn with_ticket(self, standing: Standing) -> Self {
        let Standing { last, now, is_believed } = standing;
        let since = self.since.map_or(StoreTime::default(), StoreTime::of);
        let is_lonely_mark = self.mark.is_some_and(|mark| mark.number.is_none());
        let is_after_arrival = self.oldest.is_zero() || since >= now || is_lonely_mark || !is_believed;
        let above = if is_after_arrival { last } else { 0 };
        // The instant counts, too: an answer with an `Age` is older than its turn.
        let since = if is_after_arrival { now } else { since.max(now.earlier_by(self.oldest)) };
        Self { ticket: Some(Ticket { above, since }), ..self }
    }

    /// The same demand, excluding this turn and all earlier ones.
    #[must_use]
    pub fn above(self, turn: Turn) -> Self {
        let ticket = self.ticket.map(|ticket| Ticket { above: ticket.above.max(turn.number), ..ticket });
        Self { ticket, ..self }
    }

    /// Whether every read of another replica within the ceiling is acceptable.
    #[must_use]
    pub fn takes_any(&self, limits: Limits) -> bool {
        let is_lonely_mark = self.mark.is_some_and(|mark| mark.number.is_none());
        self.oldest >= limits.max_age.get() && self.since.is_none() && !is_lonely_mark
    }

    /// The same demand, accepting any turn.
    #[must_use]
    pub fn with_any_turn(self) -> Self {
        Self { ticket: Some(Ticket::default()), ..self }
    }

    /// The minimum turn, including invalidations that the store may have lost.
    #[must_use]
    pub fn ticket(&self) -> Option<Ticket> {
        let mark = self.mark.and_then(|mark| mark.number).unwrap_or(0);
        self.ticket.map(|ticket| Ticket { above: ticket.above.max(mark), ..ticket })
    }

    /// Whether a snapshot of this moment, or this turn, is acceptable.
    ///
    /// A snapshot requested after the arrival by the monotonic clock always is: otherwise a wall clock that steps back
    /// during the read would repeat the lookup for ever.
    #[must_use]
    pub fn accepts(&self, requested_at: Moment, turn: Option<Turn>) -> bool {
        let (mark, is_marked) = self.marked(turn);
        if is_marked {
            return false;
        }
        if let (Some(ticket), Some(turn)) = (self.ticket, turn) {
            // A store whose clock was set back gives later reads earlier instants.
            let is_after_arrival = requested_at.monotonic >= self.arrived.monotonic;
            let is_new = turn.number > ticket.above && (turn.instant >= ticket.since || is_after_arrival);
            return is_new && mark.is_none_or(|mark| requested_at.monotonic >= mark);
        }
        if requested_at.monotonic >= self.arrived.monotonic {
            return mark.is_none_or(|mark| requested_at.monotonic >= mark);
        }
        let not_before = match (turn, self.since) {
            // `since` and the turn are instants of the same clock.
            (Some(turn), Some(since)) if turn.instant < StoreTime::of(since) => return false,
            (Some(_), _) => self.arrived.earlier_by(self.oldest).monotonic,
            (None, _) => self.not_before,
        };
        let not_before = mark.map_or(not_before, |mark| mark.max(not_before));
        let age = requested_at.age_at(self.arrived);
        self.arrived.monotonic.checked_sub(age).is_some_and(|requested| requested >= not_before)
    }

    /// Whether a running read with this start and turn may be joined.
    #[must_use]
    pub fn may_join(&self, started_at: Instant, turn: Option<Turn>) -> bool {
        let (mark, is_marked) = self.marked(turn);
        let is_after_mark = !is_marked && mark.is_none_or(|mark| started_at >= mark);
        is_after_mark
            && match (self.ticket, turn) {
                (Some(ticket), Some(turn)) => ticket.accepts(turn),
                _ => started_at >= self.not_before,
            }
    }

    /// The moment of the mark if our clock must decide, and whether the store's order already decides that this turn is
    /// before it.
    fn marked(&self, turn: Option<Turn>) -> (Option<Instant>, bool) {
        let Some(mark) = self.mark else { return (None, false) };
        match (mark.number, turn) {
            // An answer with an `Age` may be older than the mark, although its turn is not.
            (Some(number), Some(turn)) => {
                let is_older = StoreTime::from_micros(number).since(turn.instant) > MARK_ROUNDING;
                (is_older.then_some(mark.at), turn.number <= number)
            }
            _ => (Some(mark.at), false),
        }
    }

    /// When the request arrived.
    #[must_use]
    pub fn arrived(&self) -> Moment {
        self.arrived
    }

    /// Whether the caller demands more than the ceiling.
    #[must_use]
    pub fn is_own(&self) -> bool {
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
    /// A caller without a demand waits.
    Plain,
    /// A caller with a demand of its `Cache-Control` waits. HTTP libraries add such demands on their own.
    Demanded,
    /// A caller that must have a newer balance waits: `sufficiency`, `not_before`, or reconciliation's own demand.
    Certain,
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs some moment to count from")]
mod tests {
    use jiff::SignedDuration;
    use proptest::prelude::*;

    use super::*;
    use crate::domain::Wish;

    const LIMITS: Limits =
        Limits { fresh_for: FreshFor(Duration::from_secs(10)), max_age: MaxAge(Duration::from_mins(1)) };

    fn start() -> Moment {
        Moment { monotonic: Instant::now(), wall: Timestamp::now() }
    }

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn a_ceiling_is_whole_seconds_up_to_sixty() {
        for good in [1, 10, 60] {
            assert!(MaxAge::new(seconds(good)).is_ok());
        }
        for bad in [Duration::ZERO, Duration::from_millis(1500), seconds(61), Duration::MAX] {
            assert_eq!(MaxAge::new(bad), Err(AgeError));
        }
    }

    #[test]
    fn age_is_the_larger_of_both_clocks() {
        let then = start();
        let frozen = Moment { wall: then.later_by(seconds(70)).wall, ..then.later_by(seconds(1)) };
        let stepped_back = Moment { wall: then.earlier_by(seconds(30)).wall, ..then.later_by(seconds(20)) };

        assert_eq!(then.age_at(frozen), seconds(70));
        assert_eq!(then.age_at(stepped_back), seconds(20));
        assert_eq!(then.later_by(seconds(5)).age_at(then), Duration::ZERO);
    }

    #[test]
    fn each_wish_becomes_the_documented_instant() {
        let now = start();
        let not_before = |ago: i64| now.wall.checked_sub(SignedDuration::from_secs(ago)).ok();
        let none = Wish::default();
        for (wish, oldest, own) in [
            (none, 60, false),
            (Wish { max_age: Some(seconds(0)), ..none }, 0, true),
            (Wish { max_age: Some(seconds(30)), ..none }, 30, true),
            (Wish { max_age: Some(seconds(60)), ..none }, 60, false),
            (Wish { max_age: Some(seconds(600)), ..none }, 60, false),
            (Wish { min_fresh: Some(seconds(4)), ..none }, 6, true),
            (Wish { min_fresh: Some(seconds(0)), ..none }, 10, true),
            (Wish { min_fresh: Some(seconds(11)), ..none }, 0, true),
            (Wish { max_age: Some(seconds(3)), min_fresh: Some(seconds(4)), ..none }, 3, true),
            (Wish { not_before: not_before(21), ..none }, 20, true),
            (Wish { not_before: not_before(600), ..none }, 60, true),
            (Wish { not_before: not_before(-600), ..none }, 0, true),
            (Wish { only_if_cached: true, ..none }, 60, true),
        ] {
            let demand = wish.demand(now, LIMITS);

            assert!(demand.accepts(now.earlier_by(seconds(oldest)), None), "{wish:?}");
            let older = now.earlier_by(seconds(oldest) + Duration::from_millis(1));
            assert!(!demand.accepts(older, None), "{wish:?}");
            assert_eq!(demand.is_own(), own, "{wish:?}");
        }
    }

    #[test]
    fn a_request_without_an_age_may_demand_a_new_read() {
        let none = Wish::default();
        let new = Some(Duration::ZERO);
        assert_eq!(none.or_new(), Wish { max_age: new, is_certain: true, ..none });
        let on_error = Wish { stale_if_error: Some(seconds(30)), ..none };
        assert_eq!(on_error.or_new(), Wish { max_age: new, is_certain: true, ..on_error });
        for wish in [
            Wish { max_age: Some(seconds(60)), ..none },
            Wish { min_fresh: Some(seconds(1)), ..none },
            Wish { not_before: Some(Timestamp::UNIX_EPOCH), ..none },
            Wish { only_if_cached: true, ..none },
        ] {
            assert_eq!(wish.or_new(), wish);
        }
    }

    #[test]
    fn only_a_demand_of_headers_leaves_room_in_the_budget() {
        let none = Wish::default();
        let now = start();
        for (wish, priority) in [
            (none, Priority::Plain),
            (Wish { max_age: Some(seconds(60)), ..none }, Priority::Plain),
            (Wish { max_age: Some(seconds(0)), ..none }, Priority::Demanded),
            (Wish { min_fresh: Some(seconds(1)), ..none }, Priority::Demanded),
            (Wish { not_before: Some(now.wall), ..none }, Priority::Certain),
            (Wish { not_before: Some(now.wall), max_age: Some(seconds(0)), ..none }, Priority::Certain),
            (none.or_new(), Priority::Certain),
            (Wish { max_age: Some(seconds(5)), ..none }.or_new(), Priority::Demanded),
        ] {
            assert_eq!(wish.demand(now, LIMITS).priority(), priority, "{wish:?}");
        }
    }

    #[test]
    fn a_read_after_the_arrival_is_accepted_whatever_the_wall_clock_does() {
        let now = start();
        let demand = Wish { max_age: Some(Duration::ZERO), ..Wish::default() }.demand(now, LIMITS);
        let later = now.later_by(seconds(1));

        assert!(demand.accepts(Moment { wall: now.earlier_by(seconds(600)).wall, ..later }, None));
        assert!(!demand.accepts(now.earlier_by(Duration::from_nanos(1)), None));
    }

    #[test]
    fn not_before_leaves_no_fallback() {
        let now = start();
        let wish = Wish { stale_if_error: Some(seconds(600)), ..Wish::default() };

        assert_eq!(wish.demand(now, LIMITS).fallback(), Some(seconds(60)));
        assert_eq!(Wish { not_before: Some(now.wall), ..wish }.demand(now, LIMITS).fallback(), None);
    }

    proptest! {
        #[test]
        fn no_wish_accepts_what_is_over_the_ceiling(
            max_age in proptest::option::of(0_u64..200),
            min_fresh in proptest::option::of(0_u64..200),
            ago in 0_u64..200_000,
            wall_step in -100_000_i64..100_000,
        ) {
            let now = start();
            let wish = Wish { max_age: max_age.map(seconds), min_fresh: min_fresh.map(seconds), ..Wish::default() };
            let requested_at = now.earlier_by(Duration::from_millis(ago));
            let wall = requested_at.wall.checked_add(SignedDuration::from_millis(wall_step)).unwrap();
            let requested_at = Moment { wall, ..requested_at };

            if wish.demand(now, LIMITS).accepts(requested_at, None) {
                prop_assert!(requested_at.age_at(now) <= seconds(60));
            }
        }
    }
}
