//! Every freshness demand and every parsing rule, each with the number of calls that it causes.
//!
//! A stored balance gets its age from the provider's `Age` header, so no test waits for a balance to grow old.

use std::fmt::Write as _;

use balance_gateway::sandbox::{Fault, FaultKind, Kind, Operation};

use crate::harness::{Harness, KEY, Reply, Setup, eventually};

const KIND: Kind = Kind::NtxpayBr;

/// The cached state of the balance when the request arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stored {
    Nothing,
    /// This many seconds old, and slightly more.
    Aged(u64),
    /// As `Aged`, and invalidated afterwards.
    Invalidated(u64),
}

/// How the provider answers the read, if there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Provider {
    Works,
    Fails,
    /// Answers after the caller's deadline.
    IsSlow,
}

/// The expected answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gets {
    /// 200 with the stored balance, and the start of `Cache-Status` after the name.
    Old(&'static str),
    /// 200 with a newly read balance, and the start of `Cache-Status` after the name.
    New(&'static str),
    /// This status and code.
    Problem(u16, &'static str),
}

use Gets::{New, Old, Problem};
use Provider::{Fails, IsSlow, Works};
use Stored::{Aged, Invalidated, Nothing};

const FRESH: Gets = Old("hit; ttl=");
/// Older than `fresh_for`: a background refresh runs.
const STALE: Gets = Old("hit; ttl=-");
const ON_ERROR: Gets = Old("hit; ttl=-21; detail=stale-if-error");
/// Labelled although it is younger than `fresh_for`: it is not what the caller demanded.
const YOUNG_ON_ERROR: Gets = Old("hit; ttl=4; detail=stale-if-error");
const MISS: Gets = New("fwd=uri-miss; fwd-status=200; stored");
const FORCED: Gets = New("fwd=request; fwd-status=200; stored");
const REREAD: Gets = New("fwd=stale; fwd-status=200; stored");
const FAILED: Gets = Problem(502, "provider_error");
const TOO_LATE: Gets = Problem(504, "deadline_exceeded");
const NOT_CACHED: Gets = Problem(504, "not_cached");
const INVALID: Gets = Problem(400, "invalid_request");

/// The cached balance, the provider's answer, the request, the caller's answer, and the number of calls that it causes.
/// A request has one header per line; `?` begins the query. `<5s` is an instant 5 s ago, `>5s` one 5 s ahead.
type Row = (Stored, Provider, &'static str, Gets, usize);

/// With `fresh_for` of 10 s and `max_age` of 60 s.
const TABLE: &[Row] = &[
    // No demand.
    (Nothing, Works, "", MISS, 1),
    (Aged(5), Works, "", FRESH, 0),
    (Aged(30), Works, "", STALE, 1),
    (Nothing, Fails, "", FAILED, 1),
    (Aged(30), Fails, "", STALE, 1),
    // no-cache, max-age=0.
    (Nothing, Works, "cache-control: no-cache", MISS, 1),
    (Aged(0), Works, "cache-control: no-cache", FORCED, 1),
    (Aged(30), Works, "cache-control: no-cache", FORCED, 1),
    (Aged(0), Works, "cache-control: max-age=0", FORCED, 1),
    (Aged(0), Fails, "cache-control: no-cache", FAILED, 1),
    (Invalidated(5), Works, "cache-control: no-cache", REREAD, 1),
    // max-age=N.
    (Nothing, Works, "cache-control: max-age=20", MISS, 1),
    (Aged(3), Works, "cache-control: max-age=5", FRESH, 0),
    (Aged(5), Works, "cache-control: max-age=5", FORCED, 1),
    (Aged(20), Works, "cache-control: max-age=25", STALE, 1),
    (Aged(30), Works, "cache-control: max-age=25", FORCED, 1),
    (Aged(30), Works, "cache-control: max-age=60", STALE, 1),
    (Aged(30), Works, "cache-control: max-age=600", STALE, 1),
    // min-fresh=N, of fresh_for.
    (Aged(5), Works, "cache-control: min-fresh=4", FRESH, 0),
    (Aged(5), Works, "cache-control: min-fresh=5", FORCED, 1),
    (Aged(0), Works, "cache-control: min-fresh=11", FORCED, 1),
    (Aged(5), Works, "cache-control: min-fresh=0", FRESH, 0),
    (Aged(10), Works, "cache-control: min-fresh=0", FORCED, 1),
    (Aged(3), Works, "cache-control: max-age=5, min-fresh=9", FORCED, 1),
    // ?not_before=T, plus one second for clocks of other replicas.
    (Nothing, Works, "?not_before=<5s", MISS, 1),
    (Aged(3), Works, "?not_before=<5s", FRESH, 0),
    (Aged(5), Works, "?not_before=<5s", FORCED, 1),
    (Aged(20), Works, "?not_before=<25s", STALE, 1),
    (Aged(0), Works, "?not_before=<0s", FORCED, 1),
    (Aged(0), Works, "?not_before=>600s", FORCED, 1),
    (Aged(30), Works, "?not_before=<600s", STALE, 1),
    (Aged(3), Works, "?not_before=<25s\ncache-control: max-age=2", FORCED, 1),
    (Aged(0), Works, "?not_before=yesterday", INVALID, 0),
    (Aged(0), Works, "?not_before=", INVALID, 0),
    (Aged(0), Works, "?not_before=2026-11-21T07:00:00", INVALID, 0),
    (Aged(0), Works, "?not_before=2026-11-21T07:00:00+00:00", FRESH, 0),
    (Aged(0), Works, "?not_before=2026-11-21T07:00:00%2B0000", FRESH, 0),
    (Aged(0), Works, "?not_before=9999-12-31T23:59:59Z", FORCED, 1),
    (Aged(0), Works, "?not_before=2026-11-21T07:00:00%2B02:00", FRESH, 0),
    // only-if-cached: never calls the provider, not even in the background.
    (Nothing, Works, "cache-control: only-if-cached", NOT_CACHED, 0),
    (Aged(5), Works, "cache-control: only-if-cached", FRESH, 0),
    (Aged(30), Works, "cache-control: only-if-cached", STALE, 0),
    (Aged(5), Works, "cache-control: only-if-cached, max-age=3", NOT_CACHED, 0),
    (Aged(0), Works, "cache-control: only-if-cached, no-cache", NOT_CACHED, 0),
    (Invalidated(5), Works, "cache-control: only-if-cached", NOT_CACHED, 0),
    // stale-if-error[=N] with one of the above.
    (Aged(30), Fails, "cache-control: no-cache, stale-if-error", ON_ERROR, 1),
    (Aged(30), Fails, "cache-control: no-cache, stale-if-error=40", ON_ERROR, 1),
    (Aged(30), Fails, "cache-control: no-cache, stale-if-error=20", FAILED, 1),
    (Aged(30), Fails, "cache-control: max-age=5, stale-if-error=600", ON_ERROR, 1),
    (Aged(30), Fails, "?not_before=<5s\ncache-control: stale-if-error", FAILED, 1),
    (Aged(30), Works, "cache-control: no-cache, stale-if-error", FORCED, 1),
    (Aged(30), IsSlow, "cache-control: no-cache, stale-if-error\nprefer: wait=0", ON_ERROR, 1),
    (Aged(30), Fails, "cache-control: stale-if-error=20", STALE, 1),
    (Aged(5), Fails, "cache-control: no-cache, stale-if-error", YOUNG_ON_ERROR, 1),
    (Aged(5), Fails, "cache-control: max-age=2, stale-if-error=8", YOUNG_ON_ERROR, 1),
    (Aged(5), IsSlow, "cache-control: no-cache, stale-if-error\nprefer: wait=0", YOUNG_ON_ERROR, 1),
    // Prefer: wait=N.
    (Nothing, IsSlow, "prefer: wait=0", TOO_LATE, 1),
    (Nothing, Works, "prefer: wait=5", MISS, 1),
    (Aged(5), Works, "prefer: wait=0", FRESH, 0),
    (Aged(30), Works, "prefer: wait=0", STALE, 1),
    (Aged(5), IsSlow, "prefer: wait=0\ncache-control: no-cache", TOO_LATE, 1),
    (Aged(5), IsSlow, "prefer: wait=0, wait=60\ncache-control: no-cache", TOO_LATE, 1),
    (Nothing, Works, "prefer: wait=soon", MISS, 1),
    // Invalidated: an older snapshot is served only to a request without a demand, and only when the read fails.
    (Invalidated(5), Works, "", REREAD, 1),
    (Invalidated(5), Works, "cache-control: max-age=30", REREAD, 1),
    (Invalidated(30), Fails, "", ON_ERROR, 1),
    (Invalidated(5), Fails, "", YOUNG_ON_ERROR, 1),
    (Invalidated(5), IsSlow, "prefer: wait=0", YOUNG_ON_ERROR, 1),
    (Invalidated(30), IsSlow, "prefer: wait=0", ON_ERROR, 1),
    (Invalidated(30), Fails, "cache-control: max-age=40", FAILED, 1),
    (Invalidated(30), Fails, "?not_before=<0s", FAILED, 1),
    (Invalidated(30), Fails, "cache-control: max-age=40, stale-if-error", ON_ERROR, 1),
    // Parsing: names in any case, token or quoted argument, strictest of repeats, malformed ones ignored.
    (Aged(0), Works, "cache-control: NO-CACHE", FORCED, 1),
    (Aged(5), Works, "cache-control: Max-Age=\"3\"", FORCED, 1),
    (Aged(5), Works, "cache-control: max-age=30, max-age=3", FORCED, 1),
    (Aged(5), Works, "cache-control: max-age=3\ncache-control: max-age=30", FORCED, 1),
    (Aged(5), Works, "cache-control: min-fresh=6, min-fresh=1", FORCED, 1),
    (Aged(30), Fails, "cache-control: no-cache, stale-if-error, stale-if-error=20", FAILED, 1),
    (Aged(5), Works, "cache-control: max-age=-1", FRESH, 0),
    (Aged(5), Works, "cache-control: max-age=1.5", FRESH, 0),
    (Aged(5), Works, "cache-control: max-age=three", FRESH, 0),
    (Aged(5), Works, "cache-control: max-age", FRESH, 0),
    (Aged(5), Works, "cache-control: max-age=x, max-age=3", FORCED, 1),
    (Aged(5), Works, "cache-control: max-age=99999999999999999999999", FRESH, 0),
    (Aged(5), Works, "cache-control: min-fresh=99999999999999999999999", FORCED, 1),
    (Aged(5), Works, "cache-control: ,, ;, foo, bar=\"a, no-cache\", max-stale=9", FRESH, 0),
    (Aged(5), Works, "cache-control: no-store\npragma: no-cache", FRESH, 0),
    (Aged(5), Works, "cache-control: x-no-cache", FRESH, 0),
    (Aged(5), Works, "cache-control: x=\"a\\\"b\", no-cache", FORCED, 1),
    (Aged(5), Works, "cache-control: x=\"a\\\", no-cache\"", FRESH, 0),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_demand_gets_the_documented_answer_with_the_documented_calls() {
    let gateway = with_accounts(TABLE.len()).await;
    let mut calls = 0;
    for (index, row @ (stored, provider, says, gets, caused)) in TABLE.iter().enumerate() {
        let path = format!("/v1/accounts/demand-{index}/balance");
        let before = store(&gateway, &path, *stored).await;
        calls += usize::from(*stored != Nothing);
        match provider {
            Works => {}
            Fails => gateway.provider(KIND).queue(Fault::on_balance(FaultKind::status(500))),
            IsSlow => gateway.provider(KIND).queue(Fault::on_balance(FaultKind::Delay { ms: 200 })),
        }

        let reply = ask(&gateway, &path, says).await;

        assert_gets(&reply, before.as_ref(), *gets, row);
        calls += caused;
        settled(&gateway, calls).await;
        assert_eq!(gateway.calls(KIND, Operation::Balance).len(), calls, "{row:?}");
        gateway.provider(KIND).clear_faults();
    }
}

/// A gateway with this many accounts of one provider.
async fn with_accounts(count: usize) -> Harness {
    let mut further = String::new();
    for index in 0..count {
        let token = "token = { env = \"NTXPAY_BR_TOKEN\" }";
        write!(further, "[accounts.demand-{index}]\nprovider = \"{KIND}\"\n{token}\n").unwrap();
    }
    // The failures of one row must not open the breaker for the next.
    let provider = "breaker = { failures = 1000, cooldown = \"1s\" }\n".to_owned();
    Harness::start(Setup { further, provider, has_static_tokens: true, ..Setup::default() }).await
}

/// Brings the cache into the row's state, and returns the answer that stored the balance.
async fn store(gateway: &Harness, path: &str, stored: Stored) -> Option<Reply> {
    let (Aged(age) | Invalidated(age)) = stored else { return None };
    let headers = vec![("Age".to_owned(), age.to_string())];
    gateway.provider(KIND).queue(Fault::on_balance(FaultKind::Headers { headers }));
    let reply = gateway.get(path).await;
    assert_eq!((reply.status, reply.header("age")), (200, (age + 1).to_string().as_str()), "{reply:?}");
    if let Invalidated(_) = stored {
        let invalidated =
            gateway.send("POST", &path.replace("/balance", "/invalidate"), Some(KEY), &[]).await;
        assert_eq!(invalidated.status, 200);
    }
    Some(reply)
}

async fn ask(gateway: &Harness, path: &str, says: &str) -> Reply {
    let query = says.lines().find(|line| line.starts_with('?')).unwrap_or_default();
    let query = query.replace("not_before=<", "not_before=-").replace("not_before=>", "not_before=");
    let query = match query.strip_prefix("?not_before=").and_then(|text| text.strip_suffix('s')) {
        Some(seconds) => {
            let instant = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(seconds.parse().unwrap());
            format!("?not_before={instant}")
        }
        None => query,
    };
    let headers: Vec<_> = says.lines().filter_map(|line| line.split_once(": ")).collect();
    gateway.get_with(&format!("{path}{query}"), &headers).await
}

#[track_caller]
fn assert_gets(reply: &Reply, before: Option<&Reply>, gets: Gets, row: &Row) {
    let is_old = before.is_some_and(|before| before.body == reply.body);
    match gets {
        Old(status) | New(status) => {
            let wanted = format!("balance-gateway; {status}");
            assert_eq!(reply.status, 200, "{row:?}: {reply:?}");
            assert!(reply.header("cache-status").starts_with(&wanted), "{row:?}: {reply:?}");
            // Over `fresh_for`, `ttl` is negative, `detail` is set, and the caller's cache must not keep the balance.
            let status = reply.header("cache-status");
            let is_labelled = status.contains("detail=");
            let is_fresh = gets == FRESH || matches!(gets, New(_));
            assert_eq!(is_labelled, !is_fresh, "{row:?}: {reply:?}");
            assert_eq!(status.contains("ttl=-"), is_labelled && gets != YOUNG_ON_ERROR, "{row:?}: {reply:?}");
            let max_age = if is_labelled { 0 } else { 10 };
            let cache_control = format!("private, max-age={max_age}, must-revalidate");
            assert_eq!(reply.header("cache-control"), cache_control, "{row:?}: {reply:?}");
            assert_eq!(is_old, matches!(gets, Old(_)), "{row:?}: {reply:?}");
        }
        Problem(status, code) => reply.assert_problem(status, code),
    }
}

/// Waits until the calls were sent and no call is in flight.
async fn settled(gateway: &Harness, calls: usize) {
    eventually("every call was sent and has ended", || async {
        let in_flight = gateway.count(&format!("upstream_in_flight{{provider=\"{KIND}\"}}")).await;
        in_flight == 0 && gateway.calls(KIND, Operation::Balance).len() >= calls
    })
    .await;
}
