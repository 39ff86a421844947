//! What a cell needs: the gateway, its providers, and what stands between them where connections break.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use balance_gateway::sandbox::{Fault, FaultKind, Kind, On, Operation};
use jiff::Timestamp;

use super::cell::Cached;
use super::faults::{Cause, FaultCase};
use super::front::Front;
use crate::harness::{self, Harness, Setup, eventually};

/// Times out only where the fault never ends.
const PATIENT: &str = "connect_timeout = \"5s\"\nattempt_timeout = \"8s\"\ndeadline = \"12s\"\n";
/// For what a cell waits for, twice with the retry.
const IMPATIENT: &str = "connect_timeout = \"500ms\"\nattempt_timeout = \"500ms\"\ndeadline = \"12s\"\n";
/// The same, for a connection attempt that never ends.
const IMPATIENT_TO_CONNECT: &str =
    "connect_timeout = \"300ms\"\nattempt_timeout = \"700ms\"\ndeadline = \"12s\"\n";
const SERVER: &str = "request_timeout = \"30s\"\ndrain_timeout = \"30s\"\n";
/// So that no connection is left from before the fault.
const CLOSE: (&str, &str) = ("Connection", "close");
const FRESHNESS: &str = "fresh_for = \"20s\"\nmax_age = \"60s\"\n";

/// A gateway, its providers, and what stands between them where connections break.
pub(super) struct Stage {
    pub(super) gateway: Harness,
    fronts: HashMap<Kind, Front>,
}

impl Stage {
    pub(super) async fn start(case: &FaultCase) -> Self {
        let providers = harness::providers().await;
        let mut provider_lines = match (case.is_slow, case.cause) {
            (false, _) => PATIENT,
            (true, Cause::Call(..)) => IMPATIENT,
            (true, Cause::Connection(_)) => IMPATIENT_TO_CONNECT,
        }
        .to_owned();
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
            ..Setup::default()
        };
        Self { gateway: Harness::in_front_of(Arc::new(providers), &setup), fronts }
    }

    /// Brings the cache into its state, and forgets the calls that it took. False where that did not work out.
    pub(super) async fn store(&self, kind: Kind, case: &FaultCase, cached: Cached) -> bool {
        let Some(age) = cached.age() else { return true };
        let provider = self.gateway.provider(kind);
        let is_of_token_calls = matches!(case.cause, Cause::Call(On::Token, _));
        if is_of_token_calls {
            provider.set_token_life(1);
        }
        provider.queue(Fault::on_token(headers(&[CLOSE])).times(u32::MAX));
        provider.queue(Fault::on_balance(headers(&[("Age", age), CLOSE])).times(u32::MAX));
        let stored = self.gateway.balance(kind).await;
        // An expired one is too old for those who waited for it, and stored all the same.
        if stored.status != if cached == Cached::Expired { 502 } else { 200 } {
            return false;
        }
        if is_of_token_calls {
            let series = format!("token_expiry_timestamp_seconds{{account=\"{kind}-demo\"}}");
            let expiry = self.gateway.metric(&series).await.unwrap();
            let has_passed = || Timestamp::now().as_duration().as_secs_f64() > expiry;
            eventually("the token has expired", async || has_passed()).await;
            provider.set_token_life(600);
        }
        if let Some(front) = self.fronts.get(&kind) {
            eventually("no connection is left", async || front.is_idle()).await;
        }
        provider.clear_faults();
        provider.clear_calls();
        true
    }

    pub(super) fn begin(&self, kind: Kind, cause: Cause) {
        match cause {
            Cause::Call(on, fault) => {
                self.gateway.provider(kind).queue(Fault { on, times: u32::MAX, kind: fault(kind) });
            }
            Cause::Connection(broken) => self.fronts[&kind].begin(broken),
        }
    }

    /// When attempts reached the provider, or what broke before it.
    pub(super) fn seen(&self, kind: Kind) -> Vec<Instant> {
        let broken = self.fronts.get(&kind).map(Front::met).unwrap_or_default();
        let calls = self.gateway.provider(kind).calls();
        calls.iter().map(|call| call.instant).chain(broken).collect()
    }

    /// How many attempts met the fault.
    pub(super) fn met(&self, kind: Kind, case: &FaultCase) -> usize {
        match case.cause {
            Cause::Call(On::Token, _) => self.gateway.calls(kind, Operation::Token).len(),
            Cause::Call(..) => self.gateway.calls(kind, Operation::Balance).len(),
            Cause::Connection(_) => self.fronts[&kind].met().len(),
        }
    }

    /// What the provider saw, or what broke before it.
    pub(super) fn calls(&self, kind: Kind) -> String {
        let count = |operation| self.gateway.calls(kind, operation).len();
        let broken = self.fronts.get(&kind).map_or(0, |front| front.met().len());
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
