//! The identity of an account: a change of it drops its balances and tokens.

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use crate::config::sections::ProviderConfig;
use crate::providers::{Adapter, Authorisation};
use crate::upstream::Credential;

/// The identity: the settings that decide whose balance the credential shows. Contents of secret sources enter as a
/// digest only.
pub(in crate::config) fn identity(provider: &ProviderConfig, credential: &Credential) -> Vec<String> {
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

pub(in crate::config) fn digest(secret: &SecretString) -> String {
    use std::fmt::Write as _;
    Sha256::digest(secret.expose_secret()).iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
