//! The calls that an account's budget permits: taken from the store, and written again to a store that lost them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::account::{MOST_TRIES, SharedAccount};
use super::epoch::ClockArguments;
use super::error::Unavailable;
use super::script::Action;
use super::store::{Answered, StoreWait};
use super::tier::random_name;
use crate::domain::turn::micros;
use crate::domain::{Moment, StoreTime};
use crate::metrics::SharedOperation;

/// A granted call that is not sent within this time is requested again, because its instant would be too early.
const GRANT_LIFE: Duration = Duration::from_millis(100);
/// How long the store's last count of calls is used.
const COUNT_LIFE: Duration = Duration::from_secs(10);

/// The calls that are permitted to all replicas together, and to this one.
#[derive(Clone, Copy, Debug)]
pub struct Allowance {
    /// The most calls of all replicas that may count at once.
    pub requests: u32,
    /// How many of them calls of this priority may use.
    pub share: u32,
    /// How many calls of this priority this replica's local share permits. It applies while the store does not know all
    /// calls.
    pub local_share: u32,
    /// How long a call counts after its end.
    pub per: Duration,
    /// How long an attempt may take.
    pub attempt: Duration,
}

/// The right to make one call.
#[derive(Debug)]
pub struct CallGrant {
    call: String,
    /// The store's clock at the grant, if the store granted it: the call was sent after this.
    pub instant: Option<StoreTime>,
    sent: Instant,
}

impl SharedAccount {
    /// Takes one more call, for a retry or a token. The inner error is the time until the next call may be granted.
    ///
    /// # Errors
    /// [`Unavailable`] when the store cannot be used now.
    pub async fn take(
        self: &Arc<Self>,
        allowance: Allowance,
        wait: &mut StoreWait,
    ) -> Result<Result<CallGrant, Duration>, Unavailable> {
        for _ in 0..MOST_TRIES {
            self.catch_up(wait).await?;
            let requesting = self.requesting();
            let (arguments, call) = self.take_arguments(&requesting, allowance);
            let answered = self.store().run(Action::Take, &self.keys(), &arguments, wait).await;
            let answered = self.checked(answered, None);
            let answered = answered.inspect_err(|_| self.abandon_call(&call))?;
            let Answered { answer, sent, .. } = answered;
            match answer.kind() {
                "taken" => {
                    self.note_counted(answer.number(1)?);
                    return Ok(Ok(self.grant(call, sent, answer.now, answer.text(2)?, allowance)));
                }
                "spent" => return Ok(Err(Duration::from_micros(answer.number(1)?))),
                "epoch" => self.known().pending += 1,
                _ => return Err(self.protocol_error(SharedOperation::Budget).into()),
            }
        }
        Err(Unavailable)
    }

    /// The scripts' arguments to take a call, and the call's name.
    pub(super) fn take_arguments(
        &self,
        requesting: &CallRequest<'_>,
        allowance: Allowance,
    ) -> (TakeArguments, String) {
        let (call, epoch) = (random_name(), self.known().epoch.clone());
        let arguments = TakeArguments {
            epoch,
            clock: self.clock_arguments(),
            requests: allowance.requests,
            share: allowance.share,
            local_share: allowance.local_share,
            span: micros(allowance.span()),
            per: micros(allowance.per),
            own: requesting.own,
            cautious_for: micros(self.store().cautious_for(allowance.per, self.now())),
            call: call.clone(),
        };
        (arguments, call)
    }

    /// Gives up a call: the answer did not arrive, but the store may have granted it.
    fn abandon_call(self: &Arc<Self>, call: &str) {
        let (account, call) = (Arc::clone(self), call.to_owned());
        self.tier.in_background(async move { account.report_end(&call, Duration::ZERO).await });
    }

    /// Notes a call that the store has granted.
    pub(super) fn grant(
        self: &Arc<Self>,
        call: String,
        sent: Moment,
        instant: StoreTime,
        epoch: &str,
        allowance: Allowance,
    ) -> CallGrant {
        self.note_epoch(epoch);
        self.known().own.push_back((call.clone(), sent.monotonic + allowance.span()));
        CallGrant { call, instant: Some(instant), sent: sent.monotonic }
    }

