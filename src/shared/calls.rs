//! The calls that an account's budget lets out: taken from the store, told again to a store that lost them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::Away;
use super::account::{LIFE, MOST_TRIES, SharedAccount, random_name};
use super::clock::{ClockWatch, Expected};
use super::script::Action;
use super::store::{Answered, StoreWait, Trouble};
use crate::domain::turn::micros;
use crate::domain::{Moment, StoreTime};
use crate::metrics::SharedOperation;

/// A call that does not leave within it is asked for again: its instant would say less than it could.
const UNIT_LIFE: Duration = Duration::from_millis(100);
/// How long a count of calls is worth showing.
const COUNT_LIFE: Duration = Duration::from_secs(10);

/// What this replica knows of the account itself, in case the store loses it.
#[derive(Default)]
pub(super) struct Known {
    /// The epoch as it was last seen.
    pub(super) epoch: String,
    /// Over which connection, and as how many things were untold, this was told to the store.
    told: (u64, u64),
    /// Counts what the store may not know.
    pub(super) untold: u64,
    pub(super) clock: ClockWatch,
    /// The store's instant since when its clock may have been set, until an epoch that began later is known.
    pub(super) doubted_since: Option<StoreTime>,
    /// Calls of this replica, and until when each counts.
    own: VecDeque<(String, Instant)>,
    /// Calls that are asked for just now.
    asked_for: u32,
    /// How many calls of all replicas counted, and when the store said so.
    counted: Option<(u32, Instant)>,
}

/// How many calls may leave, and how many of ours count.
#[derive(Clone, Copy, Debug)]
pub struct Allowance {
    /// Calls of all replicas that may count at any time.
    pub requests: u32,
    /// Of those, how many may count where this one is let out.
    pub share: u32,
    /// Likewise, of this replica's own, while the store does not know all of them.
    pub own_share: u32,
    /// How long a call counts after its end.
    pub per: Duration,
    /// How long an attempt may take.
    pub attempt: Duration,
}

/// The right to make one call.
#[derive(Debug)]
pub struct Unit {
    call: String,
    /// The store's clock when it was granted, if the store did: the call was not sent before.
    pub instant: Option<StoreTime>,
    sent: Instant,
}

impl SharedAccount {
    /// Takes one more call: a retry, or a token. The inner error says after how long it is worth asking again.
    ///
    /// # Errors
    /// [`Away`] when the store is of no use now.
    pub async fn take(
        self: &Arc<Self>,
        allowance: Allowance,
        wait: &mut StoreWait,
    ) -> Result<Result<Unit, Duration>, Away> {
        for _ in 0..MOST_TRIES {
            self.catch_up(wait).await?;
            let asking = self.asking();
            let (ask, call) = self.take_ask(&asking, allowance);
            let answered = self.store().run(Action::Take, &self.keys(), &ask, wait).await;
            let answered = self.checked(answered, None);
            let answered = answered.inspect_err(|_| self.abandon_call(&call))?;
            let Answered { answer, sent, .. } = answered;
            match answer.kind() {
                "taken" => {
                    self.note_counted(answer.number(1)?);
                    return Ok(Ok(self.unit(call, sent, answer.now, answer.text(2)?, allowance)));
                }
                "spent" => return Ok(Err(Duration::from_micros(answer.number(1)?))),
                "epoch" => self.known().untold += 1,
                _ => return Err(self.protocol_error(SharedOperation::Budget).into()),
            }
        }
        Err(Away)
    }

    /// What the scripts need to take a call, and the call's name.
    pub(super) fn take_ask(&self, asking: &Asking<'_>, allowance: Allowance) -> (TakeAsk, String) {
        let (call, epoch) = (random_name(), self.known().epoch.clone());
        let ask = TakeAsk {
            epoch,
            clock: self.clock_ask(StoreTime::default()),
            requests: allowance.requests,
            share: allowance.share,
            own_share: allowance.own_share,
            span: micros(allowance.span()),
            per: micros(allowance.per),
            own: asking.own,
            call: call.clone(),
        };
        (ask, call)
    }

    /// What the scripts need to judge the store's clock and to begin an epoch.
    fn clock_ask(&self, doubted_since: StoreTime) -> ClockAsk {
        let Expected { from, to, elapsed } = self.known().clock.expected(self.now(), self.store().timeout);
        ClockAsk {
            new_epoch: random_name(),
            doubted_since: doubted_since.as_micros(),
            expected_from: from,
            expected_to: to,
            elapsed,
            life: LIFE,
        }
    }

    /// Gives up a call that may have been granted, though nobody was told.
    fn abandon_call(self: &Arc<Self>, call: &str) {
        let (account, call) = (Arc::clone(self), call.to_owned());
        self.shared.behind(async move { account.tell_end(&call, Duration::ZERO).await });
    }

    /// Notes a call that the store has granted.
    pub(super) fn unit(
        &self,
        call: String,
        sent: Moment,
        instant: StoreTime,
        epoch: &str,
        allowance: Allowance,
    ) -> Unit {
        self.note_epoch(epoch);
        self.known().own.push_back((call.clone(), sent.monotonic + allowance.span()));
        Unit { call, instant: Some(instant), sent: sent.monotonic }
    }

