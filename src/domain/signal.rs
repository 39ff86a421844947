//! The signal of an attempt to a circuit breaker.

/// The end of an attempt, as evidence of the provider's health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptSignal {
    /// A balance arrived.
    Balance,
    /// Another answer below 500 arrived.
    Answered,
    /// The provider failed: no connection, no answer in time, or 5xx.
    Failed,
    /// Nothing: our own deadline was too short, or the provider asked for time.
    Unknown,
}