    /// Records the number of counted calls of all replicas.
    pub(super) fn note_counted(&self, count: u64) {
        let now = self.now();
        self.known().counted = Some((u32::try_from(count).unwrap_or(u32::MAX), now));
    }

    /// The number of counted calls of all replicas, if the store's answer is recent.
    #[must_use]
    pub fn counted(&self, now: Instant) -> Option<u32> {
        let (count, at) = self.known().counted?;
        (self.is_sharing() && now.saturating_duration_since(at) < COUNT_LIFE).then_some(count)
    }

    /// Begins to request a call. The request counts as a call of this replica until the result is dropped, so that
    /// concurrent requests do not take the same place.
    pub(super) fn requesting(&self) -> CallRequest<'_> {
        let now = self.now();
        let mut known = self.known();
        known.own.retain(|(_, until)| *until > now);
        let own = u32::try_from(known.own.len()).unwrap_or(u32::MAX).saturating_add(known.requesting);
        known.requesting += 1;
        CallRequest { account: self, own }
    }

    /// Records a call that is sent while the store is unavailable. It is written to the store later.
    #[must_use]
    pub fn alone(&self, allowance: Allowance) -> CallGrant {
        let (call, now) = (random_name(), self.now());
        let mut known = self.known();
        known.own.retain(|(_, until)| *until > now);
        known.own.push_back((call.clone(), now + allowance.span()));
        known.pending += 1;
        CallGrant { call, instant: None, sent: now }
    }

    /// Records the end of a call, which counts for `per` from now on. `per` is zero for a call that was not sent.
    pub fn ended(self: &Arc<Self>, grant: CallGrant, per: Duration) {
        let now = self.now();
        {
            let mut known = self.known();
            known.own.retain(|(_, until)| *until > now);
            if let Some(own) = known.own.iter_mut().find(|(call, _)| *call == grant.call) {
                own.1 = now + per;
            }
        }
        if grant.instant.is_none() {
            return;
        }
        let account = Arc::clone(self);
        self.tier.in_background(async move { account.report_end(&grant.call, per).await });
    }

    /// Writes the end of a call to the store. If this fails, the call counts as if its attempt took the longest time.
    pub(super) async fn report_end(&self, call: &str, per: Duration) {
        let (store, arguments) = (self.store(), EndedArguments { call, per: micros(per), life: self.life });
        let _ = store.run(Action::Ended, &self.keys(), &arguments, &mut store.wait()).await;
    }
}

/// The scripts' arguments to take a call.
#[derive(Serialize)]
pub(super) struct TakeArguments {
    epoch: String,
    #[serde(flatten)]
    clock: ClockArguments,
    requests: u32,
    share: u32,
    local_share: u32,
    span: u64,
    per: u64,
    own: u32,
    /// How much longer this replica takes no more calls than its local share permits, in microseconds: after a
    /// fail-over, the store may have lost calls of other replicas.
    cautious_for: u64,
    call: String,
}

#[derive(Serialize)]
struct EndedArguments<'a> {
    call: &'a str,
    per: u64,
    life: u64,
}

/// A call that is being requested.
pub(super) struct CallRequest<'a> {
    account: &'a SharedAccount,
    /// Counted calls of this replica, those being requested included.
    pub(super) own: u32,
}

impl Drop for CallRequest<'_> {
    fn drop(&mut self) {
        let mut known = self.account.known();
        known.requesting = known.requesting.saturating_sub(1);
    }
}

impl Allowance {
    /// How long a call counts if its end is never written.
    pub(super) fn span(&self) -> Duration {
        self.per + self.attempt
    }
}

impl CallGrant {
    /// Whether a call that is sent now may still carry the instant of the grant.
    #[must_use]
    pub fn is_good(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.sent) < GRANT_LIFE
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs some moment to count from")]
mod tests {
    use super::*;

    #[test]
    fn a_grant_that_is_not_used_in_time_is_no_longer_good() {
        let sent = Instant::now();
        let grant = CallGrant { call: "c".to_owned(), instant: Some(StoreTime::default()), sent };

        assert!(grant.is_good(sent + GRANT_LIFE / 2));
        assert!(!grant.is_good(sent + GRANT_LIFE));
    }
}
