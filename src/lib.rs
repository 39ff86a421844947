//! One internal HTTP service in front of payment providers' balance APIs.
//!
//! Read the modules in the order of a request: [`cli`] runs a command, [`app`] builds everything from the
//! [`config`], [`http`] parses a caller's request, [`gateway`] decides which balances it needs, [`cache`] answers from
//! memory or shares a read, [`upstream`] calls the provider, and [`providers`] know each wire format. [`domain`] holds
//! the values that they exchange, [`shared`] the state that several replicas share. `docs/architecture.md` has the map.

pub mod app;
pub mod auth;
pub mod cache;
pub mod cli;
pub mod clock;
pub mod config;
pub mod domain;
pub mod gateway;
pub mod http;
pub mod limits;
pub mod live;
pub mod metrics;
pub mod providers;
pub mod sandbox;
pub mod server;
pub mod shared;
pub mod shutdown;
pub mod telemetry;
pub mod trace;
pub mod upstream;
