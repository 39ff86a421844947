//! Turns an answer to a balance call into a snapshot, or into the reason why there is none.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::whole::WholeAnswer;
use crate::domain::{
    BodyError, Failure, Moment, ObservedAt, ParseError, Reading, Snapshot, Turn, UpstreamError,
};
use crate::metrics::Operation;
use crate::upstream::call::SentAt;
use crate::upstream::failure::classify;
use crate::upstream::network::Response;
use crate::upstream::read_context::ReadContext;
use crate::upstream::{Balance, Received, Upstream, targets};

/// Shortest time between two log lines about an account whose amounts do not add up.
const MISMATCH_LOG_INTERVAL: Duration = Duration::from_hours(1);

impl Upstream {
    /// The snapshot of an answer, with the time when its request was sent.
    pub(in crate::upstream) fn parse_answer(
        &self,
        balance: &Balance,
        context: &ReadContext,
        answer: &Response,
        sent: SentAt,
    ) -> Result<Received, UpstreamError> {
        let settings = &self.provider.settings;
        let age = classify::age(&answer.headers);
        if age > self.max_age.get() {
            return Err(UpstreamError::Invalid(ParseError { field: "Age", problem: "older than max_age" }));
        }
        let turn = context
            .number
            .zip(sent.store_time)
            .map(|(number, instant)| Turn { number, instant: instant.earlier_by(age) });
        self.note_whole(&answer.body, sent.moment, age, turn);
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
            let problem = "differs from the first answer's";
            return Err(UpstreamError::Invalid(ParseError { field: "currency", problem }));
        }
        self.note_oddities(&reading);
        let (name, r#type) = (&settings.name, balance.selector.r#type.as_ref());
        let snapshot = Snapshot::new(&self.account, name, r#type, sent.moment.earlier_by(age), reading);
        Ok(Received { snapshot: snapshot.with_turn(turn), sent_at: sent.moment.monotonic })
    }

    /// If one answer holds every balance, keeps all of them for the other reads. A missing balance fails alone.
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

    /// Counts oddities that do not stop the balance from being served.
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
                target: targets::ATTEMPT,
                account = %self.account,
                provider = %self.provider.name(),
                "the provider's total does not equal available plus blocked"
            );
        }
    }
}
