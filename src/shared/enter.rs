//! Entering a read: one script looks for a snapshot, a read that runs, a hold and the budget, and grants the rest.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::sync::watch;

use super::account::{MOST_TRIES, SharedAccount, random_name};
use super::calls::{Allowance, TakeAsk};
use super::lease::{Grant, Lease, LiveLease};
use super::script::Action;
use super::store::{Answered, StoreWait, Trouble};
use super::{Away, LookAsk, Shared, failure};
use crate::domain::turn::micros;
use crate::domain::{Failure, MaxAge, Moment, Snapshot, StoreTime, Ticket, Turn};
use crate::metrics::{SharedError, SharedOperation};

/// Nothing is held longer.
const LONGEST_HOLD: Duration = Duration::from_mins(10);
/// Where a replica did not watch the store's clock, its own wall clock may differ from that by so much.
const MOST_DIFFERENCE: Duration = Duration::from_secs(1);
/// Later than any snapshot: what is stored will not do.
const NEVER: StoreTime = StoreTime::from_micros(1 << 53);

/// What is asked of a read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<'a> {
    /// Which balance of the account.
    pub(super) balance: usize,
    /// What a snapshot of another replica must be.
    pub(super) ticket: Ticket,
    /// How old it may be.
    pub(super) max_age: MaxAge,
    /// The read that was waited for: its failure will do.
    pub(super) joined: Option<u64>,
    /// A lease that is over, though nobody ended it.
    pub(super) expired: Option<&'a str>,
    /// Whether this replica may read; otherwise it only looks.
    pub(super) may_read: bool,
    /// What the credential in use is called in the store.
    pub(super) credential: &'a str,
    /// How many calls may leave.
    pub(super) allowance: Allowance,
}

/// What is asked of the script.
#[derive(Serialize)]
struct EnterAsk<'a> {
    #[serde(flatten)]
    take: TakeAsk,
    balance: &'a str,
    order: &'a str,
    above: u64,
    since: u64,
    max_age: u64,
    joined: u64,
    expired: &'a str,
    lease: &'a str,
    may_read: bool,
    credential: &'a str,
    longest_hold: u64,
    highest: u64,
}

/// What came of it.
pub(super) enum Entered {
    /// A snapshot of another replica.
    Found(Arc<Snapshot>),
    /// The failure of the read that was waited for, or one that is held.
    Failed(Failure),
    /// Another replica reads.
    Running(Running),
    /// The budget is spent; after how long it is worth asking again.
    Spent(Duration),
    /// Nobody reads, and this replica may not.
    Closed,
    /// This replica reads.
    Granted(Lease),
}

/// A read of another replica that runs.
pub(super) struct Running {
    /// Its turn.
    pub(super) turn: Turn,
    /// Its lease, to take over when it is over.
    pub(super) token: String,
    ends: watch::Receiver<u64>,
    shared: Arc<Shared>,
}

impl SharedAccount {
    /// Enters a read: finds what another replica brought, joins the one that runs, or begins one. A store that takes
    /// nothing is still looked into.
    pub(super) async fn enter(
        self: &Arc<Self>,
        entry: &Entry<'_>,
        wait: &mut StoreWait,
    ) -> Result<Entered, Away> {
        match self.try_enter(entry, wait).await {
            Err(Trouble(SharedError::Refused)) => {
                Ok(Entered::Found(self.find(entry.balance, entry.ticket, entry.max_age, wait).await?))
            }
            entered => Ok(entered?),
        }
    }

