//! `[accounts.NAME]`: an account, its provider and its credential.

mod alerts;
mod balances;
mod credential;
mod identity;

use super::provider::PartlyReadProvider;
use crate::config::reader::{Read, Reported, Section, Setting, Value, quoted};
use crate::config::values::Interval;
use crate::domain::AccountName;
use crate::gateway::AccountSettings;
use crate::providers::{Adapter, Provider};
use crate::upstream::{Credential, ProviderSettings};
use credential::{fits, read_credential, read_declared};
use identity::identity;

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
    providers: Result<&[PartlyReadProvider<'_>], &Reported>,
) -> Read<Vec<AccountConfig>> {
    let read = |(name, mut section): (&str, Section<'_>)| {
        let account = read(name, &mut section, providers);
        section.hide_unset();
        section.close_and_record();
        account
    };
    let accounts: Vec<_> = tables.into_iter().map(read).collect();
    accounts.into_iter().collect()
}

fn read(
    written_name: &str,
    section: &mut Section<'_>,
    providers: Result<&[PartlyReadProvider<'_>], &Reported>,
) -> Read<AccountConfig> {
    let name = AccountName::parse(written_name).map_err(|error| section.wrong("", &error.to_string()));
    let provider = read_provider(section, providers);
    let known = provider.and_then(|provider| provider.adapter.as_ref().map_err(|reported| *reported));
    let adapter: Read<&dyn Provider> = known.map(|adapter| &**adapter);
    if let Ok(PartlyReadProvider { config: Ok(config), .. }) = provider {
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
        // Without a credential yet, the account has an empty identity.
        identity: credential.as_ref().map(|credential| identity(provider, credential)).unwrap_or_default(),
        balances: balances?,
        watch: watch?.map(|interval| interval.0),
    };
    Ok(AccountConfig { settings, credential: credential.unwrap_or_else(Credential::none) })
}

fn read_provider<'a>(
    section: &mut Section<'_>,
    providers: Result<&'a [PartlyReadProvider<'a>], &Reported>,
) -> Read<&'a PartlyReadProvider<'a>> {
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

/// The places that receive the secrets of a declared kind, below its base URL or on another host.
fn paths_of(adapter: &Adapter) -> String {
    match adapter {
        Adapter::Declared(kind) => kind.destination(),
        Adapter::BuiltIn(_) => String::new(),
    }
}
