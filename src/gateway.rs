//! The use cases on balances: find, batch, check, report, watch, follow. Independent of HTTP on both sides.

mod account;
mod balance;
mod context;
mod events;
mod forced;
mod found;
mod lookup;
mod notifications;
mod notify;
mod reconciliation;
mod refusal;
mod state;
mod status;
mod subscribe;
mod sufficiency;
mod watch;

pub use account::{Account, AccountSettings, BalanceSettings, BalanceSlot, Selection};
pub use context::RequestContext;
pub use events::{Event, Inbox, Report, Subscription};
pub use forced::Forced;
pub use found::{Found, Via};
pub use lookup::{BalanceSource, Lookup};
pub use reconciliation::{Finding, FindingStatus};
pub use refusal::Refusal;
pub use state::Gateway;
pub use status::{AccountStatus, BalanceStatus, ProviderStatus, Status};
pub use sufficiency::Sufficiency;

pub use crate::cache::Absence;
