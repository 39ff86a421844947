//! Compares the files in `config/kubernetes` and `config/prometheus` with the program's configuration and with each
//! other, to find mistakes that a cluster reports late or never.
#![expect(clippy::unwrap_used, reason = "test code; helpers are not covered by allow-unwrap-in-tests")]

mod callers;
mod files;
mod kubernetes;
mod network;
mod paths;
mod report;
mod rules;
mod shared;