    async fn try_enter(
        self: &Arc<Self>,
        entry: &Entry<'_>,
        wait: &mut StoreWait,
    ) -> Result<Entered, Trouble> {
        let balance = &self.balances[entry.balance];
        let mut ticket = entry.ticket;
        for _ in 0..MOST_TRIES {
            self.catch_up(wait).await?;
            // By a doubtful clock no snapshot has a known age; a read that runs is waited for all the same.
            if !self.is_clock_trusted(entry.max_age) {
                ticket.since = NEVER;
            }
            let (lease, ends, asking) = (random_name(), balance.ends(), self.asking());
            let (take, call) = self.take_ask(&asking, entry.allowance);
            let ask = self.enter_ask(entry, ticket, take, &lease);
            let keys = [self.state_key.as_str(), &self.calls_key, &balance.snapshot_key];
            let answered = self.store().run(Action::Enter, &keys, &ask, wait).await;
            let answered = self.checked(answered, Some(entry.balance));
            let answered = answered.inspect_err(|_| self.abandon(entry.balance, &lease, &call))?;
            drop(asking);
            self.note_oddity(entry.balance, answered.answer.text(0)?);
            let Answered { answer, sent, received } = &answered;
            match answer.kind() {
                // The answer itself may have shown that the clock was set.
                "found" if !self.is_clock_trusted(entry.max_age) => {}
                "found" => {
                    if let Some(snapshot) = self.opened((entry.balance, entry.max_age), &answered, 1)? {
                        return Ok(Entered::Found(snapshot));
                    }
                    ticket.since = NEVER;
                }
                "failed" => {
                    return Ok(Entered::Failed(read_failure(answer.text(1)?, answer.now, *received)?));
                }
                "held" => {
                    let error = failure::from_text(answer.text(2)?);
                    let error = error.ok_or_else(|| self.protocol_error(SharedOperation::Lease))?;
                    let held = Duration::from_micros(answer.number(1)?).min(LONGEST_HOLD);
                    let retry_at = Some(*received + held);
                    return Ok(Entered::Failed(Failure {
                        error,
                        retry_at,
                        is_held: true,
                        was_called: false,
                    }));
                }
                "running" => {
                    balance.note_number(answer.number(1)?);
                    let instant = StoreTime::from_micros(answer.number(2)?);
                    return Ok(Entered::Running(Running {
                        turn: Turn { number: answer.number(1)?, instant },
                        token: answer.text(3)?.to_owned(),
                        ends,
                        shared: Arc::clone(&self.shared),
                    }));
                }
                "closed" => return Ok(Entered::Closed),
                "spent" => return Ok(Entered::Spent(Duration::from_micros(answer.number(1)?))),
                "granted" => {
                    self.note_counted(answer.number(2)?);
                    let unit = self.unit(call, *sent, answer.now, answer.text(3)?, entry.allowance);
                    let number = answer.number(1)?;
                    balance.note_number(number);
                    return Ok(Entered::Granted(Lease::new(Grant {
                        account: Arc::clone(self),
                        balance: entry.balance,
                        token: lease,
                        number,
                        epoch: answer.text(3)?.to_owned(),
                        credential: entry.credential.to_owned(),
                        first: unit,
                    })));
                }
                "epoch" => self.known().untold += 1,
                _ => return Err(self.protocol_error(SharedOperation::Lease)),
            }
        }
        Err(Trouble(SharedError::Protocol))
    }

    /// Gives up what may have been granted, though nobody was told: a store that was slow does it all the same.
    fn abandon(self: &Arc<Self>, balance: usize, token: &str, call: &str) {
        let lease = LiveLease::untold(Arc::clone(self), balance);
        let (account, token, call) = (Arc::clone(self), token.to_owned(), call.to_owned());
        self.shared.behind(async move {
            lease.give_up(&token).await;
            account.tell_end(&call, Duration::ZERO).await;
        });
    }

    /// The stored snapshot that this ticket accepts, if it may still be served.
    pub(super) async fn stored(
        &self,
        balance: usize,
        ticket: Ticket,
        max_age: MaxAge,
    ) -> Option<Arc<Snapshot>> {
        self.find(balance, ticket, max_age, &mut self.store().wait()).await.ok()
    }

    /// The snapshot that another replica brought, if it will do.
    async fn find(
        &self,
        place: usize,
        ticket: Ticket,
        max_age: MaxAge,
        wait: &mut StoreWait,
    ) -> Result<Arc<Snapshot>, Trouble> {
        let balance = &self.balances[place];
        let keys = [self.state_key.as_str(), &balance.snapshot_key];
        let ask = LookAsk { balance: &balance.name, order: self.order(place), wants_snapshot: true };
        let answered = self.store().run(Action::Look, &keys, &ask, wait).await;
        let answered = self.checked(answered, Some(place))?;
        let answer = &answered.answer;
        let (number, instant) = (answer.number(2)?, StoreTime::from_micros(answer.number(3)?));
        let will_do = ticket.accepts(Turn { number, instant })
            && number > answer.number(1)?
            && instant <= answer.now
            && answer.now.since(instant) < max_age.get()
            && self.is_clock_trusted(max_age);
        let found = if will_do { self.opened((place, max_age), &answered, 2)? } else { None };
        found.ok_or(Trouble(SharedError::Refused))
    }

