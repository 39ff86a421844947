//! One attempt at a balance: with a live token, and once more with a new one after a refusal; then what came is read.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use super::provider::Call;
use super::stop::Stop;
use super::{Balance, Credential, Operation, Sent, Upstream, classify, client, clock};
use crate::domain::{BodyError, Moment, ObservedAt, ParseError, Priority, Reading, Snapshot, UpstreamError};
use crate::providers::{self, Authorisation};

/// A provider whose parts do not add up is logged this often per account.
const MISMATCH_LOG_INTERVAL: Duration = Duration::from_hours(1);

impl Upstream {
    /// One attempt with a live token; with tokens of ours, one more with a new token after a 401 or 403.
    pub(super) async fn authorised_attempt(
        self: &Arc<Self>,
        balance: &Balance,
        priority: Priority,
        deadline: Instant,
    ) -> Result<Sent, Stop> {
        let (authorisation, token) = match &self.credential {
            Credential::Token(token) => (Authorisation::Bearer(token.clone()), None),
            Credential::Keys { api_key, session_token } => {
                let (api_key, session_token) = (api_key.clone(), session_token.clone());
                (Authorisation::Keys { api_key, session_token }, None)
            }
            Credential::Client(credentials) => {
                let token = self.live_token(credentials, priority, deadline).await?;
                (Authorisation::Bearer(token.text.clone()), Some((credentials, token)))
            }
        };
        let result = self.attempt(balance, &authorisation, priority, deadline).await;
        let (Some((credentials, token)), Some(UpstreamError::Refused)) =
            (token, result.as_ref().err().map(|s| s.error))
        else {
            return result;
        };
        let renewed = self.token_after_refusal(credentials, &token, priority, deadline).await?;
        self.attempt(balance, &Authorisation::Bearer(renewed.text.clone()), priority, deadline).await
    }

    async fn attempt(
        &self,
        balance: &Balance,
        authorisation: &Authorisation,
        priority: Priority,
        deadline: Instant,
    ) -> Result<Sent, Stop> {
        let settings = &self.provider.settings;
        let request = providers::request(
            settings.adapter,
            &settings.balance_endpoint,
            &balance.selector,
            authorisation,
        )
        .map_err(|error| Stop::defect(&error))?;
        let call = Call {
            operation: Operation::Balance,
            request: request.map(|()| Vec::new()),
            budget: &self.budget,
            priority,
            deadline,
        };
        let understand = |answer: client::Response, requested_at: Moment| {
            let age = classify::age(&answer.headers);
            if age > self.max_age.get() {
                return Err(UpstreamError::Invalid(ParseError {
                    field: "Age",
                    problem: "older than max_age",
                }));
            }
            let reading =
                settings.adapter.parse(&answer.body, &balance.selector).map_err(|error| match error {
                    BodyError::Invalid(error) => UpstreamError::Invalid(error),
                    BodyError::Status(status) => {
                        let classified =
                            classify::status(Operation::Balance, status, &answer.headers, clock::now().wall);
                        classified.err().unwrap_or(UpstreamError::Status(status))
                    }
                })?;
            let currency = reading.available.currency();
            if *balance.first_currency.get_or_init(|| currency) != currency {
                let problem = "not the one that came back first";
                return Err(UpstreamError::Invalid(ParseError { field: "currency", problem }));
            }
            self.note_oddities(&reading);
            let (name, r#type) = (&settings.name, balance.selector.r#type.as_ref());
            let snapshot = Snapshot::new(&self.account, name, r#type, requested_at.earlier_by(age), reading);
            Ok((snapshot, requested_at.monotonic))
        };
        self.provider.attempt(call, understand).await
    }

    /// Counts what is odd but served as it is.
    fn note_oddities(&self, reading: &Reading) {
        if reading.observed_at == ObservedAt::Unreadable {
            self.provider.metrics.observed_at_unreadable();
        }
        if !reading.is_mismatched() {
            return;
        }
        self.provider.metrics.mismatched();
        let now = clock::now().monotonic;
        let mut logged = self.mismatch_logged.lock().unwrap_or_else(PoisonError::into_inner);
        if logged.is_none_or(|logged| now.saturating_duration_since(logged) >= MISMATCH_LOG_INTERVAL) {
            *logged = Some(now);
            tracing::warn!(
                account = %self.account,
                provider = %self.provider.name(),
                "the provider's total is not its available plus blocked"
            );
        }
    }
}
