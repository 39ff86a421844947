//! How an account authenticates: its credential, the rotations of the credential, and the tokens that it is exchanged
//! for.

pub(super) mod credential;
mod rotation;
mod token;

pub use credential::{ClientCredentials, Credential};
pub(super) use credential::{Credentials, Exchangeable};
pub(super) use rotation::Rotation;
pub(super) use token::{Token, Tokens};
