//! `[shared]`: the store that several replicas share.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::GeneralPurpose;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use secrecy::SecretBox;
use toml::de::DeValue;

use crate::config::reader::{Read, Section, Setting, Value, quoted};
use crate::config::values::{Authority, MASK, Placeholder, Replicas, Source, visible, without_newline};
use crate::shared::{SharedKey, SharedSettings, StoreUrl};

const TIMEOUTS: std::ops::RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(1);
/// Accepts both base64 alphabets, with or without padding.
const ALPHABETS: [GeneralPurpose; 4] = [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD];

/// The URL of the store: a secret, or a text without a password.
struct Url {
    url: StoreUrl,
    is_secret: bool,
}

impl Setting for Url {
    const EXPECTED: &'static str = "{ env = \"…\" } or { file = \"…\" }, or a text without a password";

    fn read(value: &Value<'_>) -> Read<Self> {
        let expected = format!("expected {}", StoreUrl::EXPECTED);
        if let DeValue::String(text) = value.toml() {
            let url = StoreUrl::parse(text).ok_or_else(|| value.expected(StoreUrl::EXPECTED))?;
            return if url.has_password() {
                Err(value
                    .wrong("expected no password here: secrets come from a file or the environment only"))
            } else {
                Ok(Self { url, is_secret: false })
            };
        }
        let source = Source::read(value)?;
        let url = source.read_as(value, |contents, source| {
            StoreUrl::parse(visible(contents, source)?).ok_or_else(|| format!("{expected} in {source}"))
        })?;
        source.warn_if_open(value);
        Ok(Self { url, is_secret: true })
    }

    fn show(&self) -> String {
        if self.is_secret { MASK.to_owned() } else { quoted(&self.url.to_string()) }
    }
}

/// One key, or several during a rotation.
struct Keys(Vec<Arc<SharedKey>>);

impl Setting for Keys {
    const EXPECTED: &'static str = "32 random bytes in base64, or a list of such keys";

    fn read(value: &Value<'_>) -> Read<Self> {
        let DeValue::Array(_) = value.toml() else { return Ok(Self(vec![read_key(value)?])) };
        let items = value.items(Self::EXPECTED)?;
        if items.is_empty() {
            return Err(value.empty(Self::EXPECTED));
        }
        // Collected first, so that a mistake in one does not hide the next.
        let keys: Vec<Read<_>> = items.iter().map(read_key).collect();
        Ok(Self(keys.into_iter().collect::<Read<_>>()?))
    }

    fn show(&self) -> String {
        if let [_] = self.0.as_slice() {
            MASK.to_owned()
        } else {
            format!("[{}]", vec![MASK; self.0.len()].join(", "))
        }
    }
}

fn read_key(value: &Value<'_>) -> Read<Arc<SharedKey>> {
    let source = Source::read(value)?;
    let Key(key) = source.read_as(value, |contents, source| {
        let bytes = ALPHABETS.iter().find_map(|alphabet| alphabet.decode(without_newline(contents)).ok());
        let bytes =
            bytes.ok_or_else(|| format!("expected 32 bytes in base64, but {source} is not base64"))?;
        let count = bytes.len();
        let key =
            bytes.try_into().map_err(|_| format!("expected 32 bytes in base64, not {count} in {source}"))?;
        Ok(Key(Arc::new(SecretBox::new(Box::new(key)))))
    })?;
    source.warn_if_open(value);
    Ok(key)
}

/// One key of the store.
struct Key(Arc<SharedKey>);

impl Placeholder for Key {
    fn placeholder(_: &Source) -> Self {
        Self(Arc::new(SecretBox::new(Box::new([0; 32]))))
    }
}

impl Placeholder for StoreUrl {
    fn placeholder(_: &Source) -> Self {
        Self::local()
    }
}

/// The prefix of every key in the store.
struct Prefix(String);

impl Setting for Prefix {
    const EXPECTED: &'static str = "1 to 64 of A-Z, a-z, 0-9, '.', '_', ':' and '-'";

    fn read(value: &Value<'_>) -> Read<Self> {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte);
        value.text(Self::EXPECTED, |text| {
            ((1..=64).contains(&text.len()) && text.bytes().all(legal)).then(|| Self(text.to_owned()))
        })
    }

    fn show(&self) -> String {
        quoted(&self.0)
    }
}

pub(in crate::config) fn read(mut section: Section<'_>, replicas: Read<Replicas>) -> Read<SharedSettings> {
    let url: Read<Url> = section.required("url");
    if url.as_ref().is_ok_and(|url| url.url.shows_password()) {
        section.warn("url", "the password travels unencrypted to another machine; use rediss://");
    }
    let ca: Read<Option<Authority>> = section.optional("ca");
    let keys = section.required("key");
    let prefix = section.or("prefix", Prefix("balance-gateway".to_owned()));
    let timeout = section.or("timeout", Duration::from_millis(30)).and_then(|timeout| {
        if TIMEOUTS.contains(&timeout) { Ok(timeout) } else { Err(section.expected("timeout", "1ms to 1s")) }
    });
    let replicas = replicas.map(|replicas| replicas.count);
    if replicas == Ok(NonZeroU32::MIN) {
        section.warn(
            "",
            "server.replicas is 1: while the store is unavailable, each replica uses the whole budget",
        );
    }
    section.close_and_record();
    let (Url { url, .. }, Keys(keys), Prefix(prefix)) = (url?, keys?, prefix?);
    Ok(SharedSettings { url, ca: ca?.map(|ca| ca.pem), keys, prefix, timeout: timeout?, replicas: replicas? })
}
