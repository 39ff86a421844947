//! Turns: the order that a shared store gives to the reads of all replicas.
//!
//! The store numbers the reads of a balance and records the start of each by its own clock. So a caller that demands a
//! read after its arrival does not depend on the clocks of replicas.

use std::time::Duration;

use jiff::Timestamp;

/// An instant of the store's clock, in microseconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct StoreTime(u64);

/// The place of a read, and of its snapshot, in the store's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Its number; a later read of the balance has a higher one.
    pub number: u64,
    /// The earliest instant at which the read may have been sent; for a snapshot, less any `Age` of its answer.
    pub instant: StoreTime,
}

/// The lowest turn that a caller accepts, fixed when it arrives. The default accepts any turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ticket {
    /// The number must be above this one.
    pub above: u64,
    /// The instant must not be before this one.
    pub since: StoreTime,
}

/// The state of a balance's order in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderState {
    /// The number of the last read.
    pub last: u64,
    /// The store's clock.
    pub now: StoreTime,
    /// Whether instants of that clock are comparable.
    pub is_clock_trusted: bool,
}

impl StoreTime {
    /// The instant this many microseconds after 1970.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// The microseconds since 1970.
    #[must_use]
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// The instant of a caller's timestamp; an instant before 1970 becomes 1970.
    #[must_use]
    pub fn of(instant: Timestamp) -> Self {
        Self(u64::try_from(instant.as_microsecond()).unwrap_or(0))
    }

    /// The highest number that the store can have given by this instant. After its clock was set back, numbers run
    /// ahead of the clock, by at most an hour. The scripts have the same bound.
    #[must_use]
    pub fn latest_number(self) -> u64 {
        self.0.saturating_add(micros(Duration::from_hours(1)))
    }

    /// The next whole millisecond.
    #[must_use]
    pub fn rounded_up(self) -> Self {
        Self(self.0.div_ceil(1000).saturating_mul(1000))
    }

    /// The instant as a timestamp.
    #[must_use]
    pub fn timestamp(self) -> Timestamp {
        i64::try_from(self.0)
            .ok()
            .and_then(|micros| Timestamp::from_microsecond(micros).ok())
            .unwrap_or(Timestamp::MAX)
    }

    /// The instant `length` before this one; never before 1970.
    #[must_use]
    pub fn earlier_by(self, length: Duration) -> Self {
        Self(self.0.saturating_sub(micros(length)))
    }

    /// The time from `earlier` until this instant; zero if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl Ticket {
    /// Whether a read or a snapshot of this turn is acceptable.
    #[must_use]
    pub fn accepts(self, turn: Turn) -> bool {
        turn.number > self.above && turn.instant >= self.since
    }
}

/// Whole microseconds, rounded up; saturates.
#[must_use]
pub fn micros(length: Duration) -> u64 {
    u64::try_from(length.as_nanos().div_ceil(1000)).unwrap_or(u64::MAX)
}
