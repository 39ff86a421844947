//! `[hooks.NAME]`: how a provider's notifications are proven, and which accounts they concern.

mod hmac;
mod proofs;
mod secrets;
mod values;

use std::time::Duration;

use http::StatusCode;

use super::caller::Pattern;
use crate::config::reader::{Read, Reported, Section, Setting};
use crate::config::values::DurationOrZero;
use crate::domain::HookName;
use crate::http::{HookSettings, ProofSettings};
use hmac::HmacValue;
use proofs::{Basic, Headers};
use values::{Delivered, Header};

/// A balance is not served for longer than this, so a later read would bring nothing.
const LONGEST_SETTLE: Duration = Duration::from_mins(1);

/// Reads every hook. Without a listener for them, `[hooks]` is a mistake.
pub(super) fn read_all(tables: Vec<(&str, Section<'_>)>) -> Read<Vec<HookSettings>> {
    let hooks: Vec<_> = tables
        .into_iter()
        .map(|(name, mut section)| {
            let hook = read(name, &mut section);
            section.close_and_record();
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
            let expected = format!("expected at least one, {}, not an empty list", Pattern::EXPECTED);
            return Err(section.wrong("accounts", &expected));
        }
        Ok(accounts.into_iter().map(Pattern::into_inner).collect())
    });
    let proof = read_proof(section);
    let event_id: Read<Option<Header>> = section.optional("event_id");
    let settle =
        section.or("settle", DurationOrZero(Duration::from_secs(2))).and_then(|DurationOrZero(settle)| {
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
    let header: Read<Option<Headers>> = section.optional("header");
    let basic: Read<Option<Basic>> = section.optional("basic");
    let hmac: Read<Option<HmacValue>> = section.optional("hmac");
    let written: Vec<_> = ["header", "basic", "hmac"].into_iter().filter(|key| section.has(key)).collect();
    if written.len() != 1 {
        let found = if written.is_empty() { "none of them".to_owned() } else { written.join(" and ") };
        return Err(
            section.wrong("", &format!("expected exactly one of header, basic and hmac, found {found}"))
        );
    }
    match (header?, basic?, hmac?) {
        (Some(Headers { headers, .. }), ..) => Ok(ProofSettings::Headers(headers)),
        (_, Some(Basic { user, passwords, .. }), _) => Ok(ProofSettings::Basic { user, passwords }),
        (.., Some(hmac)) => Ok(ProofSettings::Hmac(hmac.settings)),
        // Unreachable: exactly one of them is present.
        (None, None, None) => Err(Reported),
    }
}
