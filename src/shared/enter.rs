//! Entering a read: one script looks for a snapshot, a read that runs, a hold and the budget, and grants the rest.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::account::{LIFE, MOST_TRIES, SharedAccount, random_name};
use super::calls::Allowance;
use super::lease::{Lease, LiveLease};
use super::script::Action;
use super::store::{Answered, Argument, Patience, Trouble};
use super::{Away, Shared, failure};
use crate::domain::turn::micros;
use crate::domain::{Failure, MaxAge, Snapshot, StoreTime, Ticket, Turn};
use crate::metrics::{SharedError, SharedOperation};

/// Nothing is held longer.
const LONGEST_HOLD: Duration = Duration::from_mins(10);
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
    pub(super) async fn enter(self: &Arc<Self>, entry: &Entry<'_>) -> Result<Entered, Away> {
        let mut patience = self.store().patience();
        match self.try_enter(entry, &mut patience).await {
            Err(Trouble(SharedError::Refused)) => {
                let found = self.find(entry.balance, entry.ticket, entry.max_age, &mut patience).await?;
                Ok(Entered::Found(found))
            }
            entered => Ok(entered?),
        }
    }

    async fn try_enter(
        self: &Arc<Self>,
        entry: &Entry<'_>,
        patience: &mut Patience,
    ) -> Result<Entered, Trouble> {
        let balance = &self.balances[entry.balance];
        let mut ticket = entry.ticket;
        for _ in 0..MOST_TRIES {
            self.catch_up(patience).await?;
            // What is older has no known age; the read that runs is waited for all the same.
            let believed_since = self.known().clock.believed_since(self.now());
            ticket.since = ticket.since.max(believed_since.unwrap_or(NEVER));
            let (token, call, ends) = (random_name(), random_name(), balance.ends());
            let answered = self.run_enter(entry, ticket, &token, &call, patience).await;
            let answered = answered.inspect_err(|_| self.abandon(entry.balance, &token, &call))?;
            self.note_oddity(entry.balance, answered.answer.text(0)?);
            let Answered { answer, sent, received } = &answered;
            match answer.kind() {
                // The answer itself may have shown that the clock was set.
                "found" if !self.known().clock.is_believed(*received) => {}
                "found" => {
                    let found = self.opened(entry.balance, &answered, 1)?;
                    // Over the ceiling by the clock of either replica, it is a miss.
                    let is_within = |snapshot: &Arc<Snapshot>| {
                        snapshot.age_at((self.store().clock)()) < entry.max_age.get()
                    };
                    if let Some(snapshot) = found.filter(is_within) {
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
                    return Ok(Entered::Failed(Failure { error, retry_at, is_held: true }));
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
                    let (number, credential) = (answer.number(1)?, entry.credential.to_owned());
                    balance.note_number(number);
                    return Ok(Entered::Granted(Lease::new(
                        Arc::clone(self),
                        entry.balance,
                        token,
                        number,
                        credential,
                        unit,
                    )));
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
        self.find(balance, ticket, max_age, &mut self.store().patience()).await.ok()
    }

    /// The snapshot that another replica brought, if it will do.
    async fn find(
        &self,
        place: usize,
        ticket: Ticket,
        max_age: MaxAge,
        patience: &mut Patience,
    ) -> Result<Arc<Snapshot>, Trouble> {
        let balance = &self.balances[place];
        let keys = [self.state_key.as_str(), &balance.snapshot_key];
        let arguments: [&dyn Argument; 2] = [&balance.name.as_str(), &true];
        let answered = self.store().run(Action::Look, &keys, &arguments, patience).await;
        let answered = self.checked(answered, Some(place))?;
        let answer = &answered.answer;
        let (number, instant) = (answer.number(2)?, StoreTime::from_micros(answer.number(3)?));
        let will_do = ticket.accepts(Turn { number, instant })
            && number > answer.number(1)?
            && instant <= answer.now
            && answer.now.since(instant) < max_age.get()
            && self.known().clock.believed_since(self.now()).is_some_and(|since| instant >= since);
        let found = if will_do { self.opened(place, &answered, 2)? } else { None };
        let is_within = |snapshot: &Arc<Snapshot>| snapshot.age_at((self.store().clock)()) < max_age.get();
        found.filter(is_within).ok_or(Trouble(SharedError::Refused))
    }

    /// The snapshot whose number, instant and value stand at this place of an answer; what cannot be opened is counted
    /// and deleted.
    fn opened(
        &self,
        balance: usize,
        answered: &Answered,
        place: usize,
    ) -> Result<Option<Arc<Snapshot>>, Trouble> {
        let balance = &self.balances[balance];
        let snapshot = balance.opened(answered, place)?;
        if snapshot.is_none() {
            self.store().metrics.failed(SharedOperation::Lookup, SharedError::Invalid);
            self.shared.forget(vec![balance.snapshot_key.clone()]);
        }
        Ok(snapshot.map(Arc::new))
    }

    async fn run_enter(
        &self,
        entry: &Entry<'_>,
        ticket: Ticket,
        token: &str,
        call: &str,
        patience: &mut Patience,
    ) -> Result<Answered, Trouble> {
        let (balance, allowance) = (&self.balances[entry.balance], entry.allowance);
        let known = self.known().epoch.clone();
        let (new_epoch, asking) = (random_name(), self.asking());
        let arguments: [&dyn Argument; 21] = [
            &balance.name.as_str(),
            &ticket.above,
            &ticket.since.as_micros(),
            &micros(entry.max_age.get()),
            &entry.joined.unwrap_or(0),
            &entry.expired.unwrap_or_default(),
            &token,
            &entry.may_read,
            &known.as_str(),
            &new_epoch.as_str(),
            &allowance.requests,
            &allowance.share,
            &micros(allowance.span()),
            &micros(allowance.per),
            &asking.own,
            &allowance.own_share,
            &call,
            &entry.credential,
            &LIFE,
            &micros(LONGEST_HOLD),
            &balance.note_number(0),
        ];
        let keys = [self.state_key.as_str(), &self.calls_key, &balance.snapshot_key];
        let answered = self.store().run(Action::Enter, &keys, &arguments, patience).await;
        self.checked(answered, Some(entry.balance))
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
    Ok(Failure { error, retry_at, is_held: retry_at.is_some() })
}
