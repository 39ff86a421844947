//! Bounds the concurrent requests of known callers (`max_in_flight`).

use std::sync::atomic::{AtomicUsize, Ordering};

/// The number of taken places.
#[derive(Debug, Default)]
pub(super) struct Places(AtomicUsize);

/// One taken place. Dropping it frees the place.
#[derive(Debug)]
pub(super) struct Place<'a>(&'a Places);

impl Places {
    /// Takes a place, if fewer than `most` are taken.
    pub(super) fn take(&self, most: usize) -> Option<Place<'_>> {
        let place = Place(self);
        (self.0.fetch_add(1, Ordering::AcqRel) < most).then_some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_request_takes_no_place() {
        let places = Places::default();
        let (first, second) = (places.take(2), places.take(2));

        assert!(first.is_some() && second.is_some());
        assert!(places.take(2).is_none() && places.take(2).is_none());
        drop(first);
        assert!(places.take(2).is_some());
    }
}
