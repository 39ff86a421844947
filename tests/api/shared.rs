//! Several replicas in front of the same providers, sharing a real Redis.

mod budgets;
mod check;
mod credentials;
mod encrypted;
mod events;
mod fleet;
mod jitter;
mod latency;
mod limits;
mod limits_under_load;
mod mapping;
mod outages;
mod partitions;
mod processes;
mod reads;
mod redis;
mod rolling;
mod rotation;
mod tampering;
mod together;
mod topologies;
