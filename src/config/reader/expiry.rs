//! When certificates expire.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::error::Remark;

/// When the first certificate at each key expires.
pub(in crate::config) type Expiries = BTreeMap<String, Timestamp>;

/// A certificate is reported when it expires within this time.
const EXPIRES_SOON: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Certificates that have expired, or will soon.
pub(in crate::config) fn expiring(expiries: &Expiries, now: Timestamp) -> Vec<Remark> {
    let soon = expiries.iter().filter(|(_, not_after)| not_after.duration_since(now) <= EXPIRES_SOON);
    let remark = |(key, not_after): (&String, &Timestamp)| {
        let text = if *not_after < now { "the certificate expired at" } else { "the certificate expires at" };
        Remark::new(key.clone(), format!("{text} {not_after}"))
    };
    soon.map(remark).collect()
}
