//! Authentication: callers' keys, service-account tokens and the keys that verify them, the throttle of failures, and
//! the log of denied access.

mod account_pattern;
mod callers;
mod denied;
mod identity;
mod service_accounts;
mod throttle;

pub use account_pattern::AccountPattern;
pub use callers::{Callers, Credential};
pub use denied::DeniedLog;
pub use identity::Identity;
pub use service_accounts::{
    FetchKeys, Jwks, JwksError, KeySource, KubernetesSettings, ServiceAccount, ServiceAccounts,
};
pub use throttle::AuthThrottle;
