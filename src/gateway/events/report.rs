//! A snapshot with the alert levels of its balance, and its text, which is made once for all subscriptions.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;

use crate::domain::{AlertLevels, Limits, Moment, Snapshot};
use crate::gateway::reconciliation::Finding;

/// A snapshot with the alert levels of its balance, and its text, which is made once for all subscriptions.
#[derive(Debug)]
pub struct Report {
    /// The snapshot.
    pub snapshot: Arc<Snapshot>,
    levels: AlertLevels,
    text: OnceLock<Bytes>,
}

impl Report {
    pub(super) fn new(snapshot: Arc<Snapshot>, levels: AlertLevels) -> Self {
        Self { snapshot, levels, text: OnceLock::new() }
    }

    /// Returns the report's text. The first call makes it: `write` gets the JSON of the balance as in the
    /// reconciliation report.
    pub fn text(&self, write: impl FnOnce(&[u8]) -> Bytes) -> Bytes {
        let made = || {
            let finding = Finding::of(self.snapshot.reading(), &self.levels);
            // Texts and numbers serialise without failing.
            write(&serde_json::to_vec(&self.snapshot.extended(finding)).unwrap_or_default())
        };
        self.text.get_or_init(made).clone()
    }

    /// How long an event with this report may still be written; `None` when its snapshot has reached the ceiling.
    #[must_use]
    pub fn left(&self, limits: Limits, now: Moment) -> Option<Duration> {
        let age = self.snapshot.age_at(now);
        limits.max_age.allows(age).then(|| limits.max_age.get().saturating_sub(age))
    }

    /// Whether another report is of the same snapshot.
    pub(super) fn is_of_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.snapshot, &other.snapshot) || self.snapshot.etag() == other.snapshot.etag()
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs some moment")]
pub(super) mod tests {
    use super::*;
    use crate::domain::{AccountName, Amount, Currency, Moment, ObservedAt, ProviderName, Reading};

    /// A report of a balance with this available amount.
    pub(in crate::gateway::events) fn report(available: &str) -> Arc<Report> {
        let reading = Reading {
            available: Amount::parse(available, Currency::BRL).unwrap(),
            blocked: None,
            reserved: None,
            processing: None,
            total: None,
            reported: Vec::new(),
            observed_at: ObservedAt::Undocumented,
        };
        let moment = Moment { monotonic: std::time::Instant::now(), wall: jiff::Timestamp::UNIX_EPOCH };
        let (account, provider) = (AccountName::parse("a").unwrap(), ProviderName::parse("p").unwrap());
        let snapshot = Snapshot::new(&account, &provider, None, moment, reading);
        Arc::new(Report::new(Arc::new(snapshot), AlertLevels::default()))
    }

    #[test]
    fn a_report_is_written_once() {
        let report = report("1.00");

        let first = report.text(Bytes::copy_from_slice);
        let second = report.text(|_| Bytes::from_static(b"again"));

        assert!(first.ends_with(br#","status":"OK","blocked_percentage":null,"alerts":[]}"#), "{first:?}");
        assert_eq!(first, second);
    }
}
