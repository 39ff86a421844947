//! The values that the modules exchange: money, names, snapshots, freshness and failures.
//!
//! Nothing here does I/O or reads a clock: functions that judge age take `now`.
#![warn(clippy::float_arithmetic, clippy::wildcard_enum_match_arm)]

pub mod alerts;
pub mod amount;
mod amount_error;
pub mod answer;
pub mod cause;
pub mod currency;
pub mod digest;
pub mod error;
mod exact_sum;
pub mod freshness;
pub mod key;
pub mod limit_settings;
pub mod moment;
mod number;
pub mod percentage;
pub mod plain;
pub mod reading;
pub mod shortage;
pub mod signal;
pub mod snapshot;
pub mod sum;
pub mod turn;

pub use alerts::{AlertLevels, Level, Ratio, Threshold};
pub use amount::{Amount, MinorUnits};
pub use amount_error::AmountError;
pub use answer::{Answer, Failure, ReadRequest};
pub use cause::Cause;
pub use currency::Currency;
pub use digest::DigestState;
pub use error::{BodyError, ErrorKind, FailureSeries, Hold, ParseError, RetryAfter, UpstreamError};
pub use freshness::{Demand, Directives, FreshFor, Limits, Mark, MaxAge, Priority};
pub use key::{AccountName, BalanceKey, BalanceType, CallerName, HookName, ProviderName, Selector};
pub use limit_settings::LimitSettings;
pub use moment::{Clock, Moment, rounded_up, with_nanoseconds};
pub use percentage::Percentage;
pub use plain::PlainDecimal;
pub use reading::{ObservedAt, Reading};
pub use shortage::is_out_of_files;
pub use signal::AttemptSignal;
pub use snapshot::{Snapshot, Unrestorable};
pub use sum::{CurrencySum, sums};
pub use turn::{OrderState, StoreTime, Ticket, Turn};
