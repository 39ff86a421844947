//! What a cell needs: the gateway, its providers, and for faults of connections a front between them.

use std::collections::HashMap;
use std::sync::Arc;

use balance_gateway::sandbox::{Fault, FaultKind, Kind, Operation};

use super::cell::Cached;
use super::faults::{Cause, FaultCase};
use super::front::Front;
use super::time::{self, TOKEN_LIFE};
use crate::harness::{self, Harness, Setup, eventually};

/// Time-outs for faults that end by themselves.
const PATIENT: &str = "connect_timeout = \"30s\"\nattempt_timeout = \"30s\"\ndeadline = \"40s\"\n";
/// Time-outs for faults that end by a time-out, once per attempt: long enough to reach the provider on a busy machine.
const IMPATIENT: &str = "connect_timeout = \"1s\"\nattempt_timeout = \"2500ms\"\ndeadline = \"40s\"\n";
const SERVER: &str = "request_timeout = \"90s\"\ndrain_timeout = \"90s\"\n";
/// Closes each connection, so that the fault meets a new one.
const CLOSE: (&str, &str) = ("Connection", "close");
const FRESHNESS: &str = "fresh_for = \"20s\"\nmax_age = \"60s\"\n";

/// A gateway, its providers, and for faults of connections a front between them.
pub(super) struct Stage {
    pub(super) gateway: Harness,
    fronts: HashMap<Kind, Front>,
}

impl Stage {
    pub(super) async fn start(case: &FaultCase) -> Self {
        let providers = harness::providers().await;
        let mut provider_lines = if case.is_slow { IMPATIENT } else { PATIENT }.to_owned();
        let mut fronts = HashMap::new();
        if let Cause::Connection(to_break) = case.cause {
            provider_lines.extend(["extra_ca = \"", Front::trusted(), "\"\n"]);
            for (kind, provider) in &providers {
                fronts.insert(*kind, Front::start(provider.url(), to_break).await);
            }
        }
        let base_urls = fronts.iter().map(|(kind, front)| (*kind, front.url.clone())).collect();
        let setup = Setup {
            server: SERVER.to_owned(),
            freshness: FRESHNESS.to_owned(),
            provider: provider_lines,
            has_static_tokens: case.has_static_tokens,
            base_urls,
            clock: Some(time::clock(case.is_of_token_calls())),
            ..Setup::default()
        };
        Self { gateway: Harness::in_front_of(Arc::new(providers), &setup), fronts }
    }

    /// Brings the cache into this state, and clears the record of the calls for it.
    pub(super) async fn store(&self, kind: Kind, case: &FaultCase, cached: Cached) {
        let Some(age) = cached.age() else { return };
        let provider = self.gateway.provider(kind);
        if case.is_of_token_calls() {
            provider.set_token_life(TOKEN_LIFE.as_secs());
        }
        provider.queue(Fault::on_token(headers(&[CLOSE])).times(u32::MAX));
        provider.queue(Fault::on_balance(headers(&[("Age", age), CLOSE])).times(u32::MAX));
        let stored = self.gateway.balance(kind).await;
        // An expired balance is refused to the caller that waited for it, but is stored.
        assert_eq!(stored.status, if cached == Cached::Expired { 502 } else { 200 }, "{stored:?}");
        if case.is_of_token_calls() {
            provider.set_token_life(600);
        }
        if let Some(front) = self.fronts.get(&kind) {
            eventually("no connection is left", async || front.is_idle()).await;
        }
        provider.clear_faults();
        provider.clear_calls();
    }

    pub(super) fn begin(&self, kind: Kind, cause: Cause) {
        match cause {
            Cause::Call(on, fault) => {
                self.gateway.provider(kind).queue(Fault { on, times: u32::MAX, kind: fault(kind) });
            }
            Cause::Connection(broken) => self.fronts[&kind].begin(broken),
        }
    }

    /// How many attempts reached the provider or the broken front.
    pub(super) fn seen(&self, kind: Kind) -> usize {
        self.gateway.provider(kind).calls().len() + self.fronts.get(&kind).map_or(0, Front::met)
    }

    /// The calls that reached the provider or the broken front, as text.
    pub(super) fn calls(&self, kind: Kind) -> String {
        let count = |operation| self.gateway.calls(kind, operation).len();
        let broken = self.fronts.get(&kind).map_or(0, Front::met);
        let counts =
            [(count(Operation::Balance), "balance"), (count(Operation::Token), "token"), (broken, "broken")];
        let counts = counts.into_iter().filter(|(count, _)| *count > 0);
        counts.map(|(count, name)| format!("{count} {name}")).collect::<Vec<_>>().join(" ")
    }
}

fn headers(headers: &[(&str, &str)]) -> FaultKind {
    let owned = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    FaultKind::Headers { headers: owned.collect() }
}