    /// Whether the ages of stored snapshots can be told by the store's clock.
    pub(super) fn is_clock_trusted(&self, max_age: MaxAge) -> bool {
        self.known().clock.is_trusted(self.now(), max_age)
    }

    /// The snapshot whose number, instant and value stand at this place of an answer, unless a clock of either replica
    /// puts it over the ceiling. One that cannot be opened is counted and deleted.
    fn opened(
        &self,
        (balance, max_age): (usize, MaxAge),
        answered: &Answered,
        place: usize,
    ) -> Result<Option<Arc<Snapshot>>, Trouble> {
        let balance = &self.balances[balance];
        let Some(snapshot) = balance.opened(answered, place)? else {
            self.store().metrics.failed(SharedOperation::Lookup, SharedError::Invalid);
            self.shared.forget(vec![balance.snapshot_key.clone()]);
            return Ok(None);
        };
        let now = (self.store().clock)();
        let is_within = snapshot.age_at(now) < max_age.get();
        Ok((is_within && self.has_known_age(&snapshot, now)).then(|| Arc::new(snapshot)))
    }

    /// Whether the store's clock tells the snapshot's age. This replica did not watch that clock before it joined: then
    /// the wall clocks of both replicas must say the same.
    fn has_known_age(&self, snapshot: &Snapshot, now: Moment) -> bool {
        let watched_since = self.known().clock.watched_since();
        snapshot.turn().is_some_and(|turn| turn.instant >= watched_since)
            || snapshot.age_difference_at(now) <= MOST_DIFFERENCE
    }

    fn enter_ask<'a>(
        &'a self,
        entry: &'a Entry<'_>,
        ticket: Ticket,
        take: TakeAsk,
        lease: &'a str,
    ) -> EnterAsk<'a> {
        EnterAsk {
            take,
            balance: &self.balances[entry.balance].name,
            order: self.order(entry.balance),
            above: ticket.above,
            since: ticket.since.as_micros(),
            max_age: micros(entry.max_age.get()),
            joined: entry.joined.unwrap_or(0),
            expired: entry.expired.unwrap_or_default(),
            lease,
            may_read: entry.may_read,
            credential: entry.credential,
            longest_hold: micros(LONGEST_HOLD),
            highest: self.highest(entry.balance),
        }
    }

    fn note_oddity(&self, balance: usize, oddity: &str) {
        let kind = match oddity {
            "skew" => SharedError::Skew,
            "old" => {
                self.shared.forget(vec![self.balances[balance].snapshot_key.clone()]);
                SharedError::Invalid
            }
            _ => return,
        };
        self.store().metrics.failed(SharedOperation::Lookup, kind);
    }
}

impl Running {
    /// Waits until the read has ended, for at most `longest`: false when it has not. An error when nobody would tell.
    pub(super) async fn ended(&mut self, longest: Duration) -> Result<bool, Away> {
        let number = self.turn.number;
        tokio::select! {
            biased;
            ended = self.ends.wait_for(|ended| *ended >= number) => ended.map(|_| true).map_err(|_| Away),
            () = self.shared.silence() => Err(Away),
            () = tokio::time::sleep(longest) => Ok(false),
        }
    }
}

/// A failure as a read ended with it: its number, until when it is held, and what it is.
fn read_failure(text: &str, now: StoreTime, received: Instant) -> Result<Failure, Trouble> {
    let mut parts = text.splitn(3, ' ').skip(1);
    let until: Option<u64> = parts.next().and_then(|until| until.parse().ok());
    let error = parts.next().and_then(failure::from_text);
    let (Some(until), Some(error)) = (until, error) else { return Err(Trouble(SharedError::Protocol)) };
    let held = StoreTime::from_micros(until).since(now).min(LONGEST_HOLD);
    let retry_at = (!held.is_zero()).then(|| received + held);
    Ok(Failure { error, retry_at, is_held: retry_at.is_some(), was_called: true })
}
