//! One whole read: its admission by hold and slot, its attempts, and the hold after a failure.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::SemaphorePermit;
use tokio::time::timeout_at;

use crate::domain::{Answer, Failure, Priority, ReadRequest, Snapshot, UpstreamError};
use crate::metrics::ReadRefusal;
use crate::trace;
use crate::upstream::failure::FailedRead;
use crate::upstream::limits::retry;
use crate::upstream::read_context::ReadContext;
use crate::upstream::{Balance, Received, Upstream};

impl Upstream {
    /// Reads the balance with this index: one whole read, token and retries included. If replicas share, another
    /// replica may make the read.
    pub async fn read(self: &Arc<Self>, index: usize, request: ReadRequest) -> Answer {
        trace::note_read(self.provider.name(), &self.account, &self.balances[index].selector);
        match (&self.shared, request.ticket) {
            (Some(shared), Some(ticket)) if shared.is_sharing() => {
                // Boxed: a future that waits for the store is large.
                Box::pin(self.read_shared(shared, index, request.priority, ticket)).await
            }
            _ => match &self.whole {
                Some(whole) => Box::pin(self.read_whole(whole, index, request)).await,
                None => self.read_alone(index, request.priority).await,
            },
        }
    }

    /// One whole read of this replica, independent of the others.
    pub(super) async fn read_alone(self: &Arc<Self>, index: usize, priority: Priority) -> Answer {
        let started = self.provider.now().monotonic;
        let balance = &self.balances[index];
        if let Some(failure) = self.held(balance, started) {
            self.note_refused_by_hold();
            return ended(priority, started, Err(failure));
        }
        let context = ReadContext::alone(priority, started + self.provider.settings.deadline);
        let (answer, _) = self.read_on(balance, &context).await;
        answer
    }

    /// The held failure that forbids a call now, if any.
    pub(in crate::upstream) fn held(&self, balance: &Balance, now: Instant) -> Option<Failure> {
        let of_answers = self.whole.as_ref().and_then(|whole| whole.holds.held(now));
        let holds = [self.holds.held(now), balance.holds.held(now), of_answers];
        // The provider is not called until the last of them ends.
        let (error, until) = holds.into_iter().flatten().max_by_key(|(_, until)| *until)?;
        Some(Failure { error, retry_at: Some(until), is_held: true, was_called: false })
    }

    /// Makes one read. The second value has the details of a failure.
    pub(super) async fn read_on(
        self: &Arc<Self>,
        balance: &Balance,
        context: &ReadContext,
    ) -> (Answer, Option<FailedRead>) {
        // The slot is kept until the failure is held: the next read in this slot must find the hold.
        let slot = self.admitted(context.deadline).await;
        let read = match &slot {
            Ok(_) => self.attempts(balance, context).await,
            Err(failed) => Err(*failed),
        };
        match read {
            Ok(Received { snapshot, sent_at }) => {
                self.holds.end(sent_at);
                balance.holds.end(sent_at);
                if let Some(whole) = &self.whole {
                    whole.holds.end(sent_at);
                }
                (ended(context.priority, sent_at, Ok(Arc::new(snapshot))), None)
            }
            Err(failed) => {
                let now = self.provider.now().monotonic;
                let failure = self.hold(balance, &failed, context, now);
                (ended(context.priority, failed.sent_at.unwrap_or(now), Err(failure)), Some(failed))
            }
        }
    }

    fn hold(&self, balance: &Balance, failed: &FailedRead, context: &ReadContext, now: Instant) -> Failure {
        let holds = match &self.whole {
            _ if failed.concerns_account() => &self.holds,
            // Only an invalid answer may still hold the other balances. Any other failure concerns all of them.
            Some(whole) if !matches!(failed.error, UpstreamError::Invalid(_)) => &whole.holds,
            _ => &balance.holds,
        };
        let held_until = holds.begin(failed.error, failed.hold, failed.sent_at.unwrap_or(now), now);
        Failure {
            error: failed.error,
            retry_at: held_until.or(failed.retry_in.map(|wait| now + wait)),
            is_held: held_until.is_some(),
            was_called: context.was_called.load(Ordering::Relaxed),
        }
    }

    async fn admitted(&self, deadline: Instant) -> Result<SemaphorePermit<'_>, FailedRead> {
        if let Some(failed) = self.provider.suspension(self.provider.now().monotonic) {
            self.provider.metrics.refused(ReadRefusal::Breaker);
            return Err(failed);
        }
        self.slot(deadline).await
    }

    /// Makes the first attempt, and the retries.
    async fn attempts(
        self: &Arc<Self>,
        balance: &Balance,
        context: &ReadContext,
    ) -> Result<Received, FailedRead> {
        let (priority, deadline) = (context.priority, context.deadline);
        self.provider.reserve.note_read();
        let (mut attempt, mut failed_before) = (1, None);
        loop {
            let failed = match self.authorised_attempt(balance, context).await {
                Ok(received) => return Ok(received),
                Err(failed) => failed,
            };
            // If a retry was not sent, the failure of the attempt before it counts.
            let failed = failed_before.filter(|_| failed.sent_at.is_none()).unwrap_or(failed);
            let now = self.provider.now().monotonic;
            let pause = retry::pause(attempt);
            let is_over = attempt > self.provider.settings.retries || !failed.error.is_retryable();
            if is_over
                || now + pause >= deadline
                || !self.may_retry(priority)
                || !self.provider.reserve.take(now)
            {
                return Err(failed);
            }
            tokio::time::sleep(pause).await;
            if !self.may_retry(priority) {
                return Err(failed);
            }
            self.provider.metrics.retried();
            (attempt, failed_before) = (attempt + 1, Some(failed));
        }
    }

    /// Waits for one of the provider's slots, while enough time is left to connect.
    async fn slot(&self, deadline: Instant) -> Result<SemaphorePermit<'_>, FailedRead> {
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

    pub(in crate::upstream) fn busy(&self) -> FailedRead {
        self.provider.metrics.refused(ReadRefusal::Concurrency);
        FailedRead::unsent(UpstreamError::Busy, Duration::from_secs(1))
    }

    /// Whether hold, breaker and budget permit an attempt now.
    fn may_retry(&self, priority: Priority) -> bool {
        let now = self.provider.now().monotonic;
        self.check_hold().is_ok()
            && self.provider.suspension(now).is_none()
            && self.gate.has_room(priority, now)
    }
}

fn ended(priority: Priority, sent_at: Instant, result: Result<Arc<Snapshot>, Failure>) -> Answer {
    Answer { priority, sent_at, turn: None, is_from_other_replica: false, result }
}
