//! Warnings across sections: accounts without a caller, shared credentials, limits above a provider's budget.

use std::collections::HashMap;

use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};

use super::reader::Remark;
use super::sections::AccountConfig;
use super::whole::Config;
use crate::domain::LimitSettings;
use crate::http::CallerSettings;
use crate::upstream::{BudgetSettings, Credential};

pub(super) fn across(config: &Config) -> Vec<Remark> {
    let unseen =
        config.accounts.iter().filter(|account| !config.callers.iter().any(|caller| sees(caller, account)));
    let unseen = unseen.map(|account| Remark::new(path(account), "no caller may see it".to_owned()));
    unseen.chain(same_credentials(config)).chain(forced_above_budget(config)).collect()
}

fn path(account: &AccountConfig) -> String {
    format!("accounts.{}", account.settings.name)
}

fn sees(caller: &CallerSettings, account: &AccountConfig) -> bool {
    caller.accounts.iter().any(|pattern| pattern.matches(account.settings.name.as_str()))
}

fn same_credentials(config: &Config) -> impl Iterator<Item = Remark> {
    let mut first_with: HashMap<[u8; 32], &AccountConfig> = HashMap::new();
    config.accounts.iter().filter_map(move |account| {
        let first = *first_with.entry(fingerprint(&account.credential)).or_insert(account);
        let is_shared = first.settings.name != account.settings.name;
        let text = format!("has the same credential as {}; each counts its own budget", path(first));
        is_shared.then(|| Remark::new(path(account), text))
    })
}

/// Compared by digest, so that no secret is kept.
fn fingerprint(credential: &Credential) -> [u8; 32] {
    let mut digest = Sha256::new();
    for part in credential.secrets() {
        digest.update(part.expose_secret().len().to_le_bytes());
        digest.update(part.expose_secret());
    }
    digest.finalize().into()
}

fn forced_above_budget(config: &Config) -> impl Iterator<Item = Remark> {
    config.callers.iter().filter_map(|caller| {
        let forced = Some(caller.forced).filter(|_| caller.is_forced_configured)?;
        let too_small = config.accounts.iter().find(|account| {
            sees(caller, account) && budget(config, account).is_some_and(|budget| is_above(forced, budget))
        })?;
        let text = format!("above the budget of {}, which this caller may read", path(too_small));
        Some(Remark::new(format!("callers.{}.forced", caller.name), text))
    })
}

fn budget(config: &Config, account: &AccountConfig) -> Option<BudgetSettings> {
    let provider =
        config.providers.iter().find(|provider| provider.settings.name == account.settings.provider);
    provider.map(|provider| provider.settings.budget)
}

fn is_above(limit: LimitSettings, budget: BudgetSettings) -> bool {
    u128::from(limit.requests) * budget.per.as_nanos() > u128::from(budget.requests) * limit.per.as_nanos()
}
