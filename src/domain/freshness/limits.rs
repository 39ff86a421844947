//! The freshness limits of one balance: `fresh_for` and `max_age`.

use std::time::Duration;

/// Time reserved for writing an answer. Without it, a thread that is interrupted between the age check and the write
/// would have to cut the connection.
const TIME_TO_LEAVE: Duration = Duration::from_millis(50);

/// The oldest age that may ever be served: above zero and at most 60 s.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MaxAge(pub(super) Duration);

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

    /// The length itself. Before a snapshot reaches this age, every answer with it must have left.
    #[must_use]
    pub fn get(self) -> Duration {
        self.0
    }

    /// Whether an answer may begin with a snapshot of this age.
    #[must_use]
    pub fn allows(self, age: Duration) -> bool {
        age < self.latest_start()
    }

    /// The age from which no answer is started any more, shortly before the length itself.
    #[must_use]
    pub fn latest_start(self) -> Duration {
        self.0.saturating_sub(TIME_TO_LEAVE)
    }
}

/// The age up to which a snapshot is served without a background refresh: 1 s to 60 s.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FreshFor(pub(super) Duration);

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_begins_only_with_time_to_leave() {
        let ceiling = MaxAge::new(Duration::from_secs(1)).unwrap();

        assert!(ceiling.allows(Duration::from_millis(949)));
        assert!(!ceiling.allows(Duration::from_millis(950)));
    }

    #[test]
    fn a_ceiling_is_whole_seconds_up_to_sixty() {
        for good in [1, 10, 60] {
            assert!(MaxAge::new(Duration::from_secs(good)).is_ok());
        }
        for bad in [Duration::ZERO, Duration::from_millis(1500), Duration::from_secs(61), Duration::MAX] {
            assert_eq!(MaxAge::new(bad), Err(AgeError));
        }
    }
}
