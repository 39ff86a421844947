//! How old a snapshot may be: the ceiling, what a caller asks, and the one judgement over both.
//!
//! Every demand becomes one instant, `not_before`, never later than the arrival. Age counts from when the
//! upstream request was *sent*, not from when its answer came.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::domain::moment::Moment;
use crate::domain::turn::{Standing, StoreTime, Ticket, Turn};

/// A mark in the store's order is the instant of its making, rounded up by less.
const MARK_ROUNDING: Duration = Duration::from_millis(1);

/// The oldest age that may ever be served: above zero and at most 60 s.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MaxAge(Duration);

/// An age that is no legal ceiling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected whole seconds, from 1s to 60s")]
pub struct AgeError;

impl MaxAge {
    /// What the providers advise as the longest time to keep a balance.
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

/// The age up to which a snapshot is served without a refresh behind it: 1 s to 60 s.
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
    /// Younger snapshots are served as they are.
    pub fresh_for: FreshFor,
    /// Older ones never.
    pub max_age: MaxAge,
}

/// An invalidation of a balance: nothing from before it may be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// When we knew of it.
    pub at: Instant,
    /// Its place in the shared store's order, if it has one.
    pub number: Option<u64>,
}

/// What one caller needs of one balance.
#[derive(Clone, Copy, Debug)]
pub struct Demand {
    pub(super) arrived: Moment,
    /// The earliest acceptable `requested_at`; never later than the arrival.
    pub(super) not_before: Instant,
    /// The same without an instant of somebody's clock, as an age on arrival.
    pub(super) oldest: Duration,
    /// An instant of somebody's clock before which nothing may have been requested.
    pub(super) since: Option<Timestamp>,
    /// Nothing from before it.
    pub(super) mark: Option<Mark>,
    /// What the shared store said on arrival; what has a turn is judged by it alone.
    pub(super) ticket: Option<Ticket>,
    /// What a read for it ranks as.
    pub(super) priority: Priority,
    /// Whether the provider must not be asked.
    pub(super) only_if_cached: bool,
    /// The oldest snapshot that will do when the read fails.
    pub(super) fallback: Option<Duration>,
}

impl Demand {
    /// The demand of a refresh behind an answer: younger than `fresh_for`, not equal to it.
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

    /// The same demand where its instant is of a shared store's clock: what has no place in the store's order must have
    /// been requested after the arrival; unless it `is_sharing`, everything must.
    #[must_use]
    pub fn of_the_stores_clock(self, limits: Limits, is_sharing: bool) -> Self {
        // An instant of long ago asks for nothing, whatever minute our clocks are apart.
        let oldest = limits.max_age.get() + MaxAge::CEILING.get();
        let is_recent = |since: Timestamp| self.arrived.earlier_by(oldest).wall < since;
        if !self.since.is_some_and(is_recent) {
            return self;
        }
        let oldest = if is_sharing { self.oldest } else { Duration::ZERO };
        Self { not_before: self.arrived.monotonic, oldest, ..self }
    }

    /// The same demand in the shared store's terms, as they stood after the arrival.
    #[must_use]
    pub fn with_ticket(self, standing: Standing) -> Self {
        let Standing { last, now, is_believed } = standing;
        let since = self.since.map_or(StoreTime::default(), StoreTime::of);
        let is_lonely_mark = self.mark.is_some_and(|mark| mark.number.is_none());
        let is_after_arrival = self.oldest.is_zero() || since >= now || is_lonely_mark || !is_believed;
        let above = if is_after_arrival { last } else { 0 };
        // The instant counts as well: an answer that carries an `Age` is of before its turn.
        let since = if is_after_arrival { now } else { since.max(now.earlier_by(self.oldest)) };
        Self { ticket: Some(Ticket { above, since }), ..self }
    }

    /// The same demand of one whom this turn has not satisfied, and will not.
    #[must_use]
    pub fn above(self, turn: Turn) -> Self {
        let ticket = self.ticket.map(|ticket| Ticket { above: ticket.above.max(turn.number), ..ticket });
        Self { ticket, ..self }
    }

    /// Whether every read of another replica will do that is within the ceiling.
    #[must_use]
    pub fn takes_any(&self, limits: Limits) -> bool {
        let is_lonely_mark = self.mark.is_some_and(|mark| mark.number.is_none());
        self.oldest >= limits.max_age.get() && self.since.is_none() && !is_lonely_mark
    }

    /// The same demand of one who takes any turn.
    #[must_use]
    pub fn with_any_turn(self) -> Self {
        Self { ticket: Some(Ticket::default()), ..self }
    }

    /// What the shared store said on arrival, and what is known of invalidations that it may have lost.
    #[must_use]
    pub fn ticket(&self) -> Option<Ticket> {
        let mark = self.mark.and_then(|mark| mark.number).unwrap_or(0);
        self.ticket.map(|ticket| Ticket { above: ticket.above.max(mark), ..ticket })
    }

    /// Whether a snapshot of this moment, or this turn, will do.
    ///
    /// What was requested after the arrival always does, by the monotonic clock alone: a wall clock that steps
    /// back during the read must not send the caller round for ever.
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
            // The instant of a caller's words is one of the clock that the turn is of.
            (Some(turn), Some(since)) if turn.instant < StoreTime::of(since) => return false,
            (Some(_), _) => self.arrived.earlier_by(self.oldest).monotonic,
            (None, _) => self.not_before,
        };
        let not_before = mark.map_or(not_before, |mark| mark.max(not_before));
        let age = requested_at.age_at(self.arrived);
        self.arrived.monotonic.checked_sub(age).is_some_and(|requested| requested >= not_before)
    }

    /// Whether a read that began at this instant, in this turn, may be shared.
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

    /// The mark as far as our clock must tell what is after it, and whether the store's order says that this turn is
    /// not.
    fn marked(&self, turn: Option<Turn>) -> (Option<Instant>, bool) {
        let Some(mark) = self.mark else { return (None, false) };
        match (mark.number, turn) {
            // An answer that carries an `Age` may be of before the mark, though its turn is not.
            (Some(number), Some(turn)) => {
                let is_older = StoreTime::from_micros(number).since(turn.instant) > MARK_ROUNDING;
                (is_older.then_some(mark.at), turn.number <= number)
            }
            _ => (Some(mark.at), false),
        }
    }

    /// When the caller came.
    #[must_use]
    pub fn arrived(&self) -> Moment {
        self.arrived
    }

    /// Whether the caller asked for more than everybody gets.
    #[must_use]
    pub fn is_own(&self) -> bool {
        self.priority > Priority::Plain
    }

    /// What a read for it ranks as.
    #[must_use]
    pub fn priority(&self) -> Priority {
        self.priority
    }

    /// Whether the provider must not be asked.
    #[must_use]
    pub fn only_if_cached(&self) -> bool {
        self.only_if_cached
    }

    /// The oldest snapshot that will do when the read fails.
    #[must_use]
    pub fn fallback(&self) -> Option<Duration> {
        self.fallback
    }
}

/// Who is behind a read; decides which share of the outgoing budget it may use. Later ones may use more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// A refresh behind an answer, or a renewal ahead of time: nobody waits.
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
    fn each_wish_becomes_the_instant_the_contract_says() {
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
    fn who_says_nothing_of_age_may_be_given_a_new_read() {
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
