//! The values that the modules exchange: money, names, snapshots, freshness and failures.
//!
//! Nothing here does I/O or reads a clock: functions that judge age take `now`.
#![warn(clippy::float_arithmetic, clippy::wildcard_enum_match_arm)]

pub mod alerts;
pub mod amount;
pub mod answer;
pub mod cause;
pub mod currency;
pub mod digest;
pub mod error;
mod exact_sum;
pub mod freshness;
pub mod key;
pub mod moment;
pub mod percentage;
pub mod plain;
pub mod shortage;
pub mod snapshot;
pub mod sum;
pub mod turn;

pub use alerts::{AlertLevels, Level, Ratio, Threshold};
pub use amount::{Amount, AmountError, MinorUnits};
pub use answer::{Answer, Failure, Order};
pub use cause::Cause;
pub use currency::Currency;
pub use digest::DigestState;
pub use error::{BodyError, ErrorKind, Hold, HoldRow, ParseError, RetryAfter, UpstreamError};
pub use freshness::{Demand, Directives, FreshFor, Limits, Mark, MaxAge, Priority};
pub use key::{AccountName, BalanceKey, BalanceType, CallerName, HookName, ProviderName, Selector};
pub use moment::{Clock, Moment, rounded_up};
pub use percentage::Percentage;
pub use plain::PlainDecimal;
pub use shortage::is_out_of_files;
pub use snapshot::{ObservedAt, Reading, Snapshot, Unrestorable};
pub use sum::{CurrencySum, sums};
pub use turn::{Standing, StoreTime, Ticket, Turn};
