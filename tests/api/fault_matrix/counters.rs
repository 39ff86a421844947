//! The counters of one provider that the matrix shows, and their increases.

use std::collections::BTreeMap;

use balance_gateway::sandbox::Kind;

use crate::harness::Harness;

pub(super) const ERRORS: &str = "upstream_errors_total";
pub(super) const RETRIES: &str = "upstream_retries_total";
pub(super) const REFUSED: &str = "reads_refused_total";
pub(super) const LOOKUPS: &str = "cache_lookups_total";

/// Values by name and by the labels besides the provider.
pub(super) struct Counters(BTreeMap<(&'static str, String), u64>);

impl Counters {
    /// Reads the counters of each of these kinds.
    pub(super) async fn read(gateway: &Harness, kinds: &[Kind]) -> Vec<Self> {
        let page = gateway.client.get(format!("http://{}/metrics", gateway.ops)).send().await.unwrap();
        let page = page.text().await.unwrap();
        kinds
            .iter()
            .map(|kind| Self(page.lines().filter_map(|line| counter(line, *kind)).collect()))
            .collect()
    }

    /// The increase of each counter since `before`.
    pub(super) fn since(mut self, before: &Self) -> Self {
        for (key, value) in &mut self.0 {
            *value -= before.0[key];
        }
        self
    }

    /// Leaves out the lookups of requests that only waited for a refresh to end.
    pub(super) fn without_lookups(mut self, outcomes: &[&str]) -> Self {
        for outcome in outcomes {
            *self.0.get_mut(&(LOOKUPS, (*outcome).to_owned())).unwrap() -= 1;
        }
        self
    }

    /// The counters of this name that are not zero.
    pub(super) fn shown(&self, name: &str) -> String {
        let moved = self.0.iter().filter(|((present, _), value)| *present == name && **value > 0);
        let moved = moved.map(|((_, labels), value)| format!("{value} {labels}").trim_end().to_owned());
        moved.collect::<Vec<_>>().join(" ")
    }
}

fn counter(line: &str, kind: Kind) -> Option<((&'static str, String), u64)> {
    let (name, rest) = line.strip_prefix("balance_gateway_")?.split_once('{')?;
    let name = [ERRORS, RETRIES, REFUSED, LOOKUPS].into_iter().find(|wanted| *wanted == name)?;
    let (labels, value) = rest.split_once("} ")?;
    let provider = format!("provider=\"{kind}\"");
    labels.split(',').find(|label| *label == provider)?;
    let others = labels.split(',').filter(|label| *label != provider);
    let others: Vec<_> = others.filter_map(|label| label.split('"').nth(1)).collect();
    Some(((name, others.join(" ")), value.parse().unwrap()))
}
