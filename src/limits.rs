//! A caller's limits, built on `tower_governor`: of one process alone, or shared by several replicas.

mod bucket;
mod limit;
mod limiter;

pub use limit::Limit;
pub use limiter::Limiter;
