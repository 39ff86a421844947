//! The unsent events of one subscription: at most one snapshot and one problem of each balance.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::report::Report;
use crate::gateway::refusal::Refusal;

/// An event about one balance, for one subscription.
#[derive(Clone, Debug)]
pub enum Event {
    /// A newer snapshot is stored.
    Balance(Arc<Report>),
    /// A read failed or was refused.
    Problem(Refusal),
}

/// The unsent events of one subscription.
#[derive(Debug)]
pub struct Inbox {
    state: Mutex<State>,
    arrived: Notify,
}

#[derive(Debug)]
struct State {
    balances: Vec<BalanceState>,
    /// The indices of the balances with an event, the longest waiting first.
    waiting: VecDeque<usize>,
    /// Snapshots that a newer one replaced before they were taken.
    superseded: u64,
}

/// One balance of the subscription: its unsent events, and what the subscriber knows.
#[derive(Debug, Default)]
struct BalanceState {
    /// The last snapshot that arrived, taken or not.
    newest: Option<Arc<Report>>,
    /// Whether a read has brought a snapshot since the subscription began.
    has_read: bool,
    has_balance: bool,
    problem: Option<Refusal>,
    is_waiting: bool,
}

impl Inbox {
    /// An empty inbox for this many balances.
    pub(super) fn of(balances: usize) -> Self {
        let state = State {
            balances: (0..balances).map(|_| BalanceState::default()).collect(),
            waiting: VecDeque::with_capacity(balances),
            superseded: 0,
        };
        Self { state: Mutex::new(state), arrived: Notify::new() }
    }

    /// Adds the snapshot of a read that succeeded. A snapshot that has already arrived causes no event.
    pub(super) fn add_balance(&self, index: usize, report: &Arc<Report>) {
        self.add(index, report, true);
    }

    /// Adds a snapshot that was looked up, unless a read has brought one since the subscription began.
    pub(super) fn add_current(&self, index: usize, report: &Arc<Report>) {
        if !self.state().balances.get(index).is_some_and(|balance| balance.has_read) {
            self.add(index, report, false);
        }
    }

    /// Notes a snapshot that the subscriber knows already.
    pub(super) fn note_known(&self, index: usize, report: &Arc<Report>) {
        if let Some(balance) = self.state().balances.get_mut(index).filter(|balance| balance.newest.is_none())
        {
            balance.newest = Some(Arc::clone(report));
        }
    }

    fn add(&self, index: usize, report: &Arc<Report>, is_from_read: bool) {
        let mut state = self.state();
        let Some(balance) = state.balances.get_mut(index) else { return };
        balance.has_read |= is_from_read;
        if is_from_read {
            balance.problem = None;
        }
        if balance.newest.as_ref().is_some_and(|newest| newest.is_of_same(report)) {
            return;
        }
        balance.newest = Some(Arc::clone(report));
        let is_superseding = std::mem::replace(&mut balance.has_balance, true);
        state.superseded += u64::from(is_superseding);
        state.queue(index);
        drop(state);
        self.arrived.notify_one();
    }

    /// Adds a failure.
    pub(super) fn add_problem(&self, index: usize, refusal: Refusal) {
        let mut state = self.state();
        let Some(balance) = state.balances.get_mut(index) else { return };
        balance.problem = Some(refusal);
        state.queue(index);
        drop(state);
        self.arrived.notify_one();
    }

    /// Waits for the next event and takes it, with the index of its balance.
    pub async fn next(&self) -> (usize, Event) {
        loop {
            if let Some(event) = self.take() {
                return event;
            }
            self.arrived.notified().await;
        }
    }

    /// Takes the oldest event. A balance's snapshot comes before its problem.
    #[must_use]
    pub fn take(&self) -> Option<(usize, Event)> {
        let mut state = self.state();
        while let Some(index) = state.waiting.pop_front() {
            let balance = &mut state.balances[index];
            balance.is_waiting = false;
            if std::mem::take(&mut balance.has_balance)
                && let Some(report) = balance.newest.clone()
            {
                if balance.problem.is_some() {
                    balance.is_waiting = true;
                    state.waiting.push_front(index);
                }
                return Some((index, Event::Balance(report)));
            }
            if let Some(refusal) = balance.problem.take() {
                return Some((index, Event::Problem(refusal)));
            }
        }
        None
    }

    /// Returns the number of snapshots that were replaced before they were taken, since the last call.
    #[must_use]
    pub fn take_superseded(&self) -> u64 {
        std::mem::take(&mut self.state().superseded)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn queue(&mut self, index: usize) {
        if !std::mem::replace(&mut self.balances[index].is_waiting, true) {
            self.waiting.push_back(index);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::events::report::tests::report;

    fn balance(event: Option<(usize, Event)>) -> (usize, Arc<Report>) {
        match event {
            Some((index, Event::Balance(report))) => (index, report),
            other => panic!("no balance: {other:?}"),
        }
    }

    #[test]
    fn a_slow_reader_gets_the_newest_snapshot_of_each_balance() {
        let inbox = Inbox::of(2);
        let (first, second, other) = (report("1.00"), report("2.00"), report("9.00"));
        inbox.add_balance(0, &first);
        inbox.add_balance(1, &other);
        inbox.add_balance(0, &second);

        let taken = [balance(inbox.take()), balance(inbox.take())];

        assert_eq!(taken[0].0, 0);
        assert!(Arc::ptr_eq(&taken[0].1, &second));
        assert!(Arc::ptr_eq(&taken[1].1, &other));
        assert!(inbox.take().is_none());
        assert_eq!(inbox.take_superseded(), 1);
        assert_eq!(inbox.take_superseded(), 0);
    }

    #[test]
    fn a_snapshot_that_arrives_twice_is_one_event() {
        let inbox = Inbox::of(1);
        let once = report("1.00");
        inbox.add_balance(0, &once);
        inbox.add_balance(0, &once);
        inbox.add_current(0, &report("0.50"));

        assert!(Arc::ptr_eq(&balance(inbox.take()).1, &once));
        assert!(inbox.take().is_none());
        inbox.add_balance(0, &once);
        assert!(inbox.take().is_none());
    }

    #[test]
    fn a_problem_follows_its_snapshot_and_a_later_success_removes_it() {
        let inbox = Inbox::of(1);
        inbox.add_balance(0, &report("1.00"));
        inbox.add_problem(0, Refusal::Disabled);

        balance(inbox.take());
        assert!(matches!(inbox.take(), Some((0, Event::Problem(Refusal::Disabled)))));
        assert!(inbox.take().is_none());

        inbox.add_problem(0, Refusal::Disabled);
        inbox.add_balance(0, &report("2.00"));
        balance(inbox.take());
        assert!(inbox.take().is_none());
    }
}
