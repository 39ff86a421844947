//! Bounds the concurrent requests of known callers (`max_in_flight`).

use std::sync::atomic::{AtomicUsize, Ordering};

/// The number of permits in use.
#[derive(Debug, Default)]
pub(super) struct InFlightLimit(AtomicUsize);

/// The permit of one request. Dropping it returns the permit.
#[derive(Debug)]
pub(super) struct InFlightPermit<'a>(&'a InFlightLimit);

impl InFlightLimit {
    /// Takes a permit, if fewer than `most` are in use.
    pub(super) fn take(&self, most: usize) -> Option<InFlightPermit<'_>> {
        let permit = InFlightPermit(self);
        (self.0.fetch_add(1, Ordering::AcqRel) < most).then_some(permit)
    }
}

impl Drop for InFlightPermit<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_request_takes_no_permit() {
        let limit = InFlightLimit::default();
        let (first, second) = (limit.take(2), limit.take(2));

        assert!(first.is_some() && second.is_some());
        assert!(limit.take(2).is_none() && limit.take(2).is_none());
        drop(first);
        assert!(limit.take(2).is_some());
    }
}
