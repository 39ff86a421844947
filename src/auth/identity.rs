//! The identity of a caller.

use super::service_accounts::ServiceAccount;

/// The keys and the service account of a caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// The SHA-256 of each of its keys.
    Keys(Vec<[u8; 32]>),
    /// The Kubernetes service account whose tokens it sends.
    ServiceAccount(ServiceAccount),
}
