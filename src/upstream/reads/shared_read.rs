//! Reads of an account that replicas share: whether this replica may call, with which credential, and which holds apply
//! to every replica.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use secrecy::{ExposeSecret, SecretString};

use crate::domain::{Answer, Failure, FailureSeries, Hold, Priority, Ticket, UpstreamError};
use crate::metrics::ReadRefusal;
use crate::shared::{
    Allowance, CallGrant, HoldScope, ReadEnd, ReadTask, Reader, SharedAccount, SharedHold, StoreWait,
};
use crate::upstream::Upstream;
use crate::upstream::credentials::Credentials;
use crate::upstream::failure::FailedRead;
use crate::upstream::read_context::ReadContext;

/// One read of a balance of the account.
struct ReplicaReader<'a> {
    upstream: &'a Arc<Upstream>,
    shared: &'a SharedAccount,
    index: usize,
    priority: Priority,
}

impl Upstream {
    /// One read, made by this replica or by another.
    pub(super) async fn read_shared(
        self: &Arc<Self>,
        shared: &Arc<SharedAccount>,
        index: usize,
        priority: Priority,
        ticket: Ticket,
    ) -> Answer {
        let deadline = self.provider.settings.deadline;
        let task = ReadTask { balance: index, priority, ticket, max_age: self.max_age, deadline };
        shared.read(task, &ReplicaReader { upstream: self, shared, index, priority }).await
    }
}

impl Reader for ReplicaReader<'_> {
    fn closed(&self) -> Option<Failure> {
        let now = self.upstream.provider.now().monotonic;
        self.upstream.held(&self.upstream.balances[self.index], now).or_else(|| {
            let failed = self.upstream.provider.suspension(now)?;
            Some(Failure {
                error: failed.error,
                retry_at: failed.retry_in.map(|wait| now + wait),
                is_held: false,
                was_called: false,
            })
        })
    }

    fn credential(&self) -> String {
        let now = self.upstream.provider.now().monotonic;
        let mut parts = match &*self.upstream.credentials {
            Credentials::Client(rotation) => cloned(rotation.next(now).secrets()),
            Credentials::Static(rotation) => cloned(rotation.next(now).secrets()),
        };
        // The provider may refuse a client certificate, too.
        parts.extend(self.upstream.provider.settings.client.identity.iter().map(|(pem, _)| pem.clone()));
        let parts: Vec<&[u8]> = parts.iter().map(|part| part.expose_secret().as_bytes()).collect();
        self.shared.credential_name(&parts)
    }

    fn allowance(&self) -> Allowance {
        self.upstream.gate.allowance(self.priority, self.upstream.provider.settings.attempt_timeout)
    }

    fn note_refused(&self, failure: &Failure) {
        let is_suspended = failure.error == UpstreamError::Suspended;
        let reason = if is_suspended { ReadRefusal::Breaker } else { ReadRefusal::Hold };
        self.upstream.provider.metrics.refused(reason);
    }

    fn note_spent(&self) {
        self.upstream.provider.metrics.refused(ReadRefusal::Budget);
    }

    async fn read(&self, number: u64, first: CallGrant, wait: StoreWait) -> ReadEnd {
        let context = ReadContext {
            priority: self.priority,
            deadline: self.upstream.provider.now().monotonic + self.upstream.provider.settings.deadline,
            number: Some(number),
            store_wait: tokio::sync::Mutex::new(Some(wait)),
            first: Mutex::new(Some(first)),
            was_called: AtomicBool::default(),
        };
        let (answer, failed) = self.upstream.read_on(&self.upstream.balances[self.index], &context).await;
        let unused = context.first.into_inner().ok().flatten();
        let others = self.upstream.whole.as_ref().map(|whole| whole.others(self.index, &answer));
        let hold = failed.and_then(|failed| shared_hold(&failed, self.upstream.whole.is_some()));
        ReadEnd { answer, others: others.unwrap_or_default(), hold, unused }
    }

    async fn read_alone(&self) -> Answer {
        self.upstream.read_alone(self.index, self.priority).await
    }
}

fn cloned(secrets: Vec<&SecretString>) -> Vec<SecretString> {
    secrets.into_iter().cloned().collect()
}

/// A hold after an answer of the provider applies to every replica; after a connect failure or a time-out, to this
/// replica only.
fn shared_hold(failed: &FailedRead, reads_together: bool) -> Option<SharedHold> {
    let scope = match failed.error {
        UpstreamError::Unreachable(_)
        | UpstreamError::Timeout
        | UpstreamError::Busy
        | UpstreamError::Suspended
        | UpstreamError::BudgetExhausted
        | UpstreamError::OutOfFiles
        | UpstreamError::Defect => return None,
        UpstreamError::Refused => HoldScope::Credential,
        UpstreamError::Throttled(_)
        | UpstreamError::Unavailable(_)
        | UpstreamError::Status(_)
        | UpstreamError::Invalid(_)
        | UpstreamError::TooLarge => {
            // If one answer holds every balance, all of them failed. An invalid answer may still hold the others.
            let is_for_all = reads_together && !matches!(failed.error, UpstreamError::Invalid(_));
            if failed.concerns_account() || is_for_all { HoldScope::Account } else { HoldScope::Balance }
        }
    };
    let (first, most) = match failed.hold {
        // Each replica has its own tokens, so it holds their failures alone.
        Hold::None | Hold::Doubling { series: FailureSeries::NewToken, .. } => return None,
        Hold::Fixed(length) | Hold::RetryAfter(length) => (length, length),
        Hold::Doubling { first, most, .. } => (first, most),
    };
    Some(SharedHold { scope, first, most })
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs some moment to count from")]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::domain::{Cause, ParseError};
    use crate::metrics::Operation;

    fn failed(error: UpstreamError) -> FailedRead {
        FailedRead::after_attempt(error, Operation::Balance, Instant::now())
    }

    fn scope(failed: &FailedRead, reads_together: bool) -> Option<HoldScope> {
        shared_hold(failed, reads_together).map(|hold| hold.scope)
    }

    #[test]
    fn an_answered_failure_has_the_same_scope_at_every_replica() {
        let invalid = UpstreamError::Invalid(ParseError { field: "body", problem: "not a JSON object" });
        let (account, balance) = (Some(HoldScope::Account), Some(HoldScope::Balance));
        for (error, expected, where_all_are_read_together) in [
            (UpstreamError::Unreachable(Cause::Closed), None, None),
            (UpstreamError::Timeout, None, None),
            (UpstreamError::Throttled(None), account, account),
            (UpstreamError::Status(500), balance, account),
            (invalid, balance, balance),
            (UpstreamError::Refused, Some(HoldScope::Credential), Some(HoldScope::Credential)),
        ] {
            assert_eq!(scope(&failed(error), false), expected, "{error:?}");
            assert_eq!(scope(&failed(error), true), where_all_are_read_together, "{error:?}");
        }
    }

    #[test]
    fn a_new_token_that_is_refused_holds_here_alone() {
        let failed = failed(UpstreamError::Refused).with_unsettled_token();

        assert_eq!(scope(&failed, false), None);
    }
}
