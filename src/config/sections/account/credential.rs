//! The credential of an account: the kind of its provider decides which keys it has.

use super::identity::digest;
use crate::config::reader::{Read, Reported, Section, Setting};
use crate::config::sections::kinds;
use crate::config::values::{Secret, SentCertificate};
use crate::providers::declared::Declared;
use crate::providers::{Adapter, Authorisation, Provider, Scheme};
use crate::upstream::{ClientCredentials, Credential};

const TOKEN_KEYS: [&str; 4] = ["token", "client_id", "client_secret", "certificate"];
const KEYS_KEYS: [&str; 2] = ["api_key", "session_token"];
const FOREIGN_FOR_TOKEN: [&str; 4] = ["api_key", "session_token", "secrets", "parameters"];
const FOREIGN_FOR_KEYS: [&str; 6] =
    ["token", "client_id", "client_secret", "certificate", "secrets", "parameters"];

/// Whether this kind of provider accepts such a credential.
pub(in crate::config) fn fits(credential: &Credential, adapter: Read<&Adapter>) -> bool {
    if let Ok(Adapter::Declared(kind)) = adapter {
        return kinds::values_fit(credential, kind);
    }
    let scheme = match credential {
        Credential::Static(Authorisation::Bearer(_)) | Credential::Client(_) => Scheme::Token,
        Credential::Static(Authorisation::Keys { .. }) => Scheme::Keys,
        Credential::Static(Authorisation::Declared { .. }) | Credential::Values(_) => Scheme::Declared,
    };
    adapter.is_ok_and(|adapter| adapter.scheme() == scheme)
}

/// Reads the credential of an account of a declared kind. The keys of built-in kinds are mistakes there.
pub(super) fn read_declared(section: &mut Section<'_>, kind: &Declared) -> Read<Credential> {
    let values = kinds::read_values(section, kind);
    let mut result = values;
    for key in TOKEN_KEYS.into_iter().chain(KEYS_KEYS) {
        if let Some(value) = section.value(key) {
            let expected = "secrets and parameters";
            result = Err(value.wrong(&format!("not for the kind {}, expected {expected}", kind.kind())));
        }
    }
    result
}

/// Every key of a credential as written; the provider's kind accepts some of them.
struct Written {
    token: Read<Option<Secret>>,
    client_id: Read<Option<Secret>>,
    client_secret: Read<Option<Secret>>,
    certificate: Read<Option<SentCertificate>>,
    api_key: Read<Option<Secret>>,
    session_token: Read<Option<Secret>>,
}

pub(super) fn read_credential(section: &mut Section<'_>, adapter: Read<&dyn Provider>) -> Read<Credential> {
    let written = Written {
        token: section.optional("token"),
        client_id: principal(section, "client_id"),
        client_secret: section.optional("client_secret"),
        certificate: section.optional("certificate"),
        api_key: principal(section, "api_key"),
        session_token: section.optional("session_token"),
    };
    // Read here, so that they are reported as not for this kind, and not as unknown keys.
    section.value("secrets");
    section.value("parameters");
    let adapter = adapter?;
    let foreign: &[&str] = match adapter.scheme() {
        Scheme::Token => &FOREIGN_FOR_TOKEN,
        Scheme::Keys | Scheme::Declared => &FOREIGN_FOR_KEYS,
    };
    let mut foreign = foreign.iter().filter(|key| section.has(key)).peekable();
    let has_foreign = foreign.peek().is_some();
    for key in foreign {
        section.wrong(
            key,
            &format!("not for the kind {}, expected {}", adapter.kind(), expected(adapter.scheme())),
        );
    }
    let credential = match adapter.scheme() {
        Scheme::Token if section.has("token") => read_static(section, written),
        Scheme::Token if TOKEN_KEYS.iter().any(|key| section.has(key)) => read_client(section, written),
        Scheme::Keys if KEYS_KEYS.iter().any(|key| section.has(key)) => read_keys(section, written),
        // Another credential was found and reported.
        _ if has_foreign => Err(Reported),
        scheme => Err(section.wrong("", &format!("expected {}", expected(scheme)))),
    };
    credential.and_then(|credential| if has_foreign { Err(Reported) } else { Ok(credential) })
}

/// Reads the identifier of our client at the provider. After it changes, old secrets belong to another client.
fn principal(section: &mut Section<'_>, key: &'static str) -> Read<Option<Secret>> {
    let secret: Read<Option<Secret>> = section.optional(key);
    if let Ok(secret) = &secret {
        let name = secret.as_ref().map(|secret| digest(&secret.0)).unwrap_or_default();
        section.note_destination(key, name);
    }
    secret
}

fn expected(scheme: Scheme) -> &'static str {
    match scheme {
        Scheme::Token => "either token, or client_id and client_secret",
        Scheme::Keys => "api_key and session_token",
        Scheme::Declared => "secrets and parameters",
    }
}

fn read_static(section: &Section<'_>, written: Written) -> Read<Credential> {
    let mut others = TOKEN_KEYS.into_iter().filter(|key| *key != "token" && section.has(key)).peekable();
    let is_alone = others.peek().is_none();
    for key in others {
        section.wrong(key, &format!("not together with token, expected {}", expected(Scheme::Token)));
    }
    let token = written.token?.filter(|_| is_alone).ok_or(Reported)?;
    Ok(Credential::Static(Authorisation::Bearer(token.0)))
}

fn read_client(section: &Section<'_>, written: Written) -> Read<Credential> {
    let id = require(section, "client_id", written.client_id);
    let secret = require(section, "client_secret", written.client_secret);
    let certificate = written.certificate?.map(|certificate| certificate.0);
    Ok(Credential::Client(ClientCredentials { id: id?.0, secret: secret?.0, certificate }))
}

fn read_keys(section: &Section<'_>, written: Written) -> Read<Credential> {
    let api_key = require(section, "api_key", written.api_key);
    let session_token = require(section, "session_token", written.session_token);
    let (api_key, session_token) = (api_key?.0, session_token?.0);
    Ok(Credential::Static(Authorisation::Keys { api_key, session_token }))
}

fn require<T: Setting>(section: &Section<'_>, key: &str, written: Read<Option<T>>) -> Read<T> {
    written?.ok_or_else(|| section.wrong(key, &format!("missing, expected {}", T::EXPECTED)))
}
