//! Tests of the whole gateway over real sockets, against the simulated providers.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "test code; helpers are not covered by allow-…-in-tests"
)]
#![expect(clippy::disallowed_methods, reason = "tests measure with the real clock")]

mod alertmanager;
mod alerts;
mod balances;
mod balances_command;
mod browser;
mod callers;
mod ceiling;
mod clients;
mod clocks;
mod coalescing;
mod dashboard;
mod demands;
mod descriptors;
mod events;
mod failures;
mod fault_matrix;
mod followed_calls;
mod harness;
mod hooks;
mod issuer;
mod kinds;
mod kubernetes;
mod latency;
mod lifecycle;
mod monitoring;
mod mutual_tls;
mod on_call;
mod openapi;
mod operations;
mod operations_page;
mod outages;
mod pages;
mod process;
mod prometheus;
mod readme;
mod reconciliation;
mod reload;
mod replicas;
mod report_command;
mod rolling;
mod shared;
mod slow_provider;
mod soak;
mod strangers;
mod sufficiency;
mod tls;
mod tokens;
mod tracing;
mod watch;
