//! Enters a read: one script looks for a snapshot, a running read and a hold, and takes a call from the budget. If
//! nothing prevents the read, the script grants it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::account::{MOST_TRIES, SharedAccount};
use super::calls::{Allowance, TakeArguments};
use super::error::{StoreError, Unavailable};
use super::failure;
use super::lease::{Lease, LeaseGrant};
use super::running::Running;
use super::script::Action;
use super::store::{Answered, StoreWait};
use super::tier::random_name;
use crate::domain::turn::micros;
use crate::domain::{Failure, MaxAge, Snapshot, StoreTime, Ticket, Turn};
use crate::metrics::{SharedError, SharedOperation};

/// The longest hold.
const LONGEST_HOLD: Duration = Duration::from_mins(10);
/// Later than any snapshot, so that no stored one is acceptable.
const NEVER: StoreTime = StoreTime::from_micros(1 << 53);

/// The parameters of a read.
#[derive(Clone, Copy, Debug)]
pub(super) struct EnterParameters<'a> {
    /// The index of the balance in the account.
    pub(super) balance: usize,
    /// The lowest acceptable turn of another replica's snapshot.
    pub(super) ticket: Ticket,
    /// The ceiling on the age of the snapshot.
    pub(super) max_age: MaxAge,
    /// The number of the read that this one waited for, whose failure it shares.
    pub(super) joined: Option<u64>,
    /// The token of a lease that expired: it no longer prevents a read.
    pub(super) expired: Option<&'a str>,
    /// Whether this replica may call the provider; if not, it only uses reads of other replicas.
    pub(super) may_read: bool,
    /// The name of the credential in the store.
    pub(super) credential: &'a str,
    /// The permitted calls.
    pub(super) allowance: Allowance,
}

/// The script's arguments.
#[derive(Serialize)]
struct EnterArguments<'a> {
    #[serde(flatten)]
    take: TakeArguments,
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

/// The result of entering.
pub(super) enum Entered {
    /// A snapshot of another replica.
    Found(Arc<Snapshot>),
    /// The failure of the read that this one waited for, or a held failure.
    Failed(Failure),
    /// Another replica reads the balance.
    Running(Running),
    /// The budget is spent; the time until the next call may be granted.
    Spent(Duration),
    /// No replica reads the balance, and this one may not call the provider.
    Closed,
    /// This replica reads the balance.
    Granted(Lease),
}

impl SharedAccount {
    /// Enters a read: finds another replica's answer, joins a running read, or begins one. If the store is read-only or
    /// full, it only looks for a snapshot.
    pub(super) async fn enter(
        self: &Arc<Self>,
        entry: &EnterParameters<'_>,
        wait: &mut StoreWait,
    ) -> Result<Entered, Unavailable> {
        match self.try_enter(entry, wait).await {
            Err(StoreError(SharedError::Refused)) => Ok(Entered::Found(
                self.find_snapshot(entry.balance, entry.ticket, entry.max_age, wait).await?,
            )),
            entered => Ok(entered?),
        }
    }

