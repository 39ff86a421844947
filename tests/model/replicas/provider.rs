//! The provider in memory, and a replica's way to it: through the shared store where the replicas share.
//!
//! What the way does with its budget is what `upstream` does, whose own reads its sockets' clock.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::chance::DEADLINE;
use super::log::{Log, What};
use super::schedule::{BALANCES, Ending, Reply, Terms};
use crate::alone::clock;
use balance_gateway::domain::{
    AccountName, Amount, Answer, Clock, Currency, Failure, MaxAge, Moment, ObservedAt, Order, Priority,
    ProviderName, Reading, Snapshot, StoreTime, Turn, UpstreamError,
};
use balance_gateway::gateway::Source;
use balance_gateway::shared::{
    Allowance, Errand, HoldScope, Outcome, Reader, SharedAccount, SharedHold, Unit,
};

#[derive(Debug)]
pub(crate) struct Provider {
    pub(crate) log: Log,
    replies: Vec<Reply>,
    begun: AtomicUsize,
    ended: AtomicUsize,
    calls: AtomicUsize,
}

/// One replica's way to the account.
#[derive(Debug)]
pub(crate) struct Way {
    pub(crate) replica: usize,
    pub(crate) clock: Clock,
    pub(crate) provider: Arc<Provider>,
    pub(crate) account: Arc<SharedAccount>,
    pub(crate) terms: Terms,
    pub(crate) max_age: MaxAge,
    pub(crate) known: Mutex<Known>,
}

/// What a replica knows by itself.
#[derive(Debug, Default)]
pub(crate) struct Known {
    in_flight: u32,
    ended: Vec<Instant>,
    holds: [Option<(UpstreamError, Instant)>; BALANCES],
}

/// One caller's way to one balance.
#[derive(Clone, Debug)]
pub(crate) struct Asking {
    pub(crate) way: Arc<Way>,
    pub(crate) balance: usize,
    pub(crate) caller: usize,
}

/// A read on somebody's behalf.
struct Reads<'a> {
    asking: &'a Asking,
    priority: Priority,
}

/// The right to make one call, until its end.
struct Permit<'a> {
    way: &'a Way,
    unit: Option<Unit>,
}

impl Provider {
    pub(crate) fn new(replies: Vec<Reply>) -> Self {
        let zero = || AtomicUsize::new(0);
        Self { log: Log::default(), replies, begun: zero(), ended: zero(), calls: zero() }
    }

    /// Whether a read runs.
    pub(crate) fn is_reading(&self) -> bool {
        self.begun.load(Ordering::Relaxed) > self.ended.load(Ordering::Relaxed)
    }
}

impl Source for Asking {
    fn read(&self, order: Order) -> impl Future<Output = Answer> + Send + 'static + use<> {
        let asking = self.clone();
        async move {
            let (way, balance, priority) = (&asking.way, asking.balance, order.priority);
            let reads = Reads { asking: &asking, priority };
            match order.ticket {
                Some(ticket) if way.account.is_sharing() => {
                    let (max_age, deadline) = (way.max_age, clock::duration(DEADLINE));
                    let errand = Errand { balance, priority, ticket, max_age, deadline };
                    way.account.read(errand, &reads).await
                }
                _ => reads.read_alone().await,
            }
        }
    }

    fn note_refused_by_hold(&self) {}
}

impl Reader for Reads<'_> {
    fn closed(&self) -> Option<Failure> {
        let way = &self.asking.way;
        let (error, until) = way.known().holds[self.asking.balance]?;
        let is_held = (way.clock)().monotonic < until;
        is_held.then_some(Failure { error, retry_at: Some(until), is_held: true })
    }

    fn credential(&self) -> String {
        self.asking.way.account.credential_name(&[b"the only one"])
    }

    fn allowance(&self) -> Allowance {
        self.asking.way.allowance(self.priority)
    }

    fn note_held(&self) {}

    fn note_spent(&self) {}

    async fn read(&self, number: u64, first: Unit) -> Outcome {
        let mut unused = Some(first);
        let (answer, is_said) = self.read_once(Some(number), &mut unused).await;
        let hold = match answer.result {
            Err(Failure { is_held: true, retry_at: Some(until), .. }) if is_said => {
                let first = until.saturating_duration_since((self.asking.way.clock)().monotonic);
                Some(SharedHold { scope: HoldScope::Balance, first, most: first })
            }
            _ => None,
        };
        Outcome { answer, hold, unused }
    }

    async fn read_alone(&self) -> Answer {
        if let Some(failure) = self.closed() {
            return ended(self.priority, (self.asking.way.clock)().monotonic, Err(failure));
        }
        self.read_once(None, &mut None).await.0
    }
}

