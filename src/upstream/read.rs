//! One whole read: the hold and the slot before it, its attempts, and what is remembered of how it ended.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::SemaphorePermit;
use tokio::time::timeout_at;

use super::gate::Terms;
use super::stop::Stop;
use super::{Balance, Sent, Upstream, retry};
use crate::domain::{Answer, Failure, Order, Priority, Snapshot, UpstreamError};
use crate::metrics::ReadRefusal;
use crate::trace;

impl Upstream {
    /// Asks for the balance with this index: one whole read, attempts and token included, of this replica or, where
    /// they share, of another.
    pub async fn read(self: &Arc<Self>, index: usize, order: Order) -> Answer {
        trace::note_read(self.provider.name(), &self.account, &self.balances[index].selector);
        match (&self.shared, order.ticket) {
            (Some(shared), Some(ticket)) if shared.is_sharing() => {
                // Boxed: whatever waits for the store is large.
                Box::pin(self.read_shared(shared, index, order.priority, ticket)).await
            }
            _ => match &self.whole {
                Some(whole) => Box::pin(self.read_whole(whole, index, order)).await,
                None => self.read_alone(index, order.priority).await,
            },
        }
    }

    /// One whole read of this replica, whatever the others do.
    pub(super) async fn read_alone(self: &Arc<Self>, index: usize, priority: Priority) -> Answer {
        let started = self.provider.now().monotonic;
        let balance = &self.balances[index];
        if let Some(failure) = self.held(balance, started) {
            self.note_refused_by_hold();
            return ended(priority, started, Err(failure));
        }
        let terms = Terms::alone(priority, started + self.provider.settings.deadline);
        let (answer, _) = self.read_on(balance, &terms).await;
        answer
    }

    /// The failure because of which this replica asks nobody now.
    pub(super) fn held(&self, balance: &Balance, now: Instant) -> Option<Failure> {
        let (error, until) = {
            let of_answers = || self.whole.as_ref().and_then(|whole| whole.holds.held(now));
            self.holds.held(now).or_else(|| balance.holds.held(now)).or_else(of_answers)?
        };
        Some(Failure { error, retry_at: Some(until), is_held: true, was_called: false })
    }

    /// One read on its terms; with a failure comes how it stopped.
    pub(super) async fn read_on(
        self: &Arc<Self>,
        balance: &Balance,
        terms: &Terms,
    ) -> (Answer, Option<Stop>) {
        // Kept until its failure is held, so that who gets the slot next knows of it.
        let slot = self.admitted(terms.deadline).await;
        let read = match &slot {
            Ok(_) => self.attempts(balance, terms).await,
            Err(stop) => Err(*stop),
        };
        match read {
            Ok((snapshot, sent_at)) => {
                self.holds.end(sent_at);
                balance.holds.end(sent_at);
                if let Some(whole) = &self.whole {
                    whole.holds.end(sent_at);
                }
                (ended(terms.priority, sent_at, Ok(Arc::new(snapshot))), None)
            }
            Err(stop) => {
                let now = self.provider.now().monotonic;
                let failure = self.hold(balance, &stop, terms, now);
                (ended(terms.priority, stop.sent_at.unwrap_or(now), Err(failure)), Some(stop))
            }
        }
    }

    fn hold(&self, balance: &Balance, stop: &Stop, terms: &Terms, now: Instant) -> Failure {
        let holds = match &self.whole {
            _ if stop.concerns_account() => &self.holds,
            // No answer came, for any of the balances.
            Some(whole) if !matches!(stop.error, UpstreamError::Invalid(_)) => &whole.holds,
            _ => &balance.holds,
        };
        let held_until = holds.begin(stop.error, stop.hold, stop.sent_at.unwrap_or(now), now);
        Failure {
            error: stop.error,
            retry_at: held_until.or(stop.retry_in.map(|wait| now + wait)),
            is_held: held_until.is_some(),
            was_called: terms.was_called.load(Ordering::Relaxed),
        }
    }

    async fn admitted(&self, deadline: Instant) -> Result<SemaphorePermit<'_>, Stop> {
        if let Some(stop) = self.provider.is_suspended(self.provider.now().monotonic) {
            self.provider.metrics.refused(ReadRefusal::Breaker);
            return Err(stop);
        }
        self.slot(deadline).await
    }

    /// The first attempt, and the retries.
    async fn attempts(self: &Arc<Self>, balance: &Balance, terms: &Terms) -> Result<Sent, Stop> {
        let (priority, deadline) = (terms.priority, terms.deadline);
        self.provider.reserve.note_read();
        let (mut attempt, mut failed_before) = (1, None);
        loop {
            let stop = match self.authorised_attempt(balance, terms).await {
                Ok(sent) => return Ok(sent),
                Err(stop) => stop,
            };
            // A retry that was not let out leaves the problem of the attempt before.
            let stop = failed_before.filter(|_| stop.sent_at.is_none()).unwrap_or(stop);
            let now = self.provider.now().monotonic;
            let pause = retry::pause(attempt);
            let is_over = attempt > self.provider.settings.retries || !stop.error.is_retryable();
            if is_over
                || now + pause >= deadline
                || !self.may_leave(priority)
                || !self.provider.reserve.take(now)
            {
                return Err(stop);
            }
            tokio::time::sleep(pause).await;
            if !self.may_leave(priority) {
                return Err(stop);
            }
            self.provider.metrics.retried();
            (attempt, failed_before) = (attempt + 1, Some(stop));
        }
    }

    /// Waits for one of the provider's slots, as long as there would be time left to ask.
    async fn slot(&self, deadline: Instant) -> Result<SemaphorePermit<'_>, Stop> {
        if let Ok(slot) = self.provider.slots.try_acquire() {
            return Ok(slot);
        }
        let slot = timeout_at(deadline.into(), self.provider.slots.acquire()).await;
        match slot {
            Ok(Ok(slot)) if self.has_time_to_connect(deadline) => Ok(slot),
            _ => Err(self.busy()),
        }
    }

    pub(super) fn has_time_to_connect(&self, deadline: Instant) -> bool {
        let left = deadline.saturating_duration_since(self.provider.now().monotonic);
        left >= self.provider.settings.client.connect_timeout
    }

    pub(super) fn busy(&self) -> Stop {
        self.provider.metrics.refused(ReadRefusal::Concurrency);
        Stop::refused(UpstreamError::Busy, Duration::from_secs(1))
    }

    /// Whether hold, breaker and budget would let an attempt leave now.
    fn may_leave(&self, priority: Priority) -> bool {
        let now = self.provider.now().monotonic;
        self.not_held().is_ok()
            && self.provider.is_suspended(now).is_none()
            && self.gate.has_room(priority, now)
    }
}

fn ended(priority: Priority, sent_at: Instant, result: Result<Arc<Snapshot>, Failure>) -> Answer {
    Answer { priority, sent_at, turn: None, is_elsewhere: false, result }
}
