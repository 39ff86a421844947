//! A caller's limits on `tower_governor`, alone or shared by several replicas.

mod bucket;
mod limit;
mod limiter;
mod settings;

pub use limit::Limit;
pub use limiter::Limiter;
pub use settings::LimitSettings;
