//! What a reload replaces while requests are served. Whoever begins takes what is there then, and keeps it to the end.

use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::extract::FromRef;

use super::Api;

/// A value that is replaced as a whole; clones share it.
#[derive(Debug)]
pub struct Live<T>(Arc<ArcSwap<T>>);

impl<T> Live<T> {
    /// Begins with this one.
    #[must_use]
    pub fn new(value: T) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(value)))
    }

    /// The one for whatever begins now.
    #[must_use]
    pub fn current(&self) -> Arc<T> {
        self.0.load_full()
    }

    /// Puts another in its place.
    pub fn replace(&self, value: T) {
        self.0.store(Arc::new(value));
    }
}

impl<T> Clone for Live<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl FromRef<Live<Api>> for Arc<Api> {
    fn from_ref(live: &Live<Api>) -> Self {
        live.current()
    }
}
