//! The optional tier that several replicas share on Redis or Valkey: snapshots, the order of reads, invalidations,
//! budgets and holds. While the store is unavailable, each replica works alone.
//!
//! Where each rule is: ages and turns in `look.rs`, `enter.rs` and the scripts; names and encryption in `keyring.rs`;
//! lost messages in `link.rs`.

mod account;
mod balance;
mod breaker;
mod calls;
mod catch_up;
mod clock;
mod connection;
mod enter;
mod epoch;
mod error;
mod failure;
mod handle;
mod keyring;
mod known;
mod lease;
mod link;
mod live_lease;
mod look;
mod marks;
mod notified;
mod places;
mod probe;
mod read;
mod running;
mod script;
mod settings;
mod store;
mod tier;
mod units;
mod units_in_use;
mod url;

pub use account::{SharedAccount, SharedAccountSettings};
pub use breaker::{SharedAdmission, SharedBreaker, SharedBreakerSettings};
pub use calls::{Allowance, CallGrant};
pub use connection::{CONNECT_TIMEOUT, Commands};
pub use error::{StoreError, Unavailable};
pub use handle::Shared;
pub use keyring::SharedKey;
pub use lease::{HoldScope, SharedHold};
pub use notified::Claim;
pub use probe::probe;
pub use read::{ReadEnd, ReadTask, Reader};
pub use settings::SharedSettings;
pub use store::StoreWait;
pub use units::{Taken, Units};
pub use url::StoreUrl;
