//! The providers' adapters: each builds a request and parses a body, and does nothing else.
//!
//! A fifth built-in kind needs one more file here, its `mod` line and its line in `registry.rs`. A kind that the
//! configuration declares needs no code: see `declared/`.

mod adapter;
mod authorisation;
pub mod declared;
mod fields;
mod ntxpay_br;
mod ntxpay_mx;
mod pluggo;
mod registry;
mod request;

pub use adapter::{Figure, Provider, RequestError, Scheme, WaitHeader};
pub use authorisation::Authorisation;
pub use registry::{Adapter, REGISTRY, find};
