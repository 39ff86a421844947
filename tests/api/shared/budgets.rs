//! All replicas share an account's budget, and a failure that the provider answered to one replica is held at all.

use std::time::{Duration, Instant};

use balance_gateway::sandbox::{Fault, FaultKind, Operation};
use futures_util::future::join_all;

use super::fleet::{Fleet, KIND, sharing};
use super::redis::RedisServer;
use crate::harness::{KEY as CALLER, Setup, eventually, is_long};

const PATH: &str = "/v1/accounts/ntxpay-br-demo/balance";

fn with_provider(lines: &str) -> Setup {
    Setup { provider: lines.to_owned(), has_static_tokens: true, ..Setup::default() }
}

/// Demands new balances from all replicas at once, again and again, for this long.
async fn demand(fleet: &Fleet, length: Duration) {
    let end = Instant::now() + length;
    while Instant::now() < end {
        join_all(fleet.replicas.iter().map(|replica| replica.new_balance(KIND))).await;
    }
}

fn most_in(fleet: &Fleet, span: Duration) -> usize {
    let calls: Vec<Instant> =
        fleet.replicas[0].calls(KIND, Operation::Balance).iter().map(|call| call.instant).collect();
    let in_a_span = |first: &Instant| {
        calls.iter().filter(|call| **call >= *first && call.duration_since(*first) < span).count()
    };
    calls.iter().map(in_a_span).max().unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_replicas_together_keep_an_accounts_budget_in_every_span() {
    let (requests, per, then) = if is_long() { (50, 60, 130) } else { (20, 2, 5) };
    let lines = format!("budget = {{ requests = {requests}, per = \"{per}s\" }}");
    let fleet = Fleet::with(5, &with_provider(&lines)).await;
    let per = Duration::from_secs(per);

    demand(&fleet, per).await;
    // Until now the epoch was new, and each replica had only its local share. From now on the store knows every call.
    let settled = most_in(&fleet, per);
    demand(&fleet, Duration::from_secs(then)).await;

    let most = most_in(&fleet, per);
    println!("{} calls, at most {most} in {per:?}", fleet.reads());
    assert!(settled <= requests && most <= requests, "{settled}, then {most}");
    assert!(fleet.reads() >= 2 * requests, "{} calls: the budget was not used up", fleet.reads());
    let refused = fleet.replicas[0].new_balance(KIND).await;
    if refused.status != 200 {
        refused.assert_problem(503, "budget_exhausted");
    }
}

/// Every write renews the expiry of its key, so the test makes each kind of write.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_and_failures_stay_in_the_store_for_as_long_as_they_count() {
    let lines = "retries = 0\nbudget = { requests = 20, per = \"24h\" }\nbreaker = { failures = 5, cooldown = \"24h\" }";
    let store = RedisServer::start().await;
    let setup = sharing(&with_provider(lines), &store.url(), 2);
    let mut fleet = Fleet::on(store, 1, &setup).await;
    let status = FaultKind::Status { status: 500, retry_after: None, body: None };
    fleet.replicas[0].provider(KIND).queue(Fault::on_balance(status));

    assert_eq!(fleet.replicas[0].new_balance(KIND).await.status, 502);
    eventually("the failure is stored", || async { stays(&fleet.store, &[":breaker"]) }).await;
    eventually("the hold ends", || async { fleet.replicas[0].new_balance(KIND).await.status == 200 }).await;
    let account = [":state", ":calls"];
    assert!(stays(&fleet.store, &account), "after a read");
    let invalidate = "/v1/accounts/ntxpay-br-demo/invalidate";
    assert_eq!(fleet.replicas[0].send("POST", invalidate, Some(CALLER), &[]).await.status, 200);
    assert!(stays(&fleet.store, &account), "after an invalidation");
    assert_eq!(fleet.replicas[0].balance(KIND).await.status, 200);
    let later = fleet.replicas[0].beside(&setup);
    fleet.replicas.push(later);
    fleet.until_sharing(1.0).await;
    assert_eq!(fleet.replicas[1].balance(KIND).await.status, 200);
    assert!(stays(&fleet.store, &account), "after another replica has joined");
}

