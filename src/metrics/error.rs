//! Why metrics cannot be made.

/// A name or label that prometheus does not accept, or two collectors of one name: a defect of ours.
pub type MetricsError = prometheus::Error;
