//! One internal HTTP service in front of payment providers' balance APIs.
//!
//! Read it along the way of a request: `cli` runs a command, `app` composes it from the `config`, `http` takes a
//! caller's request, `gateway` decides what a balance is for that caller, `cache` knows it or shares a read,
//! `upstream` asks the provider in the words of `providers`. What they talk about is in `domain`; what several replicas
//! know together is in `shared`.

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
