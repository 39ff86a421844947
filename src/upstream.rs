//! Calls to the providers: authorise, send, limit, classify, parse, measure. Only this module calls providers.
//!
//! One [`Upstream`] reads the balances of one account. `account.rs` holds its state and takes new settings over, `reads`
//! makes its reads, and `provider.rs` holds what all accounts of a provider share. Deadlines nest: connect within attempt
//! within read.

mod account;
mod call;
mod credentials;
mod failure;
mod limits;
mod network;
mod provider;
mod read_context;
mod reads;
mod targets;

use account::{Balance, Received};
pub use account::{Upstream, UpstreamSettings};
pub use credentials::{ClientCredentials, Credential};
pub use failure::{Last, LastFailure};
pub use limits::{BreakerSettings, BreakerState, BudgetSettings};
pub use network::{
    CertificateFacts, ClientError, ClientSettings, JwksClient, JwksFetchError, JwksSettings, Response,
    Sending, Transport,
};
pub use provider::{ProviderSettings, UpstreamProvider};

#[cfg(test)]
mod tests;
