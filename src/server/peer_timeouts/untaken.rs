//! The answers of one connection that its peer has not read in full, each with its deadline.

use std::{
    collections::VecDeque,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

/// Stands for "no moment".
pub(super) const NONE: u64 = u64::MAX;

/// One answer; moments are in microseconds since the connection was accepted.
#[derive(Clone, Copy, Debug)]
pub(super) struct UntakenAnswer {
    /// The answer's number on its connection.
    pub(super) id: u64,
    /// When it began.
    pub(super) began: u64,
    /// Its deadline, or [`NONE`].
    pub(super) taken_by: u64,
    /// The connection holds the answer's bytes, and the stream's task no longer does. Always true on HTTP/1.
    pub(super) is_handed_over: bool,
    /// The answer is to a known caller.
    pub(super) is_known: bool,
}

/// The answers that have begun, oldest first.
#[derive(Debug)]
pub(super) struct UntakenAnswers {
    untaken: Mutex<VecDeque<UntakenAnswer>>,
    /// The start of the oldest answer, or [`NONE`]. Open-ended answers do not count.
    oldest: AtomicU64,
    /// The earliest deadline of the bytes that the connection may hold, or [`NONE`].
    due_in_connection: AtomicU64,
    /// The earliest deadline of the bytes that the kernel may hold, or [`NONE`].
    due_in_kernel: AtomicU64,
    next_id: AtomicU64,
}

impl UntakenAnswers {
    pub(super) fn new() -> Self {
        Self {
            untaken: Mutex::default(),
            oldest: AtomicU64::new(NONE),
            due_in_connection: AtomicU64::new(NONE),
            due_in_kernel: AtomicU64::new(NONE),
            next_id: AtomicU64::new(0),
        }
    }

    /// Notes an answer that begins, and returns its number.
    pub(super) fn begin(&self, answer: UntakenAnswer) -> u64 {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        self.change(|untaken| untaken.push_back(UntakenAnswer { id, ..answer }));
        if answer.is_handed_over {
            self.note_due(answer.taken_by);
        }
        id
    }

    /// Notes that the connection holds the answer's bytes from now on.
    pub(super) fn hand_over(&self, id: u64) {
        self.change(|untaken| {
            if let Some(answer) = untaken.iter_mut().find(|answer| answer.id == id) {
                answer.is_handed_over = true;
                self.note_due(answer.taken_by);
            }
        });
    }

    /// Removes an answer. Its deadline still applies to bytes that the connection or the kernel holds.
    pub(super) fn end(&self, id: u64, is_written: bool) {
        self.change(|untaken| {
            let index = untaken.iter().position(|answer| answer.id == id);
            let Some(answer) = index.and_then(|index| untaken.remove(index)) else { return };
            if is_written || answer.is_handed_over {
                self.note_due(answer.taken_by);
            }
        });
    }

    /// The number of unread answers to strangers.
    pub(super) fn of_strangers(&self) -> usize {
        self.lock().iter().filter(|answer| !answer.is_known).count()
    }

    pub(super) fn oldest(&self) -> u64 {
        self.oldest.load(Ordering::Acquire)
    }

    pub(super) fn due(&self) -> u64 {
        self.due_in_connection.load(Ordering::Acquire).min(self.due_in_kernel.load(Ordering::Acquire))
    }

    /// Notes that the connection has passed all its bytes to the kernel. Answers that have not ended may still bring
    /// more.
    pub(super) fn note_flushed(&self) {
        if self.due_in_connection.load(Ordering::Acquire) == NONE {
            return;
        }
        let untaken = self.lock();
        let handed = untaken.iter().filter(|answer| answer.is_handed_over).map(|answer| answer.taken_by);
        let flushed = self.due_in_connection.swap(handed.min().unwrap_or(NONE), Ordering::AcqRel);
        self.due_in_kernel.fetch_min(flushed, Ordering::AcqRel);
    }

    /// Notes that the kernel has sent all bytes that it held.
    pub(super) fn note_all_sent(&self) {
        self.due_in_kernel.store(NONE, Ordering::Release);
    }

    /// Notes that the connection holds bytes with this deadline.
    pub(super) fn note_due(&self, taken_by: u64) {
        self.due_in_connection.fetch_min(taken_by, Ordering::AcqRel);
    }

    fn change(&self, change: impl FnOnce(&mut VecDeque<UntakenAnswer>)) {
        let mut untaken = self.lock();
        change(&mut untaken);
        let oldest = untaken.front().map_or(NONE, |answer| answer.began);
        self.oldest.store(oldest, Ordering::Release);
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<UntakenAnswer>> {
        self.untaken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(taken_by: u64, is_handed_over: bool) -> UntakenAnswer {
        UntakenAnswer { id: 0, began: 1, taken_by, is_handed_over, is_known: true }
    }

    #[test]
    fn an_answer_is_due_from_its_hand_over_until_all_is_sent() {
        let answers = UntakenAnswers::new();
        let stream = answers.begin(answer(70, false));
        assert_eq!((answers.due(), answers.oldest()), (NONE, 1));

        answers.hand_over(stream);
        assert_eq!(answers.due(), 70);
        answers.note_all_sent();
        assert_eq!(answers.due(), 70, "the connection still holds it");

        answers.note_flushed();
        assert_eq!(answers.due(), 70, "the connection still holds a part of it");

        answers.end(stream, true);
        answers.note_all_sent();
        assert_eq!((answers.due(), answers.oldest()), (70, NONE), "the connection has not flushed it");
        answers.note_flushed();
        assert_eq!(answers.due(), 70, "the kernel may hold it");
        answers.note_all_sent();
        assert_eq!(answers.due(), NONE);
    }

    #[test]
    fn an_answer_that_was_given_up_before_its_hand_over_is_not_due() {
        let answers = UntakenAnswers::new();
        let stream = answers.begin(answer(70, false));

        answers.end(stream, false);

        assert_eq!((answers.due(), answers.oldest()), (NONE, NONE));
    }

    #[test]
    fn the_earliest_answer_is_due() {
        let answers = UntakenAnswers::new();
        for taken_by in [80, 60, NONE] {
            answers.begin(answer(taken_by, true));
        }

        assert_eq!(answers.due(), 60);
    }
}
