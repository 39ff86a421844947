//! A read that replicas share: one replica calls the provider, the others wait for its answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::account::SharedAccount;
use super::calls::{Allowance, CallGrant};
use super::enter::{EnterParameters, Entered};
use super::lease::{Lease, SharedHold};
use super::store::StoreWait;
use crate::domain::{Answer, Failure, MaxAge, Priority, Snapshot, Ticket, Turn, UpstreamError};

/// The most reads of other replicas that one read waits for: the running one, the one that began after it, one whose
/// replica died, and one more. Further ones were overtaken by invalidations; then this replica reads alone.
const MOST_WAITS: u32 = 4;

/// Reads a balance from its provider.
pub trait Reader: Sync {
    /// Why this replica may not call the provider now; `None` if it may.
    fn closed(&self) -> Option<Failure>;

    /// The name of its credential in the store.
    fn credential(&self) -> String;

    /// The permitted calls.
    fn allowance(&self) -> Allowance;

    /// Counts a read that was refused because of this failure.
    fn note_refused(&self, failure: &Failure);

    /// Counts a read that was refused because the budget is spent.
    fn note_spent(&self);

    /// Reads for every replica: with the number of the read, the first call, and how long it may still wait for the
    /// store.
    fn read(&self, number: u64, first: CallGrant, wait: StoreWait) -> impl Future<Output = ReadEnd> + Send;

    /// Reads for this replica alone.
    fn read_alone(&self) -> impl Future<Output = Answer> + Send;
}

/// How a read for every replica ended.
pub struct ReadEnd {
    /// For this replica.
    pub answer: Answer,
    /// The other balances that the answer held, by their place in the account.
    pub others: Vec<(usize, Arc<Snapshot>)>,
    /// The hold for every replica, if the provider's answer causes one.
    pub hold: Option<SharedHold>,
    /// The first call, if it was not sent.
    pub unused: Option<CallGrant>,
}

/// One read: its balance, priority and demand.
#[derive(Clone, Copy, Debug)]
pub struct ReadTask {
    /// The index of the balance in the account.
    pub balance: usize,
    /// The priority of the read.
    pub priority: Priority,
    /// The lowest acceptable turn of another replica's read.
    pub ticket: Ticket,
    /// The ceiling on the age of the snapshot.
    pub max_age: MaxAge,
    /// The longest time of a read. A lease that is older has expired.
    pub deadline: Duration,
}

impl SharedAccount {
    /// One read: another replica's answer, a running read of another replica, or a read of this one. Without the store,
    /// this replica reads alone.
    pub async fn read(self: &Arc<Self>, task: ReadTask, reader: &impl Reader) -> Answer {
        let ReadTask { balance, priority, ticket, max_age, deadline } = task;
        let (mut joined, mut expired): (Option<Turn>, Option<String>) = (None, None);
        let (began, mut wait) = (self.now(), self.store().wait());
        for waits in 0..=MOST_WAITS {
            let (closed, credential) = (reader.closed(), reader.credential());
            let entry = EnterParameters {
                balance,
                ticket,
                max_age,
                joined: joined.map(|turn| turn.number),
                expired: expired.as_deref(),
                may_read: closed.is_none(),
                credential: &credential,
                allowance: reader.allowance(),
            };
            let Ok(entered) = self.enter(&entry, &mut wait).await else { break };
            let failed = |failure| elsewhere(priority, self.now(), joined, Err(failure));
            match entered {
                Entered::Found(snapshot) => {
                    let (sent_at, turn) = (snapshot.requested_at().monotonic, snapshot.turn());
                    return elsewhere(priority, sent_at, turn, Ok(snapshot));
                }
                Entered::Failed(failure) => {
                    if joined.is_none() {
                        reader.note_refused(&failure);
                    }
                    return failed(Failure { was_called: joined.is_some(), ..failure });
                }
                Entered::Closed => match closed {
                    Some(failure) => {
                        reader.note_refused(&failure);
                        // The next caller looks again: another replica may have read it meanwhile.
                        return failed(Failure { is_held: false, ..failure });
                    }
                    None => break,
                },
                Entered::Spent(wait) => {
                    reader.note_spent();
                    let (error, retry_at) = (UpstreamError::BudgetExhausted, Some(self.now() + wait));
                    return Answer {
                        is_from_other_replica: false,
                        ..failed(Failure { error, retry_at, is_held: false, was_called: false })
                    };
                }
                Entered::Running(_) if waits == MOST_WAITS => break,
                Entered::Running(mut running) => match running.ended(deadline).await {
                    Ok(true) => {
                        (joined, expired) = (ticket.accepts(running.turn).then_some(running.turn), None);
                    }
                    Ok(false) => expired = Some(running.token),
                    Err(_) => break,
                },
                Entered::Granted(lease) => {
                    let answer = self.read_leased(lease, max_age, wait, reader).await;
                    return self.judged_by_process(answer, began, max_age);
                }
            }
        }
        reader.read_alone().await
    }

    /// The answer of this replica's own read. If the store's clock was set after the demand was compared with it, the
    /// snapshot loses its turn, so that this process's clock judges it.
    fn judged_by_process(&self, answer: Answer, began: Instant, max_age: MaxAge) -> Answer {
        if self.known().clock.is_trusted(began, max_age) {
            return answer;
        }
        let without_turn = |snapshot: Arc<Snapshot>| Arc::new(Arc::unwrap_or_clone(snapshot).with_turn(None));
        Answer { result: answer.result.map(without_turn), ..answer }
    }

    async fn read_leased(
        self: &Arc<Self>,
        mut lease: Lease,
        max_age: MaxAge,
        wait: StoreWait,
        reader: &impl Reader,
    ) -> Answer {
        let turn = lease.turn();
        let Some(first) = lease.grant.take() else { return reader.read_alone().await };
        let ReadEnd { answer, others, hold, unused } = reader.read(lease.number, first, wait).await;
        if let Some(unused) = unused {
            self.ended(unused, Duration::ZERO);
        }
        let result = match answer.result {
            Ok(snapshot) => {
                lease.publish(&snapshot, &others, max_age);
                Ok(snapshot)
            }
            Err(failure) => {
                match failure.error {
                    // The reason concerns only this replica: another may be able to read.
                    UpstreamError::BudgetExhausted
                    | UpstreamError::Busy
                    | UpstreamError::Suspended
                    | UpstreamError::OutOfFiles
                    | UpstreamError::Defect => drop(lease),
                    _ => lease.fail(&failure, hold),
                }
                // A failure that is not shared does not stop later lookups: another replica may read the balance.
                Err(Failure { is_held: failure.is_held && hold.is_some(), ..failure })
            }
        };
        Answer { turn: Some(turn), result, ..answer }
    }
}

fn elsewhere(
    priority: Priority,
    sent_at: Instant,
    turn: Option<Turn>,
    result: Result<Arc<Snapshot>, Failure>,
) -> Answer {
    Answer { priority, sent_at, turn, is_from_other_replica: true, result }
}
