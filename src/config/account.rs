//! `[accounts.NAME]`: an account, its provider and its credential.

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use super::balances;
use super::duration::Interval;
use super::kinds;
use super::pem::SentCertificate;
use super::provider::{Known, ProviderConfig};
use super::reading::{Read, Reported};
use super::secret::Secret;
use super::section::{Section, Setting, Value};
use super::setting::quoted;
use crate::domain::AccountName;
use crate::gateway::AccountSettings;
use crate::providers::declared::Declared;
use crate::providers::{Adapter, Authorisation, Provider, Scheme};
use crate::upstream::{ClientCredentials, Credential, ProviderSettings};

const TOKEN_KEYS: [&str; 4] = ["token", "client_id", "client_secret", "certificate"];
const KEYS_KEYS: [&str; 2] = ["api_key", "session_token"];
const FOREIGN_FOR_TOKEN: [&str; 4] = ["api_key", "session_token", "secrets", "parameters"];
const FOREIGN_FOR_KEYS: [&str; 6] =
    ["token", "client_id", "client_secret", "certificate", "secrets", "parameters"];

/// One account with its credential.
#[derive(Clone, Debug)]
pub struct AccountConfig {
    /// The settings of the account.
    pub settings: AccountSettings,
    /// The credential.
    pub credential: Credential,
}

/// The name of a provider in an account.
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
    let known = provider.and_then(|provider| provider.adapter.as_ref().map_err(|reported| *reported));
    let adapter: Read<&dyn Provider> = known.map(|adapter| &**adapter);
    if let Ok(Known { config: Ok(config), .. }) = provider {
        let ProviderSettings { adapter, token_endpoint, .. } = &config.settings;
        let place = [adapter.kind(), &config.base_url, token_endpoint, &paths_of(adapter)];
        section.note_destination("place", place.join(" "));
    }
    let is_enabled = section.or("enabled", true);
    let credential = match known {
        Ok(Adapter::Declared(kind)) => read_declared(section, kind),
        _ => read_credential(section, adapter),
    };
    let balances = match known {
        Ok(Adapter::Declared(kind)) => balances::read_declared(section, kind),
        _ => balances::read(section, adapter),
    };
    let watch: Read<Option<Interval>> = section.optional("watch");

    let awaits_secret = credential.is_err() && section.awaits_secret();
    let before = || section.credential_before(written_name).filter(|before| fits(before, known)).cloned();
    // None while a new account waits for its first secret.
    let credential = if awaits_secret { Ok(before()) } else { credential.map(Some) };
    if let Ok(Some(credential)) = &credential {
        section.keep_credential(written_name, credential);
    }
    let (provider, credential) = (provider?.config.as_ref().map_err(|reported| *reported)?, credential?);
    let settings = AccountSettings {
        name: name?,
        provider: provider.settings.name.clone(),
        kind: provider.settings.adapter.kind().into(),
        lags: provider.settings.adapter.lag().is_some(),
        is_enabled: is_enabled? && provider.is_enabled && credential.is_some(),
        limits: provider.limits,
        // The first credential replaces no other.
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

/// Whether this kind of provider accepts such a credential.
fn fits(credential: &Credential, adapter: Read<&Adapter>) -> bool {
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

/// The places that receive the secrets of a declared kind, below its base URL or on another host.
fn paths_of(adapter: &Adapter) -> String {
    match adapter {
        Adapter::Declared(kind) => kind.destination(),
        Adapter::BuiltIn(_) => String::new(),
    }
}

/// Reads an account of a declared kind. The keys of built-in kinds are mistakes there.
fn read_declared(section: &mut Section<'_>, kind: &Declared) -> Read<Credential> {
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

/// The identity: the settings that decide whose balance the credential shows. Contents of secret sources enter as a
/// digest only.
fn identity(provider: &ProviderConfig, credential: &Credential) -> Vec<String> {
    if let Adapter::Declared(kind) = &provider.settings.adapter {
        let values = match credential {
            Credential::Values(values) | Credential::Static(Authorisation::Declared { values, .. }) => {
                values.parameters().map(str::to_owned).collect()
            }
            Credential::Static(Authorisation::Bearer(_) | Authorisation::Keys { .. })
            | Credential::Client(_) => Vec::new(),
        };
        let place = [provider.settings.name.as_str(), &provider.base_url, kind.digest()];
        return place.into_iter().map(str::to_owned).chain(values).collect();
    }
    let principal = match credential {
        // The account's name is already in its cache keys.
        Credential::Static(Authorisation::Bearer(_) | Authorisation::Declared { .. })
        | Credential::Values(_) => None,
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

/// Reads every possible credential; the provider's kind accepts one of them.
struct Written {
    token: Read<Option<Secret>>,
    client_id: Read<Option<Secret>>,
    client_secret: Read<Option<Secret>>,
    certificate: Read<Option<SentCertificate>>,
    api_key: Read<Option<Secret>>,
    session_token: Read<Option<Secret>>,
}

fn read_credential(section: &mut Section<'_>, adapter: Read<&dyn Provider>) -> Read<Credential> {
    let written = Written {
        token: section.optional("token"),
        client_id: principal(section, "client_id"),
        client_secret: section.optional("client_secret"),
        certificate: section.optional("certificate"),
        api_key: principal(section, "api_key"),
        session_token: section.optional("session_token"),
    };
    // Read here, so that a message can name their purpose.
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
