//! Why a text is not an amount.

/// Why a text is not an amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    /// The text is not a JSON number.
    #[error("not a decimal number")]
    NotANumber,
    /// The text is a number, but not a whole number of minor units.
    #[error("not a whole number of minor units")]
    NotAnInteger,
    /// The value needs more than 96 bits or 28 decimals.
    #[error("more digits than 96 bits and 28 decimals hold")]
    OutOfRange,
    /// The currency has no ISO 4217 exponent, so minor units are undefined.
    #[error("the currency has no minor unit")]
    NoMinorUnit,
    /// Two amounts of different currencies cannot be added.
    #[error("different currencies")]
    CurrencyMismatch,
}
