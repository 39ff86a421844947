//! Notifications from providers: their proof, duplicates, and the listener's service. The gateway ignores their
//! content: a proven notification only causes a new read at the provider.

mod event_ids;
mod hmac;
mod hook;
mod proof;
mod service;
mod settings;
mod signature;
mod template;

pub(super) use hook::Hooks;
pub use service::hooks_service;
pub use settings::{Digest, Encoding, HmacSettings, HookSettings, ProofSettings, SecretHeader};
pub use template::Template;
