//! Gauges of live state, computed at every scrape: no copy can be outdated, and an unknown value is absent.

use prometheus::proto::{LabelPair, Metric, MetricFamily, MetricType};

use super::sample::sample;

/// The families of live gauges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Upstream calls in flight, per provider.
    UpstreamInFlight,
    /// 0 closed, 1 half-open, 2 open, per provider.
    BreakerState,
    /// Outgoing calls allowed per period, per account.
    BudgetLimit,
    /// Outgoing calls left now, per account.
    BudgetRemaining,
    /// 1 while the provider refuses a newer credential and the old one is in use, per account.
    CredentialRejected,
    /// When the account's token expires.
    TokenExpiry,
    /// When the stored snapshot's upstream request was sent.
    SnapshotTimestamp,
    /// 1 while a balance has reached an alert level, per configured level.
    AlertActive,
    /// When the upstream request of the last evaluated balance was sent.
    AlertEvaluated,
    /// The amounts of a balance, while it may be served.
    BalanceAmount,
    /// Log lines that were dropped because standard output was blocked.
    LogLinesDropped,
}

struct Description {
    name: &'static str,
    help: &'static str,
    labels: &'static [&'static str],
    kind: MetricType,
}

impl Family {
    const ALL: [Self; 11] = [
        Self::UpstreamInFlight,
        Self::BreakerState,
        Self::BudgetLimit,
        Self::BudgetRemaining,
        Self::CredentialRejected,
        Self::TokenExpiry,
        Self::SnapshotTimestamp,
        Self::AlertActive,
        Self::AlertEvaluated,
        Self::BalanceAmount,
        Self::LogLinesDropped,
    ];

    fn description(self) -> Description {
        let gauge = |name, help, labels| Description { name, help, labels, kind: MetricType::GAUGE };
        match self {
            Self::UpstreamInFlight => {
                gauge("upstream_in_flight", "Calls to the provider in flight.", &["provider"])
            }
            Self::BreakerState => gauge(
                "breaker_state",
                "The provider's breaker: 0 closed, 1 half-open, 2 open.",
                &["provider"],
            ),
            Self::BudgetLimit => gauge("budget_limit", "Outgoing calls allowed in any period.", &["account"]),
            Self::BudgetRemaining => {
                gauge("budget_remaining", "Outgoing calls that may leave now.", &["account"])
            }
            Self::CredentialRejected => {
                let help = "1 while a newer credential was refused and the old one is in use.";
                gauge("credential_rejected", help, &["account"])
            }
            Self::TokenExpiry => gauge(
                "token_expiry_timestamp_seconds",
                "When the token expires, in Unix seconds.",
                &["account"],
            ),
            Self::SnapshotTimestamp => gauge(
                "snapshot_timestamp_seconds",
                "When the stored balance's upstream request was sent, in Unix seconds.",
                &["account", "currency", "type"],
            ),
            Self::AlertActive => gauge(
                "alert_active",
                "1 while the balance has reached the alert level.",
                &["account", "currency", "type", "level"],
            ),
            Self::AlertEvaluated => gauge(
                "alert_evaluated_timestamp_seconds",
                "When the upstream request of the last evaluated balance was sent, in Unix seconds.",
                &["account", "currency", "type"],
            ),
            Self::BalanceAmount => gauge(
                "balance_amount",
                "The balance as the nearest double, for graphs; absent when over max_age.",
                &["account", "provider", "currency", "type", "kind"],
            ),
            Self::LogLinesDropped => Description {
                name: "log_lines_dropped_total",
                help: "Log lines dropped because standard output was blocked.",
                labels: &[],
                kind: MetricType::COUNTER,
            },
        }
    }
}

/// The samples of one scrape.
#[derive(Debug, Default)]
pub struct Samples(Vec<(Family, Metric)>);

impl Samples {
    /// Adds a sample; `labels` in the family's order.
    pub fn add(&mut self, family: Family, labels: &[&str], value: f64) {
        let description = family.description();
        let pair = |(name, value): (&&str, &&str)| {
            let mut pair = LabelPair::default();
            pair.set_name((*name).to_owned());
            pair.set_value((*value).to_owned());
            pair
        };
        let labels = description.labels.iter().zip(labels).map(pair).collect();
        self.0.push((family, sample(description.kind, labels, value)));
    }

    /// The families that have a sample.
    pub(super) fn into_families(self, namespace: &str) -> Vec<MetricFamily> {
        let family = |family: Family| {
            let description = family.description();
            let of_family = self.0.iter().filter(|(of, _)| *of == family);
            let mut made = MetricFamily::default();
            made.set_name(format!("{namespace}_{}", description.name));
            made.set_help(description.help.to_owned());
            made.set_field_type(description.kind);
            made.set_metric(of_family.map(|(_, metric)| metric.clone()).collect());
            made
        };
        Family::ALL.into_iter().map(family).filter(|family| !family.get_metric().is_empty()).collect()
    }
}
