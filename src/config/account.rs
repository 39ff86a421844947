//! `[accounts.NAME]`: whose balances they are, and what proves it.

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use super::balances;
use super::duration::Interval;
use super::pem::SentCertificate;
use super::provider::{Known, ProviderConfig};
use super::reading::{Read, Reported};
use super::secret::Secret;
use super::section::{Section, Setting, Value};
use super::setting::quoted;
use crate::domain::AccountName;
use crate::gateway::AccountSettings;
use crate::providers::{Authorisation, Provider, Scheme};
use crate::upstream::{ClientCredentials, Credential, ProviderSettings};

const TOKEN_KEYS: [&str; 4] = ["token", "client_id", "client_secret", "certificate"];
const KEYS_KEYS: [&str; 2] = ["api_key", "session_token"];

/// One account and what it authenticates with.
#[derive(Clone, Debug)]
pub struct AccountConfig {
    /// What it is.
    pub settings: AccountSettings,
    /// What proves to the provider that we may see it.
    pub credential: Credential,
}

/// The name of a provider, as an account has it.
struct ProviderReference(String);

impl Setting for ProviderReference {
    const EXPECTED: &'static str = "the name of a provider";

    fn read(value: &Value<'_>) -> Read<Self> {
        value.text(Self::EXPECTED, |text| Some(Self(text.to_owned())))
    }

    fn show(&self) -> String {
        quoted(&self.0)
    }
}

pub(super) fn read_all(
    tables: Vec<(&str, Section<'_>)>,
    providers: Result<&[Known<'_>], &Reported>,
) -> Read<Vec<AccountConfig>> {
    let read = |(name, mut section): (&str, Section<'_>)| {
        let account = read(name, &mut section, providers);
        section.hide_unset();
        section.close_and_show();
        account
    };
    let accounts: Vec<_> = tables.into_iter().map(read).collect();
    accounts.into_iter().collect()
}

fn read(
    written_name: &str,
    section: &mut Section<'_>,
    providers: Result<&[Known<'_>], &Reported>,
) -> Read<AccountConfig> {
    let name = AccountName::parse(written_name).map_err(|error| section.wrong("", &error.to_string()));
    let provider = read_provider(section, providers);
    let adapter = provider.and_then(|provider| provider.adapter);
    if let Ok(Known { config: Ok(config), .. }) = provider {
        let ProviderSettings { adapter, token_endpoint, .. } = &config.settings;
        section.note_destination("place", [adapter.kind(), &config.base_url, token_endpoint].join(" "));
    }
    let is_enabled = section.or("enabled", true);
    let credential = read_credential(section, adapter);
    let balances = balances::read(section, adapter);
    let watch: Read<Option<Interval>> = section.optional("watch");

    let awaits_secret = credential.is_err() && section.awaits_secret();
    let before = || section.credential_before(written_name).filter(|before| fits(before, adapter)).cloned();
    // None while an account waits for its first.
    let credential = if awaits_secret { Ok(before()) } else { credential.map(Some) };
    if let Ok(Some(credential)) = &credential {
        section.keep_credential(written_name, credential);
    }
    let (provider, credential) = (provider?.config.as_ref().map_err(|reported| *reported)?, credential?);
    let settings = AccountSettings {
        name: name?,
        provider: provider.settings.name.clone(),
        kind: provider.settings.adapter.kind(),
        is_enabled: is_enabled? && provider.is_enabled && credential.is_some(),
        limits: provider.limits,
        // The first credential is no newer one of another.
        identity: credential.as_ref().map(|credential| identity(provider, credential)).unwrap_or_default(),
        balances: balances?,
        watch: watch?.map(|interval| interval.0),
    };
    Ok(AccountConfig { settings, credential: credential.unwrap_or_else(Credential::none) })
}

fn read_provider<'a>(
    section: &mut Section<'_>,
    providers: Result<&'a [Known<'a>], &Reported>,
) -> Read<&'a Known<'a>> {
    let written: Option<ProviderReference> = section.optional("provider")?;
    let providers = providers.map_err(|reported| *reported)?;
    let names: Vec<&str> = providers.iter().map(|provider| provider.name).collect();
    let expected = format!("the name of a provider, one of {}", names.join(", "));
    let Some(ProviderReference(name)) = written else {
        return Err(section.wrong("provider", &format!("missing, expected {expected}")));
    };
    let known = providers.iter().find(|provider| provider.name == name);
    known.ok_or_else(|| section.expected("provider", &expected))
}

/// Whether this kind of provider takes such a credential.
fn fits(credential: &Credential, adapter: Read<&'static dyn Provider>) -> bool {
    let scheme = match credential {
        Credential::Static(Authorisation::Bearer(_)) | Credential::Client(_) => Scheme::Token,
        Credential::Static(Authorisation::Keys { .. }) => Scheme::Keys,
    };
    adapter.is_ok_and(|adapter| adapter.scheme() == scheme)
}

/// What decides whose balance the credential shows. What the secret sources hold enters as a digest only.
fn identity(provider: &ProviderConfig, credential: &Credential) -> Vec<String> {
    let principal = match credential {
        // The account's own name is in its keys already.
        Credential::Static(Authorisation::Bearer(_)) => None,
        Credential::Static(Authorisation::Keys { api_key, .. }) => Some(api_key),
        Credential::Client(client) => Some(&client.id),
    };
    let place = [provider.settings.name.as_str(), &provider.base_url, &provider.balance_path];
    place.into_iter().map(str::to_owned).chain(principal.map(digest)).collect()
}

fn digest(secret: &SecretString) -> String {
    use std::fmt::Write as _;
    Sha256::digest(secret.expose_secret()).iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// Every credential that may be written, of which the provider's kind takes one.
struct Written {
    token: Read<Option<Secret>>,
    client_id: Read<Option<Secret>>,
    client_secret: Read<Option<Secret>>,
    certificate: Read<Option<SentCertificate>>,
    api_key: Read<Option<Secret>>,
    session_token: Read<Option<Secret>>,
}

fn read_credential(section: &mut Section<'_>, adapter: Read<&'static dyn Provider>) -> Read<Credential> {
    let written = Written {
        token: section.optional("token"),
        client_id: principal(section, "client_id"),
        client_secret: section.optional("client_secret"),
        certificate: section.optional("certificate"),
        api_key: principal(section, "api_key"),
        session_token: section.optional("session_token"),
    };
    let adapter = adapter?;
    let foreign: &[&str] = match adapter.scheme() {
        Scheme::Token => &KEYS_KEYS,
        Scheme::Keys => &TOKEN_KEYS,
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
        // What is there instead has been reported.
        _ if has_foreign => Err(Reported),
        scheme => Err(section.wrong("", &format!("expected {}", expected(scheme)))),
    };
    credential.and_then(|credential| if has_foreign { Err(Reported) } else { Ok(credential) })
}

/// Reads what says who we are at the provider. Where it has changed, the other secrets are another client's.
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
    }
}

