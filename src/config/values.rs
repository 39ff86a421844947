//! The values that keys can have: URLs, durations, rates, secrets and certificates.

mod address;
pub(super) mod duration;
mod pem;
mod rate;
mod secret;
mod source;

pub(super) use address::{BaseUrl, CollectorUrl, DocumentUrl, Proxy, UrlPath};
pub(super) use duration::{DurationOrZero, Interval};
pub(super) use pem::{Authority, Identity, SentCertificate};
pub(super) use rate::Replicas;
pub(super) use secret::{MASK, Secret, visible};
pub(super) use source::{FilePath, Placeholder, SECRET_FORMS, Source, without_newline};
