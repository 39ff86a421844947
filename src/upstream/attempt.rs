//! One attempt at a balance: with a live token, and once more with a new one after a refusal; then what came is read.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::time::{sleep_until, timeout_at};

use super::credentials::Credentials;
use super::gate::Terms;
use super::provider::Call;
use super::rotation::Rotation;
use super::stop::Stop;
use super::transport::Response;
use super::whole::WholeAnswer;
use super::{Balance, Operation, Sent, Token, Upstream, classify, provider};
use crate::domain::{
    BodyError, Failure, Moment, ObservedAt, ParseError, Reading, Snapshot, Turn, UpstreamError,
};
use crate::providers::Authorisation;

/// A provider whose parts do not add up is logged this often per account.
const MISMATCH_LOG_INTERVAL: Duration = Duration::from_hours(1);
/// When a new token that the provider does not accept yet is tried again, from its first refusal on.
const FURTHER_ATTEMPTS: [Duration; 3] =
    [Duration::from_millis(500), Duration::from_secs(1), Duration::from_secs(2)];

impl Upstream {
    /// One attempt with what authorises it now, and one more with what is there in its place after a 401 or 403: a new
    /// token, or the credential before the newest.
    pub(super) async fn authorised_attempt(
        self: &Arc<Self>,
        balance: &Balance,
        terms: &Terms,
    ) -> Result<Sent, Stop> {
        match &*self.credentials {
            Credentials::Client(rotation) => {
                let token = self.live_token(rotation, terms).await?;
                let attempt = self.attempt_with(balance, &token, terms).await;
                if !is_refused(&attempt) || attempt.as_ref().is_err_and(Stop::is_of_new_token) {
                    return attempt;
                }
                let renewed = self.token_after_refusal(rotation, &token, terms).await?;
                self.attempt_with(balance, &renewed, terms).await
            }
            Credentials::Static(rotation) => {
                let now = || self.provider.now().monotonic;
                let chosen = rotation.choose(now());
                let attempt = self.attempt(balance, &chosen, terms).await;
                if attempt.is_ok() {
                    rotation.worked(&chosen, now());
                } else if is_refused(&attempt)
                    && let Some(other) = self.note_refused(rotation, &chosen)
                {
                    let attempt = self.attempt(balance, &other, terms).await;
                    if attempt.is_ok() {
                        rotation.worked(&other, now());
                    }
                    return attempt;
                }
                attempt
            }
        }
    }

    /// One attempt with a token. A new one that the provider does not accept yet makes room for the one before it, or is
    /// tried again after a while.
    async fn attempt_with(&self, balance: &Balance, token: &Arc<Token>, terms: &Terms) -> Result<Sent, Stop> {
        let attempt = self.noted_attempt(balance, token, terms).await;
        let now = self.provider.now().monotonic;
        if !is_refused(&attempt) || !self.tokens.is_settling(token, now) {
            return attempt;
        }
        if let Some(before) = self.tokens.before(token, now) {
            let attempt = self.noted_attempt(balance, &before, terms).await;
            if !is_refused(&attempt) {
                return attempt;
            }
            self.tokens.drop_refused(&before);
        }
        self.attempts_until_settled(balance, token, terms, attempt).await
    }

    /// Tries a new token again until the provider accepts it. One read does so; the others wait for it.
    async fn attempts_until_settled(
        &self,
        balance: &Balance,
        token: &Arc<Token>,
        terms: &Terms,
        mut attempt: Result<Sent, Stop>,
    ) -> Result<Sent, Stop> {
        let turn = timeout_at(terms.deadline.into(), self.tokens.asking.lock()).await;
        let Ok(_turn) = turn else { return attempt.map_err(Stop::of_new_token) };
        let refused_at = self.provider.now().monotonic;
        for after in FURTHER_ATTEMPTS {
            self.not_held()?;
            if token.was_accepted() {
                return self.noted_attempt(balance, token, terms).await;
            }
            let resumes_at = refused_at + after;
            if resumes_at >= terms.deadline {
                break;
            }
            sleep_until(resumes_at.into()).await;
            attempt = self.noted_attempt(balance, token, terms).await;
            if !is_refused(&attempt) {
                return attempt;
            }
        }
        attempt.map_err(Stop::of_new_token)
    }

