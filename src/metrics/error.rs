//! Why metrics cannot be made.

/// A name or label that prometheus rejects, or two collectors with one name: our defect.
pub type MetricsError = prometheus::Error;
