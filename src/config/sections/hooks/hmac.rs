//! `hmac` of a hook: how a provider signs.

use std::time::Duration;

use secrecy::SecretSlice;

use super::secrets::{each, masked};
use super::values::{Header, Text};
use crate::config::reader::{Read, Section, Setting, Value, quoted};
use crate::config::values::{Source, visible};
use crate::http::{Digest, Encoding, HmacSettings, Template};

/// How a provider signs, with the effective text.
pub(super) struct HmacValue {
    pub(in crate::config) settings: HmacSettings,
    shown: String,
}

/// One of several values, each named by a word.
trait Choice: Copy + 'static {
    const WORDS: &'static [(&'static str, Self)];
    const EXPECTED: &'static str;
}

/// The chosen value and its word.
struct Chosen<T>(T, &'static str);

impl<T: Choice> Setting for Chosen<T> {
    const EXPECTED: &'static str = T::EXPECTED;

    fn read(value: &Value<'_>) -> Read<Self> {
        value.text(Self::EXPECTED, |text| {
            let (word, chosen) = T::WORDS.iter().find(|(word, _)| *word == text)?;
            Some(Self(*chosen, word))
        })
    }

    fn show(&self) -> String {
        quoted(self.1)
    }
}

impl Choice for Digest {
    const WORDS: &'static [(&'static str, Self)] =
        &[("sha256", Self::Sha256), ("sha512", Self::Sha512), ("sha1", Self::Sha1)];
    const EXPECTED: &'static str = "\"sha256\", \"sha512\" or \"sha1\"";
}

impl Choice for Encoding {
    const WORDS: &'static [(&'static str, Self)] = &[("hex", Self::Hex), ("base64", Self::Base64)];
    const EXPECTED: &'static str = "\"hex\" or \"base64\"";
}

/// How the text of a key becomes its bytes.
#[derive(Clone, Copy)]
struct KeyForm(Option<Encoding>);

impl Choice for KeyForm {
    const WORDS: &'static [(&'static str, Self)] =
        &[("text", Self(None)), ("hex", Self(Some(Encoding::Hex))), ("base64", Self(Some(Encoding::Base64)))];
    const EXPECTED: &'static str = "\"text\", \"hex\" or \"base64\"";
}

impl Setting for Template {
    const EXPECTED: &'static str = Self::EXPECTED;

    fn read(value: &Value<'_>) -> Read<Self> {
        value.text(Self::EXPECTED, |text| text.parse().ok())
    }

    fn show(&self) -> String {
        quoted(&self.to_string())
    }
}

/// A text that may be empty.
struct Prefix(String);

impl Setting for Prefix {
    const EXPECTED: &'static str = "a text";

    fn read(value: &Value<'_>) -> Read<Self> {
        value.text(Self::EXPECTED, |text| Some(Self(text.to_owned())))
    }

    fn show(&self) -> String {
        quoted(&self.0)
    }
}

impl Setting for HmacValue {
    const EXPECTED: &'static str = "{ header = \"…\", secret = { file = \"…\" } }";

    fn read(value: &Value<'_>) -> Read<Self> {
        let mut section = value.section(Self::EXPECTED)?;
        let header: Read<Header> = section.required("header");
        let prefix = section.or("prefix", Prefix(String::new()));
        let form = section.or("key", Chosen(KeyForm(None), "text"));
        let keys = read_keys(&mut section, form.as_ref().map_or(KeyForm(None), |form| form.0));
        let digest = section.or("digest", Chosen(Digest::Sha256, "sha256"));
        let encoding = section.or("encoding", Chosen(Encoding::Hex, "hex"));
        let signed = section.or("signed", Template::body());
        let timestamp: Read<Option<Text>> = section.optional("timestamp");
        let tolerance = section.or("tolerance", Duration::from_mins(5));
        if let (Ok(signed), Ok(None)) = (&signed, &timestamp)
            && signed.has_timestamp()
        {
            section.wrong("timestamp", "missing, expected the place of the time that signed names");
        }
        if let (Ok(signed), Ok(Some(Text(name)))) = (&signed, &timestamp)
            && !signed.has_timestamp()
            && !signed.has_header(name)
        {
            let text = "signed does not contain the timestamp: a replayed notification with a new time would be accepted";
            section.warn("timestamp", text);
        }
        section.hide_unset();
        let shown = section.inline();
        section.close();
        let settings = HmacSettings {
            header: header?.0,
            prefix: prefix?.0,
            keys: keys?,
            digest: digest?.0,
            encoding: encoding?.0,
            signed: signed?,
            timestamp: timestamp?.map(|timestamp| timestamp.0),
            tolerance: tolerance?,
        };
        Ok(Self { settings, shown })
    }

    fn show(&self) -> String {
        self.shown.clone()
    }
}

fn read_keys(section: &mut Section<'_>, form: KeyForm) -> Read<Vec<SecretSlice<u8>>> {
    let Some(value) = section.value("secret") else {
        return Err(
            section.wrong("secret", &format!("missing, expected {}", crate::config::values::SECRET_FORMS))
        );
    };
    // Collected first, so that a mistake in one does not hide the next.
    let keys: Vec<Read<_>> = each(&value)?.iter().map(|value| read_key(value, form)).collect();
    let keys: Vec<_> = keys.into_iter().collect::<Read<_>>()?;
    section.show_text("secret", masked(keys.len()));
    Ok(keys)
}

fn read_key(value: &Value<'_>, form: KeyForm) -> Read<SecretSlice<u8>> {
    let source = Source::read(value)?;
    let key = source.read_as(value, |contents, source| {
        let text = visible(contents, source)?.as_bytes();
        let key = match form.0 {
            None => Some(text.to_vec()),
            Some(encoding) => encoding.decode(text).filter(|key| !key.is_empty()),
        };
        key.map(SecretSlice::from)
            .ok_or_else(|| format!("expected a key in the form that `key` names in {source}"))
    })?;
    source.warn_if_open(value);
    Ok(key)
}
