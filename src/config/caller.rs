//! `[callers.NAME]`: who may ask, for which accounts, and how often.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::num::NonZeroU32;
use std::time::Duration;

use super::reading::Read;
use super::section::{Section, Setting, Value};
use super::setting::quoted;
use crate::domain::CallerName;
use crate::http::{AccountPattern, CallerSettings, LimitSettings};

const LIMIT: LimitSettings = LimitSettings { requests: 600, per: Duration::from_mins(1), burst: 100 };

/// Where each digest was first seen: the key path.
type Seen = HashMap<[u8; 32], String>;

/// SHA-256 of a caller's key.
#[derive(Clone, Copy)]
struct KeyDigest([u8; 32]);

impl Setting for KeyDigest {
    const EXPECTED: &'static str = "the SHA-256 of a key, 64 hex digits (see `balance-gateway new-key`)";

    fn read(value: &Value<'_>) -> Read<Self> {
        value.text(Self::EXPECTED, |text| parse_hex(text).map(Self))
    }

    fn show(&self) -> String {
        // Writing to a string does not fail.
        quoted(&self.0.iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        }))
    }
}

fn parse_hex(text: &str) -> Option<[u8; 32]> {
    let digits: Vec<u8> =
        text.chars().map(|digit| digit.to_digit(16)?.try_into().ok()).collect::<Option<_>>()?;
    let bytes: Vec<u8> =
        digits.chunks(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect();
    if digits.len() == 64 { bytes.try_into().ok() } else { None }
}

/// A pattern, and its text to show.
struct Pattern(AccountPattern, String);

impl Setting for Pattern {
    const EXPECTED: &'static str = "account names, in which * stands for any text";

    fn read(value: &Value<'_>) -> Read<Self> {
        value.text(Self::EXPECTED, |text| Some(Self(AccountPattern::parse(text)?, text.to_owned())))
    }

    fn show(&self) -> String {
        quoted(&self.1)
    }
}

pub(super) fn read_all(
    tables: Vec<(&str, Section<'_>)>,
    replicas: Read<NonZeroU32>,
) -> Read<Vec<CallerSettings>> {
    let mut seen = Seen::new();
    let mut read = |(name, mut section): (&str, Section<'_>)| {
        let caller = read(name, &mut section, replicas, &mut seen);
        section.close_and_show();
        caller
    };
    let callers: Vec<_> = tables.into_iter().map(&mut read).collect();
    callers.into_iter().collect()
}

fn read(
    name: &str,
    section: &mut Section<'_>,
    replicas: Read<NonZeroU32>,
    seen: &mut Seen,
) -> Read<CallerSettings> {
    let name = CallerName::parse(name).map_err(|error| section.wrong("", &error.to_string()));
    let keys = read_keys(section, seen);
    let accounts: Read<Vec<Pattern>> = section.or("accounts", Vec::new());
    let limit = section.or("limit", LIMIT);
    let limit = limit.and_then(|whole| Ok(section.share("limit", whole, replicas?)));
    let forced: Read<Option<LimitSettings>> = section.optional("forced");
    let forced =
        forced.and_then(|whole| whole.map(|whole| Ok(section.share("forced", whole, replicas?))).transpose());

    Ok(CallerSettings {
        name: name?,
        key_digests: keys?.into_iter().map(|digest| digest.0).collect(),
        accounts: accounts?.into_iter().map(|pattern| pattern.0).collect(),
        limit: limit?,
        forced: forced?,
    })
}

fn read_keys(section: &mut Section<'_>, seen: &mut Seen) -> Read<Vec<KeyDigest>> {
    section.unavailable("service_account");
    let missing = format!("expected at least one, {}", KeyDigest::EXPECTED);
    let Some(value) = section.value("keys_sha256") else {
        return Err(section.wrong("keys_sha256", &missing));
    };
    let items = value.items(&format!("a list of {}", KeyDigest::EXPECTED))?;
    if items.is_empty() {
        return Err(value.wrong(&missing));
    }
    let read: Vec<Read<KeyDigest>> = items
        .iter()
        .map(|item| {
            let digest = KeyDigest::read(item)?;
            match seen.insert(digest.0, item.path().to_owned()) {
                None => Ok(digest),
                Some(first) => Err(item.wrong(&format!("expected a key of its own, not the one of {first}"))),
            }
        })
        .collect();
    let digests = read.into_iter().collect::<Read<Vec<KeyDigest>>>()?;
    section.show("keys_sha256", &digests);
    Ok(digests)
}
