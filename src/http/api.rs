//! The endpoints under `/v1`, one file each, and code shared by answers with balances.

pub(super) mod accounts;
pub(super) mod balance;
pub(super) mod balances;
mod batch;
pub(super) mod cost;
pub(super) mod events;
mod item;
pub(super) mod reconciliation;
mod reply;
pub(super) mod sufficiency;
