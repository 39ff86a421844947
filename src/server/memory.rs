//! The strangers' memory: bounds the memory for unfinished requests of all strangers of a listener together. A stranger
//! is a peer that has not yet been answered as a known caller.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// Shared bytes per possible connection, in addition to what each connection may use by itself. About a twentieth of
/// the buffer of the largest head, which has 128 KiB.
const PER_CONNECTION: usize = 6 * 1024;
/// Minimum of shared bytes: buffers for 32 of the largest heads.
const MIN_SHARED: usize = 4 * 1024 * 1024;

/// Memory that connections share. Clones share it, too.
#[derive(Clone, Debug)]
pub(super) struct SharedMemory {
    free: Arc<AtomicUsize>,
}

/// The share of one connection. Dropping it gives the memory back.
#[derive(Debug)]
pub(super) struct MemoryShare {
    memory: SharedMemory,
    taken: AtomicUsize,
}

impl SharedMemory {
    /// Memory for a listener with this maximum of connections.
    pub(super) fn for_connections(max_connections: usize) -> Self {
        Self::of(max_connections.saturating_mul(PER_CONNECTION).max(MIN_SHARED))
    }

    fn of(bytes: usize) -> Self {
        Self { free: Arc::new(AtomicUsize::new(bytes)) }
    }

    /// A share for one connection, empty at first.
    pub(super) fn share(&self) -> MemoryShare {
        MemoryShare { memory: self.clone(), taken: AtomicUsize::new(0) }
    }
}

impl MemoryShare {
    /// Sets the size of the share in bytes; false when too little memory is free.
    pub(super) fn resize(&self, bytes: usize) -> bool {
        if bytes < self.taken.load(Ordering::Acquire) {
            self.release();
        }
        self.grow_to(bytes)
    }

    /// Enlarges the share to this many bytes, if it is smaller; false when too little memory is free.
    pub(super) fn grow_to(&self, bytes: usize) -> bool {
        let more = bytes.saturating_sub(self.taken.load(Ordering::Acquire));
        let take = |free: usize| free.checked_sub(more);
        let is_granted =
            more == 0 || self.memory.free.fetch_update(Ordering::AcqRel, Ordering::Acquire, take).is_ok();
        if is_granted {
            self.taken.fetch_add(more, Ordering::AcqRel);
        }
        is_granted
    }

    /// Whether the connection has taken anything.
    pub(super) fn is_used(&self) -> bool {
        self.taken.load(Ordering::Acquire) > 0
    }

    /// Gives everything back.
    pub(super) fn release(&self) {
        let taken = self.taken.swap(0, Ordering::AcqRel);
        self.memory.free.fetch_add(taken, Ordering::AcqRel);
    }
}

impl Drop for MemoryShare {
    fn drop(&mut self) {
        self.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_grow_until_the_memory_is_taken_and_give_it_back() {
        let memory = SharedMemory::of(100);
        let (first, second) = (memory.share(), memory.share());

        assert!(first.grow_to(60) && first.grow_to(40) && second.grow_to(40));
        assert!(!second.grow_to(41) && !first.grow_to(61));
        assert!(first.is_used());
        drop(first);
        assert!(second.grow_to(100));
        second.release();
        assert!(!second.is_used() && memory.share().grow_to(100));
    }
}
