//! What the calls of one read have in common: priority, deadline, and place in the shared store's order.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::domain::Priority;
use crate::shared::{CallGrant, SharedAccount, StoreWait};

/// What the calls of one read have in common.
#[derive(Debug)]
pub(super) struct ReadContext {
    pub(super) priority: Priority,
    /// The deadline of the whole read.
    pub(super) deadline: Instant,
    /// Its number in the shared store's order, if it has one.
    pub(super) number: Option<u64>,
    /// The time that the read may still wait for the store; `None` for a read without the store.
    pub(super) store_wait: tokio::sync::Mutex<Option<StoreWait>>,
    /// The call that the store granted together with the number.
    pub(super) first: Mutex<Option<CallGrant>>,
    /// Whether a call was sent.
    pub(super) was_called: AtomicBool,
}

impl ReadContext {
    /// A read without a number, such as a token renewal. The store still counts its calls.
    pub(super) fn counted(priority: Priority, deadline: Instant, wait: Option<StoreWait>) -> Self {
        let store_wait = tokio::sync::Mutex::new(wait);
        Self {
            priority,
            deadline,
            number: None,
            store_wait,
            first: Mutex::default(),
            was_called: AtomicBool::default(),
        }
    }

    /// A read without the store.
    pub(super) fn alone(priority: Priority, deadline: Instant) -> Self {
        Self::counted(priority, deadline, None)
    }

    /// The call that the store granted with the number, unless it is too old.
    pub(super) fn take_first(&self, account: &Arc<SharedAccount>, now: Instant) -> Option<CallGrant> {
        let grant = self.first.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        if grant.is_good(now) {
            return Some(grant);
        }
        account.ended(grant, Duration::ZERO);
        None
    }
}
