//! A snapshot: a provider's report of one balance at one moment, with the body and entity tag for callers.

mod body;

use std::time::Duration;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::currency::Currency;
use super::key::{AccountName, BalanceType, ProviderName};
use super::moment::Moment;
use super::reading::Reading;
use super::turn::Turn;
pub use body::Extended;
use body::{Body, Fields, StoredFields};

/// A provider's report of one balance at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    reading: Reading,
    requested_at: Moment,
    fetched_at: Timestamp,
    turn: Option<Turn>,
    body: Body,
    etag: Bytes,
}

/// A body that [`Snapshot::new`] did not make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the body of a balance")]
pub struct Unrestorable;

impl Snapshot {
    /// Makes the snapshot and its body. `requested_at` is the moment before the upstream request was sent, less any
    /// `Age` of the answer.
    #[must_use]
    pub fn new(
        account: &AccountName,
        provider: &ProviderName,
        r#type: Option<&BalanceType>,
        requested_at: Moment,
        reading: Reading,
    ) -> Self {
        let body = body_of(account, provider, r#type, requested_at, &reading);
        let (etag, fetched_at) = (etag_of(&body.bytes), requested_at.wall);
        Self { reading, requested_at, fetched_at, turn: None, body, etag }
    }

    /// Restores a snapshot of another replica from its body. `requested_at` is the moment by our clocks, `turn` by the
    /// store's.
    ///
    /// # Errors
    /// [`Unrestorable`] when the body is not one that [`Snapshot::new`] makes.
    pub fn restored(body: Vec<u8>, requested_at: Moment, turn: Turn) -> Result<Self, Unrestorable> {
        let body = Body::from_stored(body).ok_or(Unrestorable)?;
        let (reading, fetched_at) =
            StoredFields::parse(&body.json).and_then(StoredFields::into_reading).ok_or(Unrestorable)?;
        let etag = etag_of(&body.bytes);
        Ok(Self { reading, requested_at, fetched_at, turn: Some(turn), body, etag })
    }

    /// The same snapshot with its turn in the shared store's order.
    #[must_use]
    pub fn with_turn(self, turn: Option<Turn>) -> Self {
        Self { turn, ..self }
    }

    /// Its turn in the shared store's order, if it has one.
    #[must_use]
    pub fn turn(&self) -> Option<Turn> {
        self.turn
    }

    /// The time since it was requested: the largest by all clocks, including the clock of the replica that read it.
    #[must_use]
    pub fn age_at(&self, now: Moment) -> Duration {
        let by_wall = Duration::try_from(now.wall.duration_since(self.fetched_at)).unwrap_or_default();
        self.requested_at.age_at(now).max(by_wall)
    }

    /// The difference between its age by the wall clocks of both replicas and its age by this replica's clocks alone.
    #[must_use]
    pub fn age_difference_at(&self, now: Moment) -> Duration {
        let by_wall = now.wall.duration_since(self.fetched_at);
        let by_own_clocks =
            SignedDuration::try_from(self.requested_at.age_at(now)).unwrap_or(SignedDuration::MAX);
        // If `fetched_at` is in the future, the age by the wall clocks is negative.
        by_wall.saturating_sub(by_own_clocks).unsigned_abs()
    }

    /// `fetched_at` of its body: the request time by the clock of the replica that read it.
    #[must_use]
    pub fn fetched_at(&self) -> Timestamp {
        self.fetched_at
    }

    /// The parsed answer of the provider.
    #[must_use]
    pub fn reading(&self) -> &Reading {
        &self.reading
    }

    /// The currency of all its amounts.
    #[must_use]
    pub fn currency(&self) -> Currency {
        self.reading.available.currency()
    }

    /// When the upstream request was sent, less any `Age` of its answer, by our clocks. Demands count from here;
    /// [`Snapshot::age_at`] counts from the earliest moment of any clock.
    #[must_use]
    pub fn requested_at(&self) -> Moment {
        self.requested_at
    }

    /// The JSON body for callers.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.body.bytes
    }

    /// The JSON body as a value, for JSON that embeds it.
    #[must_use]
    pub fn json(&self) -> &RawValue {
        &self.body.json
    }

    /// The JSON body with the fields of `further` appended.
    pub fn extended<T: Serialize>(&self, further: T) -> Extended<'_, T> {
        Extended { body: &self.body.json, further }
    }

    /// The body's strong entity tag, quotes included.
    #[must_use]
    pub fn etag(&self) -> &Bytes {
        &self.etag
    }
}

