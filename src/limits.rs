//! A caller's limits on `tower_governor`, alone or shared by several replicas.

mod bucket;
mod limit;
mod limiter;

pub use limit::Limit;
pub use limiter::Limiter;
