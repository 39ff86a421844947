//! Checks an HMAC signature while the body arrives, without storing the body.

use aws_lc_rs::hmac;
use http::request::Parts;
use jiff::Timestamp;
use secrecy::ExposeSecret;
use subtle::{Choice, ConstantTimeEq};

use super::settings::{Digest, HmacSettings};
use super::signature::Signatures;

/// A signing time of this number or more is in milliseconds, a smaller one in seconds.
const MILLISECONDS: i64 = 100_000_000_000;

/// Checks a provider's signatures with the configured keys.
#[derive(Debug)]
pub(super) struct Hmac {
    settings: HmacSettings,
    keys: Vec<hmac::Key>,
}

/// One notification whose body is arriving.
pub(super) struct Verification {
    /// One context for each key.
    contexts: Vec<hmac::Context>,
    /// The signed text after the body; `None` if the body is not signed.
    after: Option<Vec<u8>>,
    given: Vec<Vec<u8>>,
}

impl Hmac {
    pub(super) fn new(settings: HmacSettings) -> Self {
        let algorithm = match settings.digest {
            Digest::Sha256 => hmac::HMAC_SHA256,
            Digest::Sha512 => hmac::HMAC_SHA512,
            Digest::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        };
        let keys = settings.keys.iter().map(|key| hmac::Key::new(algorithm, key.expose_secret())).collect();
        Self { settings, keys }
    }

    /// Begins to check a notification; `None` if the head alone is enough to refuse it.
    pub(super) fn begin(&self, request: &Parts, now: Timestamp) -> Option<Verification> {
        let Signatures { given, timestamp } = Signatures::of(request, &self.settings)?;
        if given.is_empty() || timestamp.is_some_and(|timestamp| !self.is_in_time(timestamp, now)) {
            return None;
        }
        let around = self.settings.signed.fill(request, timestamp)?;
        let begun = |key| {
            let mut context = hmac::Context::with_key(key);
            context.update(&around.before);
            context
        };
        Some(Verification { contexts: self.keys.iter().map(begun).collect(), after: around.after, given })
    }

    /// Whether the signing time is within the tolerance.
    fn is_in_time(&self, timestamp: &[u8], now: Timestamp) -> bool {
        let Some(signed_at) = parse_time(timestamp) else { return false };
        now.duration_since(signed_at).unsigned_abs() <= self.settings.tolerance
    }
}

fn parse_time(text: &[u8]) -> Option<Timestamp> {
    let is_number = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    let number: i64 = std::str::from_utf8(text).ok().filter(|_| is_number)?.parse().ok()?;
    if number >= MILLISECONDS {
        Timestamp::from_millisecond(number).ok()
    } else {
        Timestamp::from_second(number).ok()
    }
}

impl Verification {
    /// Adds a part of the body.
    pub(super) fn add(&mut self, part: &[u8]) {
        if self.after.is_some() {
            self.contexts.iter_mut().for_each(|context| context.update(part));
        }
    }

    /// Whether a signature matches one of the keys. The time that this takes does not depend on which one matches.
    pub(super) fn holds(self) -> bool {
        let Self { contexts, after, given } = self;
        let mut holds = Choice::from(0);
        for mut context in contexts {
            context.update(&after.clone().unwrap_or_default());
            let expected = context.sign();
            for signature in &given {
                holds |= expected.as_ref().ct_eq(signature);
            }
        }
        holds.into()
    }
}

#[cfg(test)]
mod tests;
