//! One fault and one state of the cache, for every kind of provider: made, asked three times, and described.

use std::time::{Duration, Instant};

use balance_gateway::sandbox::Kind;
use futures_util::future::join_all;

use super::counters::{self, Counters};
use super::faults::FaultCase;
use super::stage::Stage;
use crate::harness::Reply;

/// No condition in these tests takes longer to come true.
const PATIENCE: Duration = Duration::from_secs(10);
/// While the first failure is held, no provider is called again.
const SHORTEST_HOLD: Duration = Duration::from_secs(1);
/// How often a cell is run that the machine is too busy for. Whether it was is measured, and never told by the outcome.
const RERUNS: usize = 20;
/// The state of the cache when the fault begins.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Cached {
    Nothing,
    Fresh,
    Stale,
    Expired,
}

/// What three requests in a row brought.
#[derive(PartialEq, Eq)]
pub(super) struct Outcome {
    /// To a request without a demand, to one with `no-cache`, and to one without again.
    pub(super) answers: [String; 3],
    /// What the provider saw.
    pub(super) calls: String,
    /// What was counted: errors, retries, refusals, lookups.
    pub(super) counted: [String; 4],
}

struct Asked {
    answers: [String; 3],
    /// The outcomes of further requests, which only watched.
    polls: Vec<&'static str>,
    /// Whether the first failure's hold may have ended in between.
    is_late: bool,
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

/// Runs the fault in this state for every kind that it concerns.
pub(super) async fn run(case: FaultCase, cached: Cached) -> Vec<(Kind, Outcome)> {
    for _ in 0..RERUNS {
        let (outcomes, is_disturbed) = run_once(&case, cached).await;
        if !is_disturbed {
            return outcomes;
        }
    }
    panic!("the machine is too busy for {} with {}", case.name, cached.as_str());
}

/// Also says whether the machine was too busy for the outcome to mean anything.
async fn run_once(case: &FaultCase, cached: Cached) -> (Vec<(Kind, Outcome)>, bool) {
    let (stage, kinds) = (Stage::start(case).await, case.kinds);
    let stored = join_all(kinds.iter().map(|kind| stage.store(*kind, case, cached))).await;
    let before = Counters::read(&stage.gateway, kinds).await;

    let asked = join_all(kinds.iter().map(|kind| ask(&stage, *kind, case, cached))).await;

    let after = Counters::read(&stage.gateway, kinds).await;
    let mut is_disturbed = stored.contains(&false);
    let mut outcomes = Vec::new();
    for (((kind, asked), before), after) in kinds.iter().zip(asked).zip(&before).zip(after) {
        let moved = after.since(before).without_lookups(&asked.polls);
        // An attempt that timed out before it was sent says nothing of the provider.
        let has_lost_calls = case.is_slow && moved.sum(counters::ERRORS) != stage.met(*kind, case) as u64;
        is_disturbed |= asked.is_late || has_lost_calls;
        let counted = [counters::ERRORS, counters::RETRIES, counters::REFUSED, counters::LOOKUPS];
        let counted = counted.map(|name| moved.shown(name));
        outcomes.push((*kind, Outcome { answers: asked.answers, calls: stage.calls(*kind), counted }));
    }
    (outcomes, is_disturbed)
}

/// Asks three times while the fault lasts.
async fn ask(stage: &Stage, kind: Kind, case: &FaultCase, cached: Cached) -> Asked {
    let gateway = &stage.gateway;
    stage.begin(kind, case.cause);
    let mut polls = Vec::new();

    let plain = gateway.balance(kind).await;
    // The first failure's hold began after this.
    let mut running_at = stage.seen(kind).last().copied();
    let was_asked = running_at.is_some();
    if cached == Cached::Stale {
        let end = Instant::now() + PATIENCE;
        let mut asked_at = Instant::now();
        while is_refreshing(&gateway.balance(kind).await, &mut polls) {
            assert!(Instant::now() < end, "the refresh behind ends: {kind} {}", case.name);
            running_at = Some(asked_at);
            tokio::time::sleep(Duration::from_millis(25)).await;
            asked_at = Instant::now();
        }
    }
    let before_forced = stage.seen(kind).len();
    let forced = gateway.new_balance(kind).await;
    let before_again = stage.seen(kind).len();
    let again = gateway.balance(kind).await;
    let after = stage.seen(kind).len();

    let is_late = running_at.is_some_and(|running_at| running_at.elapsed() >= SHORTEST_HOLD);
    if cached == Cached::Fresh && forced.status != 200 {
        assert_eq!(plain.body, again.body, "a failed read leaves the last snapshot as it was");
    }
    let answers = [
        described(&plain, kind, was_asked),
        described(&forced, kind, before_again > before_forced),
        described(&again, kind, after > before_again),
    ];
    Asked { answers, polls, is_late }
}

/// Whether a stale answer says that the refresh behind it has not ended; notes the look.
fn is_refreshing(reply: &Reply, polls: &mut Vec<&'static str>) -> bool {
    let status = reply.header("cache-status");
    polls.push(if status.contains("detail=") { "stale" } else { "hit" });
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

/// `ttl=-21` depends on how fast the machine is.
fn without_digits(cache_status: &str) -> String {
    let shown = |member: &str| match member.strip_prefix("ttl=") {
        Some(ttl) if ttl.starts_with('-') => "ttl=-N".to_owned(),
        Some(_) => "ttl=N".to_owned(),
        None => member.to_owned(),
    };
    cache_status.split("; ").map(shown).collect::<Vec<_>>().join("; ")
}