    async fn try_enter(
        self: &Arc<Self>,
        entry: &EnterParameters<'_>,
        wait: &mut StoreWait,
    ) -> Result<Entered, StoreError> {
        let balance = &self.balances[entry.balance];
        let mut ticket = entry.ticket;
        for _ in 0..MOST_TRIES {
            self.catch_up(wait).await?;
            // With a doubtful clock, no snapshot has a known age. A running read is still awaited.
            if !self.is_clock_trusted(entry.max_age) {
                ticket.since = NEVER;
            }
            let (lease, ends, requesting) = (random_name(), balance.ends(), self.requesting());
            let (take, call) = self.take_arguments(&requesting, entry.allowance);
            let arguments = self.enter_arguments(entry, ticket, take, &lease);
            let keys = [self.state_key.as_str(), &self.calls_key, &balance.snapshot_key];
            let answered = self.store().run(Action::Enter, &keys, &arguments, wait).await;
            let answered = self.checked(answered, Some(entry.balance));
            let answered = answered.inspect_err(|_| self.abandon(entry.balance, &lease, &call))?;
            drop(requesting);
            self.note_anomaly(entry.balance, answered.answer.text(0)?);
            let Answered { answer, sent, received } = &answered;
            match answer.kind() {
                // The answer may have revealed that the clock was set.
                "found" if !self.is_clock_trusted(entry.max_age) => {}
                "found" => {
                    if let Some(snapshot) =
                        self.decrypt_snapshot((entry.balance, entry.max_age), &answered, 1)?
                    {
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
                    let (number, instant) = (answer.number(1)?, StoreTime::from_micros(answer.number(2)?));
                    balance.note_number(number);
                    balance.note_last_at_join(number);
                    let turn = Turn { number, instant };
                    let token = answer.text(3)?.to_owned();
                    return Ok(Entered::Running(Running::new(turn, token, ends, Arc::clone(&self.tier))));
                }
                "closed" => return Ok(Entered::Closed),
                "spent" => return Ok(Entered::Spent(Duration::from_micros(answer.number(1)?))),
                "granted" => {
                    self.note_counted(answer.number(2)?);
                    let grant = self.grant(call, *sent, answer.now, answer.text(3)?, entry.allowance);
                    let number = answer.number(1)?;
                    balance.note_number(number);
                    balance.note_last_at_join(number);
                    return Ok(Entered::Granted(Lease::new(LeaseGrant {
                        account: Arc::clone(self),
                        balance: entry.balance,
                        token: lease,
                        number,
                        epoch: answer.text(3)?.to_owned(),
                        credential: entry.credential.to_owned(),
                        first: grant,
                    })));
                }
                "epoch" => self.known().pending += 1,
                _ => return Err(self.protocol_error(SharedOperation::Lease)),
            }
        }
        Err(StoreError(SharedError::Protocol))
    }

    /// Gives up a lease and a call whose answer did not arrive: a slow store may still grant them.
    fn abandon(self: &Arc<Self>, balance: usize, token: &str, call: &str) {
        let lease = self.live_lease(balance, 0);
        let (account, token, call) = (Arc::clone(self), token.to_owned(), call.to_owned());
        self.tier.in_background(async move {
            lease.give_up(account.store(), &account.tier.channel, &token).await;
            account.report_end(&call, Duration::ZERO).await;
        });
    }

    fn enter_arguments<'a>(
        &'a self,
        entry: &'a EnterParameters<'_>,
        ticket: Ticket,
        take: TakeArguments,
        lease: &'a str,
    ) -> EnterArguments<'a> {
        EnterArguments {
            take,
            balance: &self.balances[entry.balance].name,
            order: self.order(entry.balance),
            above: ticket.above,
            since: ticket.since.as_micros(),
            max_age: micros(entry.max_age.latest_start()),
            joined: entry.joined.unwrap_or(0),
            expired: entry.expired.unwrap_or_default(),
            lease,
            may_read: entry.may_read,
            credential: entry.credential,
            longest_hold: micros(LONGEST_HOLD),
            highest: self.highest(entry.balance),
        }
    }

    fn note_anomaly(&self, balance: usize, anomaly: &str) {
        let kind = match anomaly {
            "skew" => SharedError::Skew,
            "old" => {
                self.tier.forget(vec![self.balances[balance].snapshot_key.clone()]);
                SharedError::Invalid
            }
            _ => return,
        };
        self.store().metrics.failed(SharedOperation::Lookup, kind);
    }
}

/// The stored failure of a read: its number, the end of its hold, and its kind.
fn read_failure(text: &str, now: StoreTime, received: Instant) -> Result<Failure, StoreError> {
    let mut parts = text.splitn(3, ' ').skip(1);
    let until: Option<u64> = parts.next().and_then(|until| until.parse().ok());
    let error = parts.next().and_then(failure::from_text);
    let (Some(until), Some(error)) = (until, error) else { return Err(StoreError(SharedError::Protocol)) };
    let held = StoreTime::from_micros(until).since(now).min(LONGEST_HOLD);
    let retry_at = (!held.is_zero()).then(|| received + held);
    Ok(Failure { error, retry_at, is_held: retry_at.is_some(), was_called: true })
}
