//! Reads TOML tables key by key. Messages, effective settings and the contents of sources gather in one
//! `ConfigReading`.

mod effective;
mod error;
mod expiry;
pub(super) mod found;
mod purpose;
mod reading;
mod section;
mod setting;
mod sources;
mod value;

pub(super) use effective::{Effective, quoted};
pub use error::{ConfigErrors, Remark};
pub(super) use expiry::{Expiries, expiring};
pub(super) use purpose::Purpose;
pub(super) use reading::{ConfigReading, LoadResult, Read, Reported};
pub(super) use section::Section;
pub(super) use setting::Setting;
pub(super) use sources::Sources;
pub use sources::Unread;
pub(super) use value::Value;
