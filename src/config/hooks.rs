//! `[hooks.NAME]`: what proves a provider's notifications, and whose balances they are about.

mod hmac;
mod secrets;

use http::StatusCode;
use http::header::HeaderName;
use secrecy::SecretString;
use toml::de::DeValue;

use std::time::Duration;

use super::caller::Pattern;
use super::duration::Pause;
use super::reading::{Read, Reported};
use super::section::{Section, Setting, Value};
use super::setting::quoted;
use crate::domain::HookName;
use crate::http::{HookSettings, ProofSettings, SecretHeader};
use hmac::HmacValue;
use secrets::Secrets;

/// A balance is not served longer, so nothing is gained by reading it again later.
const LONGEST_SETTLE: Duration = Duration::from_mins(1);

/// A header's name.
#[derive(Clone)]
struct Header(HeaderName);

impl Setting for Header {
    const EXPECTED: &'static str = "the name of a header";

    fn read(value: &Value<'_>) -> Read<Self> {
        value.text(Self::EXPECTED, |text| text.parse().ok().map(Self))
    }

    fn show(&self) -> String {
        quoted(self.0.as_str())
    }
}

/// A text that is not empty.
struct Text(String);

impl Setting for Text {
    const EXPECTED: &'static str = "a text";

    fn read(value: &Value<'_>) -> Read<Self> {
        value.text(Self::EXPECTED, |text| (!text.is_empty()).then(|| Self(text.to_owned())))
    }

    fn show(&self) -> String {
        quoted(&self.0)
    }
}

/// A status that says that everything went well.
struct Delivered(StatusCode);

impl Setting for Delivered {
    const EXPECTED: &'static str = "a status from 200 to 299";

    fn read(value: &Value<'_>) -> Read<Self> {
        let DeValue::Integer(number) = value.toml() else { return Err(value.expected(Self::EXPECTED)) };
        let status = u16::from_str_radix(number.as_str(), number.radix()).ok();
        let status = status.and_then(|status| StatusCode::from_u16(status).ok());
        let status = status.filter(StatusCode::is_success).ok_or_else(|| value.expected(Self::EXPECTED))?;
        Ok(Self(status))
    }

    fn show(&self) -> String {
        self.0.as_u16().to_string()
    }
}

/// One secret header, or several that must all hold.
struct Headers(Vec<SecretHeader>, String);

impl Setting for Headers {
    const EXPECTED: &'static str = "{ name = \"…\", secret = { file = \"…\" } }, or a list of such headers";

    fn read(value: &Value<'_>) -> Read<Self> {
        let DeValue::Array(_) = value.toml() else {
            let (header, shown) = read_header(value)?;
            return Ok(Self(vec![header], shown));
        };
        let items = value.items(Self::EXPECTED)?;
        if items.is_empty() {
            return Err(value.wrong(&format!("expected at least one, {}", Self::EXPECTED)));
        }
        // Collected first, so that a mistake in one does not hide the next.
        let read: Vec<Read<_>> = items.iter().map(read_header).collect();
        let (headers, shown): (Vec<_>, Vec<_>) =
            read.into_iter().collect::<Read<Vec<_>>>()?.into_iter().unzip();
        Ok(Self(headers, format!("[{}]", shown.join(", "))))
    }

    fn show(&self) -> String {
        self.1.clone()
    }
}

fn read_header(value: &Value<'_>) -> Read<(SecretHeader, String)> {
    let mut section = value.section(Headers::EXPECTED)?;
    let name: Read<Header> = section.required("name");
    let secrets: Read<Secrets> = section.required("secret");
    let shown = section.inline();
    section.close();
    Ok((SecretHeader { name: name?.0, secrets: secrets?.0 }, shown))
}

/// A user and its password, or several during a rotation.
struct Basic {
    user: String,
    passwords: Vec<SecretString>,
    shown: String,
}

impl Setting for Basic {
    const EXPECTED: &'static str = "{ user = \"…\", password = { file = \"…\" } }";

    fn read(value: &Value<'_>) -> Read<Self> {
        let mut section = value.section(Self::EXPECTED)?;
        let user: Read<Text> = section.required("user");
        let user = user.and_then(|Text(user)| {
            if user.contains(':') { Err(section.expected("user", "a name without \":\"")) } else { Ok(user) }
        });
        let passwords: Read<Secrets> = section.required("password");
        let shown = section.inline();
        section.close();
        Ok(Self { user: user?, passwords: passwords?.0, shown })
    }

    fn show(&self) -> String {
        self.shown.clone()
    }
}

/// Reads every hook. Without a listener for them, `[hooks]` is a mistake.
pub(super) fn read_all(tables: Vec<(&str, Section<'_>)>) -> Read<Vec<HookSettings>> {
    let hooks: Vec<_> = tables
        .into_iter()
        .map(|(name, mut section)| {
            let hook = read(name, &mut section);
            section.close_and_show();
            hook
        })
        .collect();
    hooks.into_iter().collect()
}

fn read(name: &str, section: &mut Section<'_>) -> Read<HookSettings> {
    let name = HookName::parse(name).map_err(|error| section.wrong("", &error.to_string()));
    let accounts: Read<Vec<Pattern>> = section.required("accounts");
    let accounts = accounts.and_then(|accounts| {
        if accounts.is_empty() {
            return Err(section.wrong("accounts", &format!("expected at least one, {}", Pattern::EXPECTED)));
        }
        Ok(accounts.into_iter().map(Pattern::into_inner).collect())
    });
    let proof = read_proof(section);
    let event_id: Read<Option<Header>> = section.optional("event_id");
    let settle = section.or("settle", Pause(Duration::from_secs(2))).and_then(|Pause(settle)| {
        if settle <= LONGEST_SETTLE { Ok(settle) } else { Err(section.expected("settle", "at most 1m")) }
    });
    let answer = section.or("answer", Delivered(StatusCode::OK));
    Ok(HookSettings {
        name: name?,
        accounts: accounts?,
        proof: proof?,
        event_id: event_id?.map(|header| header.0),
        settle: settle?,
        answer: answer?.0,
    })
}

fn read_proof(section: &mut Section<'_>) -> Read<ProofSettings> {
    const EXPECTED: &str = "expected exactly one of header, basic and hmac";
    let header: Read<Option<Headers>> = section.optional("header");
    let basic: Read<Option<Basic>> = section.optional("basic");
    let hmac: Read<Option<HmacValue>> = section.optional("hmac");
    let written = ["header", "basic", "hmac"].into_iter().filter(|key| section.has(key)).count();
    if written != 1 {
        return Err(section.wrong("", EXPECTED));
    }
    match (header?, basic?, hmac?) {
        (Some(Headers(headers, _)), ..) => Ok(ProofSettings::Headers(headers)),
        (_, Some(Basic { user, passwords, .. }), _) => Ok(ProofSettings::Basic { user, passwords }),
        (.., Some(hmac)) => Ok(ProofSettings::Hmac(hmac.settings)),
        // One of them is written.
        (None, None, None) => Err(Reported),
    }
}
