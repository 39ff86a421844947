//! `[callers.NAME]`: a caller, its accounts and its limits.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::num::NonZeroU32;
use std::time::Duration;

use toml::de::DeValue;

use crate::auth::ServiceAccount;
use crate::auth::{AccountPattern, Identity};
use crate::config::reader::{Read, Section, Setting, Value, quoted};
use crate::config::values::Replicas;
use crate::domain::CallerName;
use crate::domain::LimitSettings;
use crate::http::CallerSettings;

const LIMIT: LimitSettings = LimitSettings { requests: 600, per: Duration::from_mins(1), burst: 100 };

/// The effect of `Cache-Control` in a caller's requests.
#[derive(Clone, Copy, PartialEq, Eq)]
enum CacheControl {
    Obeyed,
    Ignored,
}

impl CacheControl {
    fn as_str(self) -> &'static str {
        match self {
            Self::Obeyed => "obeyed",
            Self::Ignored => "ignored",
        }
    }
}

impl Setting for CacheControl {
    const EXPECTED: &'static str = "\"obeyed\" or \"ignored\"";

    fn read(value: &Value<'_>) -> Read<Self> {
        let known = [Self::Obeyed, Self::Ignored];
        value.text(Self::EXPECTED, |text| known.into_iter().find(|known| known.as_str() == text))
    }

    fn show(&self) -> String {
        quoted(self.as_str())
    }
}

/// The forced limit of a caller that configures none: a tenth of its limit.
fn tenth(limit: LimitSettings) -> LimitSettings {
    let tenth = |whole: u32| (whole / 10).max(1);
    LimitSettings { requests: tenth(limit.requests), burst: tenth(limit.burst), ..limit }
}

/// The identities of the callers so far, each with the key path of its first occurrence.
#[derive(Default)]
struct SeenIdentities {
    digests: HashMap<[u8; 32], String>,
    service_accounts: HashMap<ServiceAccount, String>,
    /// Whether `[auth.kubernetes]` is configured.
    accepts_tokens: bool,
}

/// SHA-256 of a caller's key.
#[derive(Clone, Copy)]
struct KeyDigest([u8; 32]);

impl Setting for KeyDigest {
    const EXPECTED: &'static str = "the SHA-256 of a key, 64 hex digits (see `balance-gateway new-key`)";

    fn read(value: &Value<'_>) -> Read<Self> {
        // The value is not shown: it may be a key instead of its digest.
        let DeValue::String(text) = value.toml() else { return Err(value.expected_hiding(Self::EXPECTED)) };
        parse_hex(text).map(Self).ok_or_else(|| {
            value.wrong(&format!("expected {}, not a text of {} characters", Self::EXPECTED, text.len()))
        })
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

impl Setting for ServiceAccount {
    const EXPECTED: &'static str = "a service account as \"namespace/name\"";

    fn read(value: &Value<'_>) -> Read<Self> {
        value.text(Self::EXPECTED, Self::parse)
    }

    fn show(&self) -> String {
        quoted(&self.to_string())
    }
}

/// A pattern and its text.
pub(super) struct Pattern(AccountPattern, String);

impl Pattern {
    /// The pattern itself.
    pub(in crate::config) fn into_inner(self) -> AccountPattern {
        self.0
    }
}

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
    replicas: Read<Replicas>,
    accepts_tokens: bool,
) -> Read<Vec<CallerSettings>> {
    let mut seen = SeenIdentities { accepts_tokens, ..SeenIdentities::default() };
    let mut read = |(name, mut section): (&str, Section<'_>)| {
        let caller = read(name, &mut section, replicas, &mut seen);
        section.close_and_record();
        caller
    };
    let callers: Vec<_> = tables.into_iter().map(&mut read).collect();
    callers.into_iter().collect()
}

fn read(
    name: &str,
    section: &mut Section<'_>,
    replicas: Read<Replicas>,
    seen: &mut SeenIdentities,
) -> Read<CallerSettings> {
    let name = CallerName::parse(name).map_err(|error| section.wrong("", &error.to_string()));
    let identity = read_identity(section, seen);
    let accounts: Read<Vec<Pattern>> = section.or("accounts", Vec::new());
    let limit = section.or("limit", LIMIT);
    let limit = limit.and_then(|whole| Ok(section.share("limit", whole, replicas?)));
    let given: Read<Option<LimitSettings>> = section.optional("forced");
    let is_forced_configured = matches!(given, Ok(Some(_)));
    let cache_control = section.or("cache_control", CacheControl::Obeyed);
    let streams = section.or("streams", NonZeroU32::new(10).unwrap_or(NonZeroU32::MIN));
    let forced = given.and_then(|given| match given {
        Some(whole) => Ok(section.share("forced", whole, replicas?)),
        None => limit.map(tenth).inspect(|forced| section.show("forced", forced)),
    });

    Ok(CallerSettings {
        name: name?,
        identity: identity?,
        accounts: accounts?.into_iter().map(|pattern| pattern.0).collect(),
        limit: limit?,
        forced: forced?,
        is_forced_configured,
        obeys_cache_control: cache_control? == CacheControl::Obeyed,
        streams: usize::try_from(streams?.get()).unwrap_or(usize::MAX),
    })
}

fn read_identity(section: &mut Section<'_>, seen: &mut SeenIdentities) -> Read<Identity> {
    let keys = section.value("keys_sha256");
    let service_account = section.value("service_account");
    match (keys, service_account) {
        (Some(keys), None) => {
            let digests = read_keys(&keys, seen)?;
            section.show("keys_sha256", &digests);
            Ok(Identity::Keys(digests.into_iter().map(|digest| digest.0).collect()))
        }
        (None, Some(value)) => {
            let account = read_service_account(&value, seen)?;
            section.show("service_account", &account);
            Ok(Identity::ServiceAccount(account))
        }
        (None, None) => {
            let missing =
                format!("missing, expected at least one, {}, or service_account", KeyDigest::EXPECTED);
            Err(section.wrong("keys_sha256", &missing))
        }
        (Some(_), Some(account)) => Err(account.wrong("not together with keys_sha256, expected one of them")),
    }
}

fn read_keys(value: &Value<'_>, seen: &mut SeenIdentities) -> Read<Vec<KeyDigest>> {
    let items = value.items(&format!("a list of {}", KeyDigest::EXPECTED))?;
    if items.is_empty() {
        return Err(value.empty(KeyDigest::EXPECTED));
    }
    let read: Vec<Read<KeyDigest>> = items
        .iter()
        .map(|item| {
            let digest = KeyDigest::read(item)?;
            match seen.digests.insert(digest.0, item.path().to_owned()) {
                None => Ok(digest),
                Some(first) => {
                    Err(item.wrong(&format!("expected each key once, but {first} already has it")))
                }
            }
        })
        .collect();
    read.into_iter().collect()
}

fn read_service_account(value: &Value<'_>, seen: &mut SeenIdentities) -> Read<ServiceAccount> {
    let account = ServiceAccount::read(value)?;
    if !seen.accepts_tokens {
        return Err(value
            .wrong("expected [auth.kubernetes], which names the issuer of accepted tokens; it is missing"));
    }
    match seen.service_accounts.insert(account.clone(), value.path().to_owned()) {
        None => Ok(account),
        Some(first) => {
            Err(value.wrong(&format!("expected each service account once, but {first} already has it")))
        }
    }
}
