//! What limits the calls to a provider: budget, breaker, holds and the reserve of retries.

mod breaker;
mod budget;
mod gate;
mod hold;
pub(super) mod retry;

pub(super) use breaker::Breaker;
pub use breaker::{BreakerSettings, BreakerState};
pub use budget::BudgetSettings;
pub(super) use gate::Gate;
pub(super) use hold::Holds;
pub(super) use retry::RetryReserve;
