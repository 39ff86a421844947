//! The problems that an operator should look at first.

use jiff::Timestamp;

use super::instance::Instance;
use super::time;
use crate::gateway::{AccountStatus, ProviderStatus, Status};

/// One sentence per problem, those with the widest effect first.
pub(super) fn problems(status: &Status, instance: &Instance, now: Timestamp) -> Vec<String> {
    let mut found = Vec::new();
    if instance.is_draining {
        found.push("This instance is shutting down.".to_owned());
    }
    if instance.is_sharing == Some(false) {
        found.push("This instance does not reach the shared store. It serves alone.".to_owned());
    }
    if instance.rejected_reloads > 0 {
        let times = instance.rejected_reloads;
        found
            .push(format!("{times} changed configurations were rejected since the start; the log says why."));
    }
    found.extend(status.providers.iter().filter_map(|provider| of_provider(provider, now)));
    found.extend(status.accounts.iter().filter(|account| account.enabled).flat_map(|a| of_account(a, now)));
    found
}

fn of_provider(provider: &ProviderStatus, now: Timestamp) -> Option<String> {
    let name = &provider.provider;
    if provider.breaker_level > 0 {
        return Some(format!("{name}: the breaker is open. Reads fail until a probe succeeds."));
    }
    let (failed_at, reason) = (provider.last_failure?, provider.last_failure_reason.as_ref()?);
    let has_recovered = provider.last_success.is_some_and(|success| success > failed_at);
    (!has_recovered)
        .then(|| format!("{name}: the last call failed {}: {reason}.", time::relative(failed_at, now)))
}

fn of_account(account: &AccountStatus, now: Timestamp) -> Vec<String> {
    let name = &account.account;
    let mut found = Vec::new();
    if account.credential_rejected {
        found.push(format!("{name}: the provider refused the new credential; the old one is in use."));
    }
    if let Some(expiry) = account.token_expires_at.filter(|expiry| *expiry <= now) {
        found.push(format!("{name}: the token expired {}.", time::relative(expiry, now)));
    }
    if is_budget_low(account) {
        let (remaining, limit) = (account.budget_remaining, account.budget_limit);
        found.push(format!("{name}: {remaining} of {limit} calls are left in the budget."));
    }
    found
}

/// Whether less than a quarter of the account's budget is left.
pub(super) fn is_budget_low(account: &AccountStatus) -> bool {
    u64::from(account.budget_remaining) * 4 < u64::from(account.budget_limit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{AccountName, ProviderName};

    #[test]
    fn a_budget_is_low_below_a_quarter_whatever_its_size() {
        for (budget_remaining, budget_limit, expected) in [
            (0, 1, true),
            (1, 4, false),
            (24, 100, true),
            (25, 100, false),
            (u32::MAX / 2, u32::MAX, false),
            (u32::MAX / 4, u32::MAX, true),
        ] {
            let account = AccountStatus {
                account: AccountName::parse("a").unwrap(),
                provider: ProviderName::parse("p").unwrap(),
                enabled: true,
                budget_limit,
                budget_remaining,
                token_expires_at: None,
                credential_rejected: false,
                balances: Vec::new(),
            };

            assert_eq!(is_budget_low(&account), expected, "{budget_remaining} of {budget_limit}");
        }
    }
}
