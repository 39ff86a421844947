//! The provider in memory, and the path to it: answers as the schedule says, and logs each call.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::clock::{self, CLOCKS, Ms};
use super::log::{Log, Outcome, Place, What};
use super::schedule::{Ending, Reply};
use balance_gateway::domain::{
    AccountName, Amount, Answer, Currency, Failure, Moment, ObservedAt, Priority, ProviderName, ReadRequest,
    Reading, Snapshot,
};
use balance_gateway::gateway::BalanceSource;

#[derive(Debug)]
pub(crate) struct Provider {
    pub(crate) log: Log,
    replies: Vec<Reply>,
    begun: AtomicUsize,
    ended: AtomicUsize,
}

/// One caller's path to one balance.
#[derive(Clone, Debug)]
pub(crate) struct Asking {
    pub(crate) provider: Arc<Provider>,
    pub(crate) caller: usize,
    pub(crate) place: Place,
}

impl Provider {
    pub(crate) fn new(replies: Vec<Reply>) -> Self {
        Self { log: Log::default(), replies, begun: AtomicUsize::new(0), ended: AtomicUsize::new(0) }
    }

    /// Whether a read runs.
    pub(crate) fn is_reading(&self) -> bool {
        self.begun.load(Ordering::Relaxed) > self.ended.load(Ordering::Relaxed)
    }
}

impl BalanceSource for Asking {
    fn read(&self, request: ReadRequest) -> impl Future<Output = Answer> + Send + 'static + use<> {
        let asking = self.clone();
        async move { asking.answer(request.priority).await }
    }

    fn note_refused_by_hold(&self) {
        self.provider.log.write(What::NotedHold(self.caller));
    }
}

impl Asking {
    async fn answer(&self, priority: Priority) -> Answer {
        let provider = &self.provider;
        let read = provider.begun.fetch_add(1, Ordering::Relaxed);
        let reply = &provider.replies[read % provider.replies.len()];
        provider.log.write(What::Begun { read, by: self.caller, priority });
        let mut running = Running { provider, read, outcome: None };
        clock::sleep(reply.wait).await;
        let now = CLOCKS[self.place.gateway];
        if let Some(failure) = refusal(&reply.ending, priority, now()) {
            running.outcome = Some(failed(failure));
            return ended(priority, now(), Err(failure));
        }
        let mut sent = now();
        for takes in &reply.attempts {
            sent = now();
            provider.log.write(What::Sent(read));
            clock::sleep(*takes).await;
        }
        let result = match reply.ending {
            Ending::Failure { error, held_for } => {
                let retry_at = now().monotonic + clock::duration(held_for);
                let failure = Failure { error, retry_at: Some(retry_at), is_held: true, was_called: true };
                running.outcome = Some(failed(failure));
                Err(failure)
            }
            Ending::Panic => {
                running.outcome = Some(Outcome::Panicked);
                drop(running);
                // Does not run the panic hook, which would print a report each time.
                std::panic::resume_unwind(Box::new("a read that panics"));
            }
            Ending::Success { age } => Ok(snapshot_of(&mut running, sent, age)),
            Ending::Refusal { .. } => Ok(snapshot_of(&mut running, sent, 0)),
        };
        ended(priority, sent, result)
    }
}

fn ended(priority: Priority, sent: Moment, result: Result<Arc<Snapshot>, Failure>) -> Answer {
    Answer { priority, sent_at: sent.monotonic, turn: None, is_from_other_replica: false, result }
}

fn snapshot_of(running: &mut Running<'_>, sent: Moment, age: Ms) -> Arc<Snapshot> {
    let amount = amount(running.read);
    let reading = Reading {
        available: Amount::parse(&amount, Currency::BRL).unwrap(),
        blocked: None,
        reserved: None,
        processing: None,
        total: None,
        reported: Vec::new(),
        observed_at: ObservedAt::Undocumented,
    };
    running.outcome = Some(Outcome::Brought { amount, age });
    let (account, provider) = (AccountName::parse("a").unwrap(), ProviderName::parse("p").unwrap());
    let requested_at = sent.earlier_by(clock::duration(age));
    Arc::new(Snapshot::new(&account, &provider, None, requested_at, reading))
}

/// A different amount for each read, sometimes with digits that a float would lose.
fn amount(read: usize) -> String {
    let decimals = ["00", "90", "12345678"][read % 3];
    format!("{read}.{decimals}")
}

fn refusal(ending: &Ending, priority: Priority, now: Moment) -> Option<Failure> {
    let Ending::Refusal { error, unless, retry_in } = ending else { return None };
    let retry_at = Some(now.monotonic + clock::duration(*retry_in));
    let failure = Failure { error: *error, retry_at, is_held: false, was_called: false };
    unless.is_none_or(|least| priority < least).then_some(failure)
}

fn failed(failure: Failure) -> Outcome {
    let Failure { error, retry_at, is_held, .. } = failure;
    Outcome::Failed { error, retry_at: retry_at.map(clock::monotonic), is_held }
}

/// Logs how a read ended, or that it was dropped.
struct Running<'a> {
    provider: &'a Provider,
    read: usize,
    outcome: Option<Outcome>,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.provider.ended.fetch_add(1, Ordering::Relaxed);
        self.provider.log.write(match self.outcome.take() {
            Some(outcome) => What::Ended(self.read, outcome),
            None => What::Cut(self.read),
        });
    }
}