impl Reads<'_> {
    /// One read; with a failure comes whether the provider itself has said it.
    async fn read_once(&self, number: Option<u64>, first: &mut Option<Unit>) -> (Answer, bool) {
        let Asking { way, balance, caller } = self.asking;
        let (provider, priority, now) = (&way.provider, self.priority, way.clock);
        let read = provider.begun.fetch_add(1, Ordering::Relaxed);
        let (by, replica) = (*caller, way.replica);
        provider.log.write(What::Begun { read, by, replica, balance: *balance, priority, number });
        let _running = Running { provider, read };
        let reply = &provider.replies[read % provider.replies.len()];
        clock::sleep(reply.wait).await;
        let mut sent = now();
        let mut last = None;
        for (index, takes) in reply.calls.iter().enumerate() {
            let permit = match way.permit(first, priority).await {
                Ok(permit) => permit,
                Err(_) if last.is_some() => break,
                Err(wait) => {
                    let retry_at = Some(now().monotonic + wait);
                    let failure = Failure { error: UpstreamError::BudgetExhausted, retry_at, is_held: false };
                    return (ended(priority, now().monotonic, Err(failure)), false);
                }
            };
            sent = now();
            let call = provider.calls.fetch_add(1, Ordering::Relaxed);
            provider.log.write(What::Called { call, read });
            clock::sleep(*takes).await;
            let is_last = index + 1 == reply.calls.len();
            let age = match reply.ending {
                Ending::Success { age } if is_last => Some(age),
                _ => None,
            };
            let brought = age.map(|age| (amount(call), age));
            provider.log.write(What::Replied { call, brought: brought.clone() });
            last = Some((brought, permit.instant()));
        }
        let brought = last.and_then(|(brought, instant)| Some((brought?, instant)));
        if let Some(((amount, age), instant)) = brought {
            way.known().holds[*balance] = None;
            let age = clock::duration(age);
            let turn = number
                .zip(instant)
                .map(|(number, instant)| Turn { number, instant: instant.earlier_by(age) });
            let snapshot = snapshot(&amount, sent.earlier_by(age)).with_turn(turn);
            return (ended(priority, sent.monotonic, Ok(Arc::new(snapshot))), false);
        }
        let (error, held_for, is_said) = match reply.ending {
            Ending::Failure { error, held_for, is_said } => (error, held_for, is_said),
            // Without the hook of a panic, which would print a report for each.
            Ending::Panic => std::panic::resume_unwind(Box::new("a read that panics")),
            Ending::Success { .. } => (UpstreamError::Timeout, 0, false),
        };
        let until = now().monotonic + clock::duration(held_for);
        way.known().holds[*balance] = Some((error, until));
        let failure = Failure { error, retry_at: Some(until), is_held: true };
        (ended(priority, sent.monotonic, Err(failure)), is_said)
    }
}

impl Way {
    async fn permit(&self, first: &mut Option<Unit>, priority: Priority) -> Result<Permit<'_>, Duration> {
        let unit = match first.take() {
            Some(unit) if unit.is_good((self.clock)().monotonic) => Some(unit),
            late => {
                if let Some(unit) = late {
                    self.account.ended(unit, Duration::ZERO);
                }
                if self.account.is_sharing() {
                    self.account.take(self.allowance(priority)).await.ok().transpose()?
                } else {
                    None
                }
            }
        };
        let counted = self.counted();
        if unit.is_none() && counted >= share(self.alone(), priority) {
            return Err(clock::duration(self.terms.per));
        }
        self.known().in_flight += 1;
        let unit = unit.unwrap_or_else(|| self.account.alone(self.allowance(priority)));
        Ok(Permit { way: self, unit: Some(unit) })
    }

    fn allowance(&self, priority: Priority) -> Allowance {
        Allowance {
            requests: self.terms.requests,
            share: share(self.terms.requests, priority),
            own_share: share(self.alone(), priority),
            per: clock::duration(self.terms.per),
            attempt: clock::duration(DEADLINE),
        }
    }

    /// What a replica may do alone.
    fn alone(&self) -> u32 {
        (self.terms.requests / self.account.replicas()).max(1)
    }

    fn counted(&self) -> u32 {
        let (now, per) = ((self.clock)().monotonic, clock::duration(self.terms.per));
        let mut known = self.known();
        known.ended.retain(|ended| now.saturating_duration_since(*ended) < per);
        known.in_flight + u32::try_from(known.ended.len()).unwrap()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit<'_> {
    fn instant(&self) -> Option<StoreTime> {
        self.unit.as_ref()?.instant
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let now = (self.way.clock)().monotonic;
        let mut known = self.way.known();
        known.in_flight -= 1;
        known.ended.push(now);
        drop(known);
        let (account, per) = (&self.way.account, clock::duration(self.way.terms.per));
        if let Some(unit) = self.unit.take() {
            account.ended(unit, per);
        }
    }
}

/// Writes down that a read has ended, however that came.
struct Running<'a> {
    provider: &'a Provider,
    read: usize,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.provider.ended.fetch_add(1, Ordering::Relaxed);
        self.provider.log.write(What::Ended { read: self.read });
    }
}

/// 60, 80 or 100 % of the requests, at least one.
fn share(requests: u32, priority: Priority) -> u32 {
    let percent = [60, 80, 100][priority as usize];
    (requests * percent / 100).max(1)
}

fn ended(priority: Priority, sent_at: Instant, result: Result<Arc<Snapshot>, Failure>) -> Answer {
    Answer { priority, sent_at, turn: None, is_elsewhere: false, result }
}

fn snapshot(amount: &str, requested_at: Moment) -> Snapshot {
    let reading = Reading {
        available: Amount::parse(amount, Currency::BRL).unwrap(),
        blocked: None,
        reserved: None,
        processing: None,
        total: None,
        reported: Vec::new(),
        observed_at: ObservedAt::Undocumented,
    };
    let (account, provider) = (AccountName::parse("a").unwrap(), ProviderName::parse("p").unwrap());
    Snapshot::new(&account, &provider, None, requested_at, reading)
}

/// Another amount for each call; with digits that a float would lose, now and then.
fn amount(call: usize) -> String {
    let decimals = ["00", "90", "12345678"][call % 3];
    format!("{call}.{decimals}")
}