fn body_of(
    account: &AccountName,
    provider: &ProviderName,
    r#type: Option<&BalanceType>,
    requested_at: Moment,
    reading: &Reading,
) -> Body {
    Body::new(&Fields {
        account,
        provider,
        currency: reading.available.currency(),
        r#type,
        available: reading.available,
        blocked: reading.blocked,
        reserved: reading.reserved,
        processing: reading.processing,
        total: reading.total,
        reported: &reading.reported,
        observed_at: reading.observed_at.instant().map(milliseconds),
        fetched_at: milliseconds(requested_at.wall),
    })
}

/// RFC 3339 in UTC with milliseconds, truncated.
#[must_use]
pub fn milliseconds(instant: Timestamp) -> String {
    format!("{instant:.3}")
}

fn etag_of(body: &[u8]) -> Bytes {
    let digest = Sha256::digest(body);
    let (tag, _) = digest.split_at(16);
    let tag = tag.iter().fold(0_u128, |tag, byte| tag << 8 | u128::from(*byte));
    Bytes::from(format!("\"{tag:032x}\""))
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs some moment")]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::domain::{Amount, ObservedAt};

    fn brl(text: &str) -> Amount {
        Amount::parse(text, Currency::BRL).unwrap()
    }

    fn reading() -> Reading {
        Reading {
            available: brl("48734.90"),
            blocked: Some(brl("0.00")),
            reserved: None,
            processing: None,
            total: Some(brl("48734.90")),
            reported: vec![
                ("grossBalance".into(), "48734.90".to_owned()),
                ("blockedBalance".into(), "0.00".to_owned()),
                ("netBalance".into(), "48734.90".to_owned()),
            ],
            observed_at: ObservedAt::At("2025-11-19T20:18:29.384999Z".parse().unwrap()),
        }
    }

    fn snapshot() -> Snapshot {
        let account = AccountName::parse("treasury-br").unwrap();
        let provider = ProviderName::parse("ntxpay-br").unwrap();
        let wall = "2025-11-19T20:18:29.402Z".parse().unwrap();
        Snapshot::new(&account, &provider, None, Moment { monotonic: Instant::now(), wall }, reading())
    }

    #[test]
    fn the_body_is_exactly_as_documented() {
        let body = String::from_utf8(snapshot().body().to_vec()).unwrap();

        assert_eq!(
            body,
            concat!(
                r#"{"account":"treasury-br","provider":"ntxpay-br","currency":"BRL","type":null,"#,
                r#""available":"48734.90","blocked":"0.00","reserved":null,"processing":null,"total":"48734.90","#,
                r#""reported":{"grossBalance":"48734.90","blockedBalance":"0.00","netBalance":"48734.90"},"#,
                r#""observed_at":"2025-11-19T20:18:29.384Z","fetched_at":"2025-11-19T20:18:29.402Z"}"#
            )
        );
    }

    #[test]
    fn additional_members_follow_the_fields_of_the_body() {
        let body = String::from_utf8(snapshot().body().to_vec()).unwrap();

        let with = serde_json::to_string(&snapshot().extended(serde_json::json!({"status": "OK"}))).unwrap();

        let further = r#","status":"OK"}"#;
        assert_eq!(with, [body.strip_suffix('}').unwrap(), further].concat());
    }

    #[test]
    fn ages_differ_by_the_whole_distance_between_the_clocks() {
        let snapshot = snapshot();
        let requested_at = snapshot.requested_at();
        for (wall_went, went, difference) in [(5000, 5000, 0), (20_000, 5000, 15_000), (-900, 900, 1800)] {
            // Between request and find, the wall clock of the finding replica moved by `wall_went` ms, and time by `went`.
            let wall = snapshot.fetched_at() + SignedDuration::from_millis(wall_went);
            let now = Moment { monotonic: requested_at.monotonic + Duration::from_millis(went), wall };
            let found =
                Snapshot { requested_at: now.earlier_by(Duration::from_millis(went)), ..snapshot.clone() };

            assert_eq!(found.age_difference_at(now), Duration::from_millis(difference), "{wall_went}");
        }
    }

    #[test]
    fn equal_bodies_have_the_same_etag() {
        let (one, same) = (snapshot(), snapshot());

        assert_eq!(one.etag(), same.etag());
        assert_eq!(one.etag().len(), 34);
    }

    #[test]
    fn a_total_that_differs_from_its_parts_is_a_mismatch() {
        assert!(!reading().is_mismatched());
        assert!(Reading { total: Some(brl("48734.91")), ..reading() }.is_mismatched());
        assert!(!Reading { total: None, ..reading() }.is_mismatched());
        assert!(!Reading { total: Some(brl("48734.9")), ..reading() }.is_mismatched());
    }
}
