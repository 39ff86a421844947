//! Gauges of the state at the moment of a scrape. An unknown value has no sample.

use crate::domain::{Amount, BalanceType, Currency, Level, Snapshot};
use crate::gateway::{AccountStatus, BalanceStatus, Status};
use crate::metrics::{Family, Samples};

/// All gauges; amounts only if configured.
pub(super) fn of(status: &Status, shows_balances: bool) -> Samples {
    let mut samples = Samples::default();
    for provider in &status.providers {
        let name = provider.provider.as_str();
        samples.add(Family::UpstreamInFlight, &[name], whole(provider.in_flight));
        samples.add(Family::BreakerState, &[name], f64::from(provider.breaker_level));
    }
    for account in &status.accounts {
        add_account(&mut samples, account);
        for balance in &account.balances {
            add_balance(&mut samples, account, balance);
            if shows_balances && let Some(snapshot) = &balance.served {
                add_amounts(&mut samples, account, balance, snapshot);
            }
        }
    }
    samples
}

fn add_account(samples: &mut Samples, account: &AccountStatus) {
    let name = account.account.as_str();
    samples.add(Family::BudgetLimit, &[name], f64::from(account.budget_limit));
    samples.add(Family::BudgetRemaining, &[name], f64::from(account.budget_remaining));
    samples.add(Family::CredentialRejected, &[name], flag(account.credential_rejected));
    if let Some(expiry) = account.token_expires_at {
        samples.add(Family::TokenExpiry, &[name], seconds(expiry));
    }
}

fn add_balance(samples: &mut Samples, account: &AccountStatus, balance: &BalanceStatus) {
    let Some(requested_at) = balance.requested_at else { return };
    let (account, (currency, r#type)) = (account.account.as_str(), labels(balance));
    samples.add(Family::SnapshotTimestamp, &[account, currency, r#type], seconds(requested_at));
    if !balance.alerts.is_empty() {
        samples.add(Family::AlertEvaluated, &[account, currency, r#type], seconds(requested_at));
    }
    for (level, is_active) in &balance.alerts {
        let labels = [account, currency, r#type, Level::as_str(*level)];
        samples.add(Family::AlertActive, &labels, flag(*is_active));
    }
}

fn add_amounts(samples: &mut Samples, account: &AccountStatus, balance: &BalanceStatus, snapshot: &Snapshot) {
    let (currency, r#type) = labels(balance);
    let reading = snapshot.reading();
    for (kind, amount) in [
        ("available", Some(reading.available)),
        ("blocked", reading.blocked),
        ("reserved", reading.reserved),
        ("processing", reading.processing),
        ("total", reading.total),
    ] {
        if let Some(value) = amount.and_then(nearest) {
            let labels = [account.account.as_str(), account.provider.as_str(), currency, r#type, kind];
            samples.add(Family::BalanceAmount, &labels, value);
        }
    }
}

fn labels(balance: &BalanceStatus) -> (&str, &str) {
    let currency = balance.currency.as_ref().map_or("", Currency::as_str);
    (currency, balance.r#type.as_ref().map_or("", BalanceType::as_str))
}

/// The nearest double. Parsing decimal text rounds correctly; `Decimal`'s own conversion does not.
fn nearest(amount: Amount) -> Option<f64> {
    amount.to_string().parse().ok()
}

fn flag(is_set: bool) -> f64 {
    f64::from(u8::from(is_set))
}

fn seconds(instant: jiff::Timestamp) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "Prometheus knows no other numbers")]
    let milliseconds = instant.as_millisecond() as f64;
    milliseconds / 1000.0
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus knows no other numbers")]
fn whole(count: u64) -> f64 {
    count as f64
}
