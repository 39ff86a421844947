//! One attempt to read a balance: with a live token, and once more with a new one after a refusal.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout_at};

use crate::domain::UpstreamError;
use crate::metrics::Operation;
use crate::providers::Authorisation;
use crate::upstream::call::Call;
use crate::upstream::credentials::{Credentials, Rotation, Token};
use crate::upstream::failure::FailedRead;
use crate::upstream::network::Response;
use crate::upstream::read_context::ReadContext;
use crate::upstream::{Balance, Received, Upstream, targets};

/// When a new token that the provider does not accept yet is tried again, from its first refusal on.
const FURTHER_ATTEMPTS: [Duration; 3] =
    [Duration::from_millis(500), Duration::from_secs(1), Duration::from_secs(2)];

impl Upstream {
    /// One attempt with the present authorisation. After a 401 or 403, one more with its replacement: a new token, or the
    /// credential before the newest.
    pub(super) async fn authorised_attempt(
        self: &Arc<Self>,
        balance: &Balance,
        context: &ReadContext,
    ) -> Result<Received, FailedRead> {
        match &*self.credentials {
            Credentials::Client(rotation) => {
                let token = self.live_token(rotation, context).await?;
                let attempt = self.attempt_with(balance, &token, context).await;
                if !is_refused(&attempt) || attempt.as_ref().is_err_and(FailedRead::has_unsettled_token) {
                    return attempt;
                }
                let renewed = self.token_after_refusal(rotation, &token, context).await?;
                self.attempt_with(balance, &renewed, context).await
            }
            Credentials::Static(rotation) => {
                let now = || self.provider.now().monotonic;
                let chosen = rotation.choose(now());
                let attempt = self.attempt(balance, &chosen, context).await;
                if attempt.is_ok() {
                    rotation.worked(&chosen, now());
                } else if is_refused(&attempt)
                    && let Some(other) = self.note_refused(rotation, &chosen)
                {
                    let attempt = self.attempt(balance, &other, context).await;
                    if attempt.is_ok() {
                        rotation.worked(&other, now());
                    }
                    return attempt;
                }
                attempt
            }
        }
    }

    /// One attempt with a token. If the provider does not accept a new token yet, the previous token is used, or the new
    /// one is tried again after a pause.
    async fn attempt_with(
        &self,
        balance: &Balance,
        token: &Arc<Token>,
        context: &ReadContext,
    ) -> Result<Received, FailedRead> {
        let attempt = self.noted_attempt(balance, token, context).await;
        let now = self.provider.now().monotonic;
        if !is_refused(&attempt) || !self.tokens.is_settling(token, now) {
            return attempt;
        }
        if let Some(before) = self.tokens.before(token, now) {
            let attempt = self.noted_attempt(balance, &before, context).await;
            if !is_refused(&attempt) {
                return attempt;
            }
            self.tokens.drop_refused(&before);
        }
        self.attempts_until_settled(balance, token, context, attempt).await
    }

    /// Tries a new token again until the provider accepts it. One read does so; the others wait for it.
    async fn attempts_until_settled(
        &self,
        balance: &Balance,
        token: &Arc<Token>,
        context: &ReadContext,
        mut attempt: Result<Received, FailedRead>,
    ) -> Result<Received, FailedRead> {
        let lock = timeout_at(context.deadline.into(), self.tokens.minting.lock()).await;
        let Ok(_minting) = lock else { return attempt.map_err(FailedRead::with_unsettled_token) };
        let refused_at = self.provider.now().monotonic;
        for after in FURTHER_ATTEMPTS {
            self.check_hold()?;
            if token.was_accepted() {
                return self.noted_attempt(balance, token, context).await;
            }
            let resumes_at = refused_at + after;
            if resumes_at >= context.deadline {
                break;
            }
            sleep(resumes_at.saturating_duration_since(self.provider.now().monotonic)).await;
            attempt = self.noted_attempt(balance, token, context).await;
            if !is_refused(&attempt) {
                return attempt;
            }
        }
        attempt.map_err(FailedRead::with_unsettled_token)
    }

    /// One attempt with a token; records whether the provider accepted it.
    async fn noted_attempt(
        &self,
        balance: &Balance,
        token: &Arc<Token>,
        context: &ReadContext,
    ) -> Result<Received, FailedRead> {
        let attempt = self.attempt(balance, &token.authorisation(), context).await;
        if attempt.is_ok() {
            self.tokens.accepted(token);
        }
        attempt
    }

    /// The replacement of a refused credential: the newest if an older one was refused, else the one before the newest,
    /// with a warning in the log.
    pub(super) fn note_refused<C: PartialEq>(
        &self,
        rotation: &Rotation<C>,
        refused: &Arc<C>,
    ) -> Option<Arc<C>> {
        let now = self.provider.now().monotonic;
        if let Some(newest) = rotation.replacement_of(refused, now) {
            return Some(newest);
        }
        let before = rotation.refused(refused, now)?;
        tracing::warn!(
            target: targets::ATTEMPT,
            event = "credential_rejected",
            account = %self.account,
            provider = %self.provider.name(),
            "the provider refuses the newest credential; the previous one stays in use"
        );
        Some(before)
    }

    async fn attempt(
        &self,
        balance: &Balance,
        authorisation: &Authorisation,
        context: &ReadContext,
    ) -> Result<Received, FailedRead> {
        // A hold may have begun while this attempt waited for a slot or a retry.
        self.check_hold().inspect_err(|_| self.note_refused_by_hold())?;
        let settings = &self.provider.settings;
        let request = settings.adapter.request(&settings.balance_endpoint, &balance.selector, authorisation);
        let request = request.map_err(|error| FailedRead::defect(&error))?;
        let call = Call { operation: Operation::Balance, request, gate: &self.gate, context };
        let parse = |answer: Response, sent| self.parse_answer(balance, context, &answer, sent);
        self.provider.attempt(call, parse).await
    }
}

fn is_refused(attempt: &Result<Received, FailedRead>) -> bool {
    attempt.as_ref().is_err_and(|failed| failed.error == UpstreamError::Refused)
}
