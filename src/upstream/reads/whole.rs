//! Answers that hold every balance of an account: one call brings all of them, and their reads share its answer.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::domain::{Answer, Failure, ReadRequest, Snapshot};
use crate::upstream::limits::Holds;

/// The last answer of an account whose every answer holds all balances.
#[derive(Debug, Default)]
pub(in crate::upstream) struct WholeAnswers {
    /// Locked by the running read; other reads wait here and then find its answer.
    pub(super) reading: tokio::sync::Mutex<()>,
    last: Mutex<Option<Arc<WholeAnswer>>>,
    failed: Mutex<Option<Failed>>,
    /// Holds after reads that brought no answer: they concern every balance.
    pub(in crate::upstream) holds: Arc<Holds>,
}

/// One answer, with the result for each balance.
#[derive(Debug)]
pub(super) struct WholeAnswer {
    pub(super) sent_at: Instant,
    pub(super) known_at: Instant,
    /// In the order of the account's balances.
    pub(super) balances: Vec<Result<Arc<Snapshot>, Failure>>,
    was_passed_on: AtomicBool,
}

/// A read without an answer.
#[derive(Clone, Copy, Debug)]
struct Failed {
    sent_at: Instant,
    known_at: Instant,
    failure: Failure,
}

impl WholeAnswer {
    pub(super) fn new(
        sent_at: Instant,
        known_at: Instant,
        balances: Vec<Result<Arc<Snapshot>, Failure>>,
    ) -> Self {
        Self { sent_at, known_at, balances, was_passed_on: AtomicBool::new(false) }
    }
}

impl WholeAnswers {
    /// Keeps the failure of a read without an answer.
    pub(super) fn note_failed(&self, sent_at: Instant, known_at: Instant, failure: Failure) {
        *locked(&self.failed) = Some(Failed { sent_at, known_at, failure });
    }

    /// Keeps the newest answer.
    pub(super) fn note(&self, answer: WholeAnswer) {
        *locked(&self.last) = Some(Arc::new(answer));
    }

    /// The answer that a read may share: one that meets its demand, or one that arrived after the read `began` and that
    /// it may join.
    pub(super) fn known(&self, index: usize, request: &ReadRequest, began: Instant) -> Option<Answer> {
        let demand = request.demand?;
        let answered = |sent_at, result| Answer {
            priority: request.priority,
            sent_at,
            turn: None,
            is_from_other_replica: false,
            result,
        };
        let waited_for = |sent_at, known_at| began <= known_at && demand.may_join(sent_at, None);
        let last = locked(&self.last).clone();
        if let Some(last) = last {
            match last.balances.get(index)? {
                Ok(snapshot)
                    if demand.accepts(snapshot.requested_at(), snapshot.turn())
                        || waited_for(last.sent_at, last.known_at) =>
                {
                    return Some(answered(last.sent_at, Ok(Arc::clone(snapshot))));
                }
                Err(failure) if waited_for(last.sent_at, last.known_at) => {
                    return Some(answered(last.sent_at, Err(*failure)));
                }
                Ok(_) | Err(_) => {}
            }
        }
        let failed = (*locked(&self.failed))?;
        let is_shared = waited_for(failed.sent_at, failed.known_at) && !failed.failure.is_refusal();
        is_shared.then(|| answered(failed.sent_at, Err(failed.failure)))
    }

    /// The other balances that an answer brought. The first call returns them; later calls return none.
    pub(super) fn pass_on(&self, index: usize, answer: &Answer) -> Vec<(usize, Arc<Snapshot>)> {
        match self.of(answer) {
            Some(last) if !last.was_passed_on.swap(true, Ordering::Relaxed) => last.others(index),
            _ => Vec::new(),
        }
    }

    /// The other balances that an answer brought.
    pub(super) fn others(&self, index: usize, answer: &Answer) -> Vec<(usize, Arc<Snapshot>)> {
        self.of(answer).map(|last| last.others(index)).unwrap_or_default()
    }

    /// The last whole answer, if `answer` is from it.
    fn of(&self, answer: &Answer) -> Option<Arc<WholeAnswer>> {
        locked(&self.last).clone().filter(|last| last.sent_at == answer.sent_at)
    }
}

impl WholeAnswer {
    fn others(&self, index: usize) -> Vec<(usize, Arc<Snapshot>)> {
        let others = self.balances.iter().enumerate().filter(|(other, _)| *other != index);
        others.filter_map(|(other, balance)| Some((other, Arc::clone(balance.as_ref().ok()?)))).collect()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
