//! One provider throttles, fails, exceeds its budget or hangs: the calls in its log, the answers of callers, and the
//! effect on other providers. The long run has the lengths of real outages.

use std::sync::Arc;
use std::time::{Duration, Instant};

use balance_gateway::sandbox::{Call, Fault, FaultKind, Kind, Operation};

use crate::harness::{Harness, Reply, Setup, eventually, is_long};

const KIND: Kind = Kind::NtxpayMx;
const PATH: &str = "/v1/accounts/ntxpay-mx-demo/balance";
const NO_CACHE: [(&str, &str); 1] = [("cache-control", "no-cache")];

async fn with_provider(lines: &str) -> Arc<Harness> {
    let setup = Setup { provider: format!("{lines}\n"), has_static_tokens: true, ..Setup::default() };
    Arc::new(Harness::start(setup).await)
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// Sends requests at this rate until the end, each in its own task; returns every answer with its start and duration.
async fn load(gateway: &Arc<Harness>, per_second: u32, end: Instant, forced_one_in: u32) -> Vec<Seen> {
    let mut ticks = tokio::time::interval(seconds(1) / per_second);
    let (mut asked, mut count) = (Vec::new(), 0);
    while Instant::now() < end {
        ticks.tick().await;
        count += 1;
        let (gateway, is_forced) = (Arc::clone(gateway), count % forced_one_in == 0);
        asked.push(tokio::spawn(async move {
            let at = Instant::now();
            let headers: &[_] = if is_forced { &NO_CACHE } else { &[] };
            let reply = gateway.get_with(PATH, headers).await;
            Seen { at, took: at.elapsed(), is_forced, reply }
        }));
    }
    let mut seen = Vec::with_capacity(asked.len());
    for task in asked {
        seen.push(task.await.unwrap());
    }
    seen
}

struct Seen {
    at: Instant,
    took: Duration,
    is_forced: bool,
    reply: Reply,
}

fn code(reply: &Reply) -> String {
    reply.json()["code"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_throttled_provider_is_covered_by_the_snapshot_and_then_by_retry_after() {
    let (wait, max_age) = if is_long() { (20, 10) } else { (4, 2) };
    let gateway = with_provider(&format!("fresh_for = \"1s\"\nmax_age = \"{max_age}s\"")).await;
    gateway.balance(KIND).await;
    let status = FaultKind::Status { status: 429, retry_after: Some(wait.to_string()), body: None };
    gateway.provider(KIND).queue(Fault::on_balance(status));

    let seen = load(&gateway, 20, Instant::now() + seconds(wait + 3), u32::MAX).await;

    let calls: Vec<Call> = gateway.calls(KIND, Operation::Balance);
    let throttled = calls.iter().find(|call| call.status == Some(429)).unwrap().instant;
    let next = calls.iter().find(|call| call.instant > throttled).map(|call| call.instant);
    let since = |seen: &Seen| seen.at.saturating_duration_since(throttled).as_secs_f64();
    let [wait, max_age] = [wait, max_age].map(|length| f64::from(u32::try_from(length).unwrap()));
    assert!(next.is_some_and(|next| next.duration_since(throttled).as_secs_f64() >= wait), "{next:?}");
    for seen in &seen {
        // The throttled refresh was sent one second after the snapshot.
        if since(seen) < max_age - 1.5 {
            assert_eq!(seen.reply.status, 200, "{:?}", seen.reply);
        } else if since(seen) > max_age && since(seen) < wait - 0.5 {
            seen.reply.assert_problem(503, "provider_busy");
            let told: f64 = seen.reply.header("retry-after").parse().unwrap();
            // The gateway computed it between the request and its answer.
            let left = wait - since(seen);
            let left_at_end = left - seen.took.as_secs_f64();
            assert!((left_at_end..left + 1.5).contains(&told), "{told} told, {left_at_end} to {left} left");
        }
    }
    assert!(seen.iter().any(|seen| seen.reply.status == 503), "after the snapshot expires, callers get 503");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_provider_gets_few_calls_and_recovers_soon() {
    let (down, cooldown) = if is_long() { (30, 10) } else { (5, 2) };
    let gateway = with_provider(&format!(
        "fresh_for = \"1s\"\nmax_age = \"2s\"\nbreaker = {{ failures = 5, cooldown = \"{cooldown}s\" }}"
    ))
    .await;
    gateway.balance(KIND).await;
    let before = gateway.provider(KIND).calls().len();
    gateway.provider(KIND).queue(Fault::on_any(FaultKind::Reset).times(u32::MAX));

    let seen = load(&gateway, 100, Instant::now() + seconds(down), 20).await;
    let while_down = gateway.provider(KIND).calls().len() - before;
    gateway.provider(KIND).clear_faults();
    let back = Instant::now();
    eventually("a fresh answer", || async { gateway.new_balance(KIND).await.status == 200 }).await;
    let until_fresh = back.elapsed();

    println!("{while_down} calls in {down} s of {} requests; fresh after {until_fresh:?}", seen.len());
    // Five attempts open the breaker; then one read per cooldown probes, with at most one retry.
    let most = 5 + 2 * (usize::try_from(down / cooldown).unwrap() + 1);
    assert!(while_down <= most, "{while_down} calls, at most {most}");
    assert!(until_fresh <= seconds(cooldown + 2), "{until_fresh:?}");
    assert!(seen.iter().all(|seen| seen.took < seconds(5)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_budget_holds_in_every_span_of_the_providers_log() {
    let (requests, per, run, rate) = if is_long() { (50, 60, 150, 1000) } else { (10, 2, 7, 200) };
    let gateway =
        with_provider(&format!("budget = {{ requests = {requests}, per = \"{per}s\" }}\nfresh_for = \"1s\""))
            .await;

    let seen = load(&gateway, rate, Instant::now() + seconds(run), 20).await;

    let calls: Vec<Instant> = gateway.provider(KIND).calls().iter().map(|call| call.instant).collect();
    let in_a_span = |first: &Instant| {
        calls.iter().filter(|call| **call >= *first && call.duration_since(*first) < seconds(per)).count()
    };
    let most = calls.iter().map(in_a_span).max().unwrap();
    let refused: Vec<_> = seen.iter().filter(|seen| seen.reply.status != 200).collect();
    println!(
        "{} requests, {} calls, at most {most} in {per} s, {} refused",
        seen.len(),
        calls.len(),
        refused.len()
    );
    assert!(most <= requests && calls.len() > requests, "{most} in a span, {} in all", calls.len());
    for seen in &refused {
        assert!(seen.is_forced, "{:?}", seen.reply);
        assert_eq!(code(&seen.reply), "budget_exhausted");
        // `Retry-After` is exact: by then the oldest counted call is outside the span. The gateway computed it between
        // the request and the answer.
        let told: u64 = seen.reply.header("retry-after").parse().unwrap();
        let answered = seen.at + seen.took;
        let in_the_way = calls.iter().filter(|call| **call <= answered && **call + seconds(per) > seen.at);
        let oldest = in_the_way.min().unwrap();
        let free = (*oldest + seconds(per)).saturating_duration_since(answered);
        assert!(
            seconds(told) + Duration::from_millis(100) >= free && told <= per + 1,
            "{told} told, {free:?} left"
        );
    }
    assert!(!refused.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hanging_provider_fails_in_time_and_does_not_slow_the_others() {
    let gateway = with_provider(
        "connect_timeout = \"200ms\"\nattempt_timeout = \"300ms\"\ndeadline = \"700ms\"\nmax_concurrency = 4\n\
         breaker = { failures = 5, cooldown = \"30s\" }\nbudget = { requests = 1000000, per = \"1m\" }",
    )
    .await;
    gateway.provider(KIND).queue(Fault::on_any(FaultKind::StallHead).times(u32::MAX));
    let others = [Kind::NtxpayBr, Kind::Avista, Kind::Pluggo];
    let end = Instant::now() + seconds(3);

    let hanging = load(&gateway, 50, end, 2);
    let working = async {
        let mut statuses = Vec::new();
        while Instant::now() < end {
            for kind in others {
                statuses.push(gateway.new_balance(kind).await.status);
            }
        }
        statuses
    };
    let (hanging, working) = tokio::join!(hanging, working);

    assert!(working.len() > 20 && working.iter().all(|status| *status == 200));
    let codes: std::collections::BTreeSet<_> = hanging.iter().map(|seen| code(&seen.reply)).collect();
    assert!(
        codes.iter().all(|code| ["provider_timeout", "provider_suspended"].contains(&code.as_str())),
        "{codes:?}"
    );
    assert!(hanging.iter().all(|seen| seen.took < seconds(2)), "two reads and no more");
    let suspended =
        gateway.until(PATH, "the breaker opens", |reply| code(reply) == "provider_suspended").await;
    assert!((1..=30).contains(&suspended.header("retry-after").parse::<u64>().unwrap()), "{suspended:?}");
    gateway.get_with(PATH, &NO_CACHE).await.assert_problem(503, "provider_suspended");
    assert_eq!(gateway.provider(KIND).calls().len(), 5, "five failures, then no further call");
}
