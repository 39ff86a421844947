//! Where a read stands in the order that a shared store gives to the reads of several replicas.
//!
//! The store numbers the reads of a balance one after the other and says when each began by its own clock, so that
//! who asks for a read after his arrival needs no clock of ours to be sure of it.

use std::time::Duration;

use jiff::Timestamp;

/// An instant of the store's clock, in microseconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct StoreTime(u64);

/// The place of one read, and of the snapshot that it brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Its number; a later read of the balance has a higher one.
    pub number: u64,
    /// When it may have been sent at the earliest; of a snapshot, less any `Age` of its answer.
    pub instant: StoreTime,
}

/// What a turn must be at least for one who came at some moment; `default` takes any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ticket {
    /// The number must be above this one.
    pub above: u64,
    /// The instant must not be before this one.
    pub since: StoreTime,
}

/// Where the reads of a balance stand in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The number of the last read.
    pub last: u64,
    /// The store's clock.
    pub now: StoreTime,
    /// Whether instants of that clock can be compared.
    pub is_believed: bool,
}

impl StoreTime {
    /// The instant so many microseconds after 1970.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// The microseconds since 1970.
    #[must_use]
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// The same instant of a caller's words; what is before 1970 is 1970.
    #[must_use]
    pub fn of(instant: Timestamp) -> Self {
        Self(u64::try_from(instant.as_microsecond()).unwrap_or(0))
    }

    /// The highest number that the store gives by now: where its clock was set back, numbers run ahead of it. The scripts
    /// have the same bound.
    #[must_use]
    pub fn latest_number(self) -> u64 {
        self.0.saturating_add(micros(Duration::from_hours(1)))
    }

    /// The next whole millisecond.
    #[must_use]
    pub fn rounded_up(self) -> Self {
        Self(self.0.div_ceil(1000).saturating_mul(1000))
    }

    /// The instant as a time stamp.
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

    /// What has passed from `earlier` until this instant; zero where it is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl Ticket {
    /// Whether a read, or a snapshot, of this turn will do.
    #[must_use]
    pub fn accepts(self, turn: Turn) -> bool {
        turn.number > self.above && turn.instant >= self.since
    }
}

/// Whole microseconds, rounded up; the longest for what is longer.
#[must_use]
pub fn micros(length: Duration) -> u64 {
    u64::try_from(length.as_nanos().div_ceil(1000)).unwrap_or(u64::MAX)
}