fn read_static(section: &Section<'_>, written: Written) -> Read<Credential> {
    let mut others = TOKEN_KEYS.into_iter().filter(|key| *key != "token" && section.has(key)).peekable();
    let is_alone = others.peek().is_none();
    for key in others {
        section.wrong(key, &format!("not beside token, expected {}", expected(Scheme::Token)));
    }
    let token = written.token?.filter(|_| is_alone).ok_or(Reported)?;
    Ok(Credential::Static(Authorisation::Bearer(token.0)))
}

fn read_client(section: &Section<'_>, written: Written) -> Read<Credential> {
    let id = must(section, "client_id", written.client_id);
    let secret = must(section, "client_secret", written.client_secret);
    let certificate = written.certificate?.map(|certificate| certificate.0);
    Ok(Credential::Client(ClientCredentials { id: id?.0, secret: secret?.0, certificate }))
}

fn read_keys(section: &Section<'_>, written: Written) -> Read<Credential> {
    let api_key = must(section, "api_key", written.api_key);
    let session_token = must(section, "session_token", written.session_token);
    let (api_key, session_token) = (api_key?.0, session_token?.0);
    Ok(Credential::Static(Authorisation::Keys { api_key, session_token }))
}

fn must<T: Setting>(section: &Section<'_>, key: &str, written: Read<Option<T>>) -> Read<T> {
    written?.ok_or_else(|| section.wrong(key, &format!("missing, expected {}", T::EXPECTED)))
}