    /// Notes the epoch. Where another one has begun, the store has lost something: it is told of our invalidations again.
    fn note_epoch(&self, epoch: &str) {
        let before = std::mem::replace(&mut self.known().epoch, epoch.to_owned());
        if !before.is_empty() && before != epoch {
            self.shared.mark_again_all(self.balances.iter().map(|balance| balance.key));
        }
    }

    /// Notes how many calls of all replicas count.
    pub(super) fn note_counted(&self, count: u64) {
        let now = self.now();
        self.known().counted = Some((u32::try_from(count).unwrap_or(u32::MAX), now));
    }

    /// How many calls of all replicas counted, if the store said so just now.
    #[must_use]
    pub fn counted(&self, now: Instant) -> Option<u32> {
        let (count, at) = self.known().counted?;
        (self.is_sharing() && now.saturating_duration_since(at) < COUNT_LIFE).then_some(count)
    }

    /// Begins to ask for a call: those that are asked for at once must not take the same place.
    pub(super) fn asking(&self) -> Asking<'_> {
        let now = self.now();
        let mut known = self.known();
        known.own.retain(|(_, until)| *until > now);
        let own = u32::try_from(known.own.len()).unwrap_or(u32::MAX).saturating_add(known.asked_for);
        known.asked_for += 1;
        Asking { account: self, own }
    }

    /// Notes a call that leaves while the store is away: it is told later.
    #[must_use]
    pub fn alone(&self, allowance: Allowance) -> Unit {
        let (call, now) = (random_name(), self.now());
        let mut known = self.known();
        known.own.retain(|(_, until)| *until > now);
        known.own.push_back((call.clone(), now + allowance.span()));
        known.untold += 1;
        Unit { call, instant: None, sent: now }
    }

    /// A call has ended: it counts for `per` from now on.
    pub fn ended(self: &Arc<Self>, unit: Unit, per: Duration) {
        let now = self.now();
        {
            let mut known = self.known();
            known.own.retain(|(_, until)| *until > now);
            if let Some(own) = known.own.iter_mut().find(|(call, _)| *call == unit.call) {
                own.1 = now + per;
            }
        }
        if unit.instant.is_none() {
            return;
        }
        let account = Arc::clone(self);
        self.shared.behind(async move { account.tell_end(&unit.call, per).await });
    }

    /// Tells the store that a call has ended. What is not told counts as long as the longest attempt.
    pub(super) async fn tell_end(&self, call: &str, per: Duration) {
        let (store, ask) = (self.store(), EndedAsk { call, per: micros(per), life: LIFE });
        let _ = store.run(Action::Ended, &self.keys(), &ask, &mut store.wait()).await;
    }

    /// Tells a store that may have lost them what calls of this replica count, before anything is taken from it.
    pub(super) async fn catch_up(&self, wait: &mut StoreWait) -> Result<(), Trouble> {
        let (generation, now) = (self.store().generation(), self.now());
        let (told, doubted_since);
        let (calls, left): (Vec<String>, Vec<u64>) = {
            let mut known = self.known();
            told = (generation, known.untold);
            if known.told == told {
                return Ok(());
            }
            doubted_since = known.doubted_since;
            known.own.retain(|(_, until)| *until > now);
            let left = |until: &Instant| micros(until.saturating_duration_since(now));
            known.own.iter().map(|(call, until)| (call.clone(), left(until))).unzip()
        };
        let clock = self.clock_ask(doubted_since.unwrap_or_default());
        let ask = RestoreAsk { clock, calls, left };
        let answered = self.store().run(Action::Restore, &self.keys(), &ask, wait).await;
        let answered = self.checked(answered, None)?;
        self.note_epoch(answered.answer.text(0)?);
        let mut known = self.known();
        known.told = told;
        known.doubted_since.take_if(|since| Some(*since) == doubted_since);
        Ok(())
    }
}

/// What the scripts need to judge the store's clock and to begin an epoch.
#[derive(Serialize)]
struct ClockAsk {
    new_epoch: String,
    doubted_since: u64,
    expected_from: u64,
    expected_to: u64,
    elapsed: u64,
    life: u64,
}

/// What the scripts need to take a call.
#[derive(Serialize)]
pub(super) struct TakeAsk {
    epoch: String,
    #[serde(flatten)]
    clock: ClockAsk,
    requests: u32,
    share: u32,
    own_share: u32,
    span: u64,
    per: u64,
    own: u32,
    call: String,
}

#[derive(Serialize)]
struct EndedAsk<'a> {
    call: &'a str,
    per: u64,
    life: u64,
}

#[derive(Serialize)]
struct RestoreAsk {
    #[serde(flatten)]
    clock: ClockAsk,
    calls: Vec<String>,
    left: Vec<u64>,
}

/// A call that is asked for just now.
pub(super) struct Asking<'a> {
    account: &'a SharedAccount,
    /// Calls of this replica that count, those that are asked for among them.
    pub(super) own: u32,
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        let mut known = self.account.known();
        known.asked_for = known.asked_for.saturating_sub(1);
    }
}

impl Allowance {
    /// The longest that a call counts whose end nobody tells.
    pub(super) fn span(&self) -> Duration {
        self.per + self.attempt
    }
}

impl Unit {
    /// Whether a call that leaves now may still be of this instant.
    #[must_use]
    pub fn is_good(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.sent) < UNIT_LIFE
    }
}