/// Whether a key with each of these ends is stored, and all of them live for longer than a day.
fn stays(store: &RedisServer, ends: &[&str]) -> bool {
    let (keys, mut connection) = (store.keys(), store.connection());
    ends.iter().all(|end| {
        let key = keys.iter().find(|key| key.ends_with(end));
        key.is_some_and(|key| {
            let life: i64 = redis::cmd("TTL").arg(key).query(&mut connection).unwrap();
            life > 24 * 60 * 60
        })
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_the_store_lost_the_calls_replicas_make_no_more_than_their_local_shares() {
    let fleet = Fleet::with(5, &with_provider("budget = { requests = 20, per = \"3s\" }")).await;
    demand(&fleet, Duration::from_secs(4)).await;

    fleet.store.kill();
    fleet.store.restart().await;
    demand(&fleet, Duration::from_secs(4)).await;

    let most = most_in(&fleet, Duration::from_secs(3));
    assert!(most <= 2 * 20, "{most}");
    fleet.until_sharing(1.0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_answered_to_one_replica_is_held_at_all() {
    for (status, retry_after, code, problem) in [
        (429, Some("20"), "provider_busy", 503),
        (500, None, "provider_error", 502),
        (403, None, "provider_refused_credentials", 502),
    ] {
        let fleet = Fleet::with(3, &with_provider("retries = 0")).await;
        let retry_after = retry_after.map(str::to_owned);
        let fault = FaultKind::Status { status, retry_after, body: None };
        fleet.replicas[0].provider(KIND).queue(Fault::on_balance(fault));
        fleet.replicas[0].balance(KIND).await.assert_problem(problem, code);
        eventually("the hold is known to all", || async { fleet.store.has_hold() }).await;

        for replica in &fleet.replicas[1..] {
            let reply = replica.balance(KIND).await;
            reply.assert_problem(problem, code);
            assert!(!reply.header("retry-after").is_empty(), "{reply:?}");
        }
        assert_eq!(fleet.reads(), 1, "{status}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_failure_of_one_replica_does_not_hold_the_others() {
    let fleet = Fleet::with(2, &with_provider("retries = 0")).await;
    fleet.replicas[0].provider(KIND).queue(Fault::on_balance(FaultKind::Reset));

    fleet.replicas[0].balance(KIND).await.assert_problem(502, "provider_unreachable");
    // A request that came while the read ran would rightly get its failure.
    eventually("its read has ended for all", || async { !fleet.store.has_lease() }).await;
    let other = fleet.replicas[1].balance(KIND).await;

    assert_eq!((other.status, fleet.reads()), (200, 2));
    // The failed replica does not suspend itself either: it finds the other replica's balance.
    fleet.replicas[0].until(PATH, "the other replica's balance", |reply| reply.body == other.body).await;
    assert_eq!(fleet.reads(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_of_all_replicas_together_open_the_breaker_and_one_probe_closes_it() {
    let lines = "retries = 0\nbreaker = { failures = 4, cooldown = \"1s\" }";
    let fleet = Fleet::with(4, &with_provider(lines)).await;
    fleet.replicas[0].provider(KIND).queue(Fault::on_balance(FaultKind::status(500)).times(1000));
    let path = "breaker_state{provider=\"ntxpay-br\"}";

    // Each hold lasts a second or two; the next failed read then counts as well.
    eventually("the breaker is open for all", || async {
        join_all(fleet.replicas.iter().map(|replica| replica.balance(KIND))).await;
        let states = join_all(fleet.replicas.iter().map(|replica| replica.metric(path))).await;
        states.iter().all(|state| *state == Some(2.0))
    })
    .await;
    assert_eq!(fleet.reads(), 4, "four failures of all replicas together open the breaker");
    fleet.replicas[0].provider(KIND).clear_faults();
    for replica in &fleet.replicas {
        replica.until(PATH, "the probe closes the breaker for all", |reply| reply.status == 200).await;
    }
    assert_eq!(fleet.reads(), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_that_the_breaker_refuses_is_counted_as_such() {
    let lines = "retries = 0\nbreaker = { failures = 1, cooldown = \"60s\" }";
    let fleet = Fleet::with(2, &with_provider(lines)).await;
    fleet.replicas[0].provider(KIND).queue(Fault::on_balance(FaultKind::status(500)));
    assert_eq!(fleet.replicas[0].balance(KIND).await.status, 502);
    let refused = "reads_refused_total{provider=\"ntxpay-br\",reason=\"breaker\"}";

    // At first the hold of the balance refuses reads; it lasts a second.
    eventually("the breaker refuses reads", || async {
        join_all(fleet.replicas.iter().map(|replica| replica.balance(KIND))).await;
        fleet.replicas[0].count(refused).await > 0 && fleet.replicas[1].count(refused).await > 0
    })
    .await;

    assert_eq!(fleet.reads(), 1);
}