    /// One attempt with a token; whether the provider accepted it is noted.
    async fn noted_attempt(
        &self,
        balance: &Balance,
        token: &Arc<Token>,
        terms: &Terms,
    ) -> Result<Sent, Stop> {
        let attempt = self.attempt(balance, &token.authorisation(), terms).await;
        if attempt.is_ok() {
            self.tokens.accepted(token);
        }
        attempt
    }

    /// The credential to use in the place of one that the provider refused: the newest where an older one was refused,
    /// else the one before the newest, with a warning in the log.
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
            event = "credential_rejected",
            account = %self.account,
            provider = %self.provider.name(),
            "the provider refuses the newer credential; the one before it is used on"
        );
        Some(before)
    }

    async fn attempt(
        &self,
        balance: &Balance,
        authorisation: &Authorisation,
        terms: &Terms,
    ) -> Result<Sent, Stop> {
        // A slot or a retry may have been waited for.
        self.not_held().inspect_err(|_| self.note_refused_by_hold())?;
        let settings = &self.provider.settings;
        let request = settings.adapter.request(&settings.balance_endpoint, &balance.selector, authorisation);
        let request = request.map_err(|error| Stop::defect(&error))?;
        let call = Call { operation: Operation::Balance, request, gate: &self.gate, terms };
        let understand = |answer: Response, sent: provider::Sent| {
            let age = classify::age(&answer.headers);
            if age > self.max_age.get() {
                return Err(UpstreamError::Invalid(ParseError {
                    field: "Age",
                    problem: "older than max_age",
                }));
            }
            let turn = terms
                .number
                .zip(sent.instant)
                .map(|(number, instant)| Turn { number, instant: instant.earlier_by(age) });
            self.note_whole(&answer.body, sent.at, age, turn);
            let reading =
                settings.adapter.parse(&answer.body, &balance.selector).map_err(|error| match error {
                    BodyError::Invalid(error) => UpstreamError::Invalid(error),
                    BodyError::Status(status) => {
                        let classified = classify::status(
                            Operation::Balance,
                            status,
                            &answer.headers,
                            self.provider.now().wall,
                        );
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
            let snapshot = Snapshot::new(&self.account, name, r#type, sent.at.earlier_by(age), reading);
            Ok((snapshot.with_turn(turn), sent.at.monotonic))
        };
        self.provider.attempt(call, understand).await
    }

    /// Where one answer holds every balance: notes what it says of each. One that it does not hold fails alone.
    fn note_whole(&self, body: &[u8], sent_at: Moment, age: Duration, turn: Option<Turn>) {
        let Some(whole) = &self.whole else { return };
        let (settings, now) = (&self.provider.settings, self.provider.now().monotonic);
        let read = |balance: &Balance| match settings.adapter.parse(body, &balance.selector) {
            Ok(reading) => {
                balance.holds.end(sent_at.monotonic);
                let r#type = balance.selector.r#type.as_ref();
                let requested_at = sent_at.earlier_by(age);
                let snapshot = Snapshot::new(&self.account, &settings.name, r#type, requested_at, reading);
                Ok(Arc::new(snapshot.with_turn(turn)))
            }
            Err(error) => {
                let error = match error {
                    BodyError::Invalid(error) => UpstreamError::Invalid(error),
                    BodyError::Status(status) => UpstreamError::Status(status),
                };
                let retry_at = match error {
                    UpstreamError::Invalid(_) => {
                        balance.holds.begin(error, error.hold(), sent_at.monotonic, now)
                    }
                    _ => None,
                };
                Err(Failure { error, retry_at, is_held: retry_at.is_some(), was_called: true })
            }
        };
        let balances = self.balances.iter().map(read).collect();
        whole.note(WholeAnswer::new(sent_at.monotonic, now, balances));
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
        let now = self.provider.now().monotonic;
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

fn is_refused(attempt: &Result<Sent, Stop>) -> bool {
    attempt.as_ref().is_err_and(|stop| stop.error == UpstreamError::Refused)
}
