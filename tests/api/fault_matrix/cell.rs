//! One fault and one state of the cache, for every kind of provider: made, asked three times, and described.

use std::sync::Mutex;

use balance_gateway::sandbox::Kind;
use futures_util::future::join_all;

use super::counters::{self, Counters};
use super::faults::FaultCase;
use super::stage::Stage;
use super::table::Row;
use crate::harness::{Reply, eventually};

/// One fault and one state of the cache, with a separate gateway.
pub(super) struct Cell {
    case: FaultCase,
    cached: Cached,
    stage: Stage,
}

/// The state of the cache when the fault begins.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Cached {
    Nothing,
    Fresh,
    Stale,
    Expired,
}

/// The results of three requests in a row.
#[derive(PartialEq, Eq)]
pub(super) struct Outcome {
    /// The answers to a request without a demand, one with `no-cache`, and again one without.
    pub(super) answers: [String; 3],
    /// The calls that the provider received.
    pub(super) calls: String,
    /// The counters: errors, retries, refusals, lookups.
    pub(super) counted: [String; 4],
}

struct Asked {
    answers: [String; 3],
    /// The outcomes of further requests, which only waited for a refresh to end.
    polls: Vec<&'static str>,
}

impl Cached {
    pub(super) const ALL: [Self; 4] = [Self::Nothing, Self::Fresh, Self::Stale, Self::Expired];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Fresh => "fresh",
            Self::Stale => "stale",
            Self::Expired => "expired",
        }
    }

    /// The `Age` of the provider's answer, so that the test need not wait for the snapshot to age.
    pub(super) const fn age(self) -> Option<&'static str> {
        match self {
            Self::Nothing => None,
            Self::Fresh => Some("0"),
            Self::Stale => Some("30"),
            Self::Expired => Some("60"),
        }
    }
}

impl Cell {
    /// Starts a gateway and brings its cache into this state.
    pub(super) async fn prepare(case: FaultCase, cached: Cached) -> Self {
        let stage = Stage::start(&case).await;
        join_all(case.kinds.iter().map(|kind| stage.store(*kind, &case, cached))).await;
        Self { case, cached, stage }
    }

    /// Asks for the balance of every kind that the fault concerns.
    pub(super) async fn row(self) -> Row {
        let Self { case, cached, stage } = &self;
        let before = Counters::read(&stage.gateway, case.kinds).await;

        let asked = join_all(case.kinds.iter().map(|kind| self.ask(*kind))).await;

        let after = Counters::read(&stage.gateway, case.kinds).await;
        let mut outcomes = Vec::new();
        for (((kind, asked), before), after) in case.kinds.iter().zip(asked).zip(&before).zip(after) {
            let moved = after.since(before).without_lookups(&asked.polls);
            let counted = [counters::ERRORS, counters::RETRIES, counters::REFUSED, counters::LOOKUPS];
            let counted = counted.map(|name| moved.shown(name));
            outcomes.push((*kind, Outcome { answers: asked.answers, calls: stage.calls(*kind), counted }));
        }
        Row { name: case.name, cached: cached.as_str(), outcomes }
    }

    /// Asks three times while the fault lasts.
    async fn ask(&self, kind: Kind) -> Asked {
        let Self { case, cached, stage } = self;
        let gateway = &stage.gateway;
        stage.begin(kind, case.cause);
        let polls = Mutex::default();

        let plain = gateway.balance(kind).await;
        let was_asked = stage.seen(kind) > 0;
        if *cached == Cached::Stale {
            eventually("the background refresh ends", async || {
                !is_refreshing(&gateway.balance(kind).await, &polls)
            })
            .await;
        }
        let before_forced = stage.seen(kind);
        let forced = gateway.new_balance(kind).await;
        let before_again = stage.seen(kind);
        let again = gateway.balance(kind).await;
        let after = stage.seen(kind);

        if *cached == Cached::Fresh && forced.status != 200 {
            assert_eq!(plain.body, again.body, "a failed read leaves the last snapshot as it was");
        }
        let answers = [
            described(&plain, kind, was_asked),
            described(&forced, kind, before_again > before_forced),
            described(&again, kind, after > before_again),
        ];
        Asked { answers, polls: polls.into_inner().unwrap() }
    }
}

/// Whether a stale answer says that its background refresh still runs; records the outcome of the request.
fn is_refreshing(reply: &Reply, polls: &Mutex<Vec<&'static str>>) -> bool {
    let status = reply.header("cache-status");
    polls.lock().unwrap().push(if status.contains("detail=") { "stale" } else { "hit" });
    status.ends_with("; detail=stale")
}

/// Status, code and `Retry-After`, or status and `Cache-Status`. Only balances carry `Age` and `Cache-Status`.
#[track_caller]
fn described(reply: &Reply, kind: Kind, was_asked: bool) -> String {
    let has = |name: &str| reply.headers.contains_key(name);
    if reply.status == 200 {
        assert!(has("age") && has("etag") && !has("retry-after"), "{reply:?}");
        let status = reply.header("cache-status").strip_prefix("balance-gateway; ").unwrap();
        return format!("200 {}", without_digits(status));
    }
    let problem = reply.json();
    let code = problem["code"].as_str().unwrap();
    reply.assert_problem(reply.status, code);
    assert_eq!(
        (&problem["provider"], &problem["account"]),
        (&kind.as_str().into(), &format!("{kind}-demo").into())
    );
    assert!(!has("age") && !has("cache-status"), "{reply:?}");
    let wait = match (was_asked, reply.header("retry-after")) {
        (_, "") => "",
        (true, seconds) => &format!(" ({seconds})"),
        (false, _) => " held",
    };
    format!("{} {code}{wait}", reply.status)
}

/// Hides the digits of a `ttl`, which depend on the speed of the machine.
fn without_digits(cache_status: &str) -> String {
    let shown = |member: &str| match member.strip_prefix("ttl=") {
        Some(ttl) if ttl.starts_with('-') => "ttl=-N".to_owned(),
        Some(_) => "ttl=N".to_owned(),
        None => member.to_owned(),
    };
    cache_status.split("; ").map(shown).collect::<Vec<_>>().join("; ")
}
