//! How many units of a limit all replicas admit together, request by request.

use std::cell::Cell;
use std::time::Duration;

use futures_util::future::join_all;
use redis::Commands;

use super::fleet::{Fleet, KEY as STORE_KEY, KIND};
use super::redis::RedisServer;
use crate::harness::{Harness, Reply, Setup, eventually, retry_within};
use crate::process::Site;

const SECOND: Duration = Duration::from_secs(1);
/// A burst of 20 units, four for each of five replicas; no unit comes back during a test.
const SLOW: &str = "limit = { requests = 1, per = \"10m\", burst = 20 }";

async fn fleet(limit: &str) -> Fleet {
    Fleet::with(5, &Setup { caller: limit.to_owned(), ..Setup::default() }).await
}

/// Sends requests to one replica until it has admitted this many.
async fn use_up(replica: &Harness, units: usize) -> Reply {
    let admitted = Cell::new(0);
    let ask = || async {
        let reply = replica.balance(KIND).await;
        admitted.update(|count| count + usize::from(reply.status == 200));
        if admitted.get() == units {
            return Ok(reply);
        }
        if reply.status == 429 {
            assert_eq!(reply.header("retry-after"), "1", "units are left: {reply:?}");
        }
        Err(reply)
    };
    let last = retry_within(10 * SECOND, ask).await;
    last.unwrap_or_else(|reply| panic!("{} of {units} were admitted, then {reply:?}", admitted.get()))
}

/// Uses units until none is left, and counts them. A refusal with `Retry-After: 1` means only that the store has not
/// answered yet.
async fn use_all_units(ask: impl AsyncFn() -> Reply) -> u64 {
    let admitted = Cell::new(0);
    let use_one = || async {
        let reply = ask().await;
        admitted.update(|count| count + u64::from(reply.status == 200));
        let is_certain = reply.status == 429 && reply.header("retry-after") != "1";
        let is_last = is_certain && reply.header("ratelimit").starts_with(r#""caller";r=0;t="#);
        if is_last { Ok(()) } else { Err(reply) }
    };
    let all = retry_within(10 * SECOND, use_one).await;
    all.unwrap_or_else(|reply| panic!("{} were admitted, then {reply:?}", admitted.get()));
    admitted.get()
}

/// The key of the only bucket in the store; full buckets are not stored.
fn bucket(store: &RedisServer) -> Option<String> {
    store.keys().into_iter().find(|key| key.ends_with(":units"))
}

/// How long it takes until the bucket is full, if no unit is used.
pub(super) fn time_to_full(store: &RedisServer) -> Duration {
    let mut connection = store.connection();
    let Some(key) = bucket(store) else { return Duration::ZERO };
    let full_at: u64 = connection.hget(key, "full").unwrap();
    let (seconds, micros): (u64, u64) = redis::cmd("TIME").query(&mut connection).unwrap();
    Duration::from_micros(full_at).saturating_sub(Duration::from_micros(seconds * 1_000_000 + micros))
}

/// How many units of a slow limit are missing in the store.
fn missing(store: &RedisServer) -> u64 {
    time_to_full(store).as_secs().div_ceil(600)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_replicas_together_admit_the_burst_at_once() {
    let fleet = fleet(SLOW).await;

    // The store is stopped, so no replica learns what the others use.
    fleet.store.signal("STOP");
    let burst = fleet.replicas.iter().flat_map(|replica| (0..4).map(|_| replica.balance(KIND)));
    let replies = join_all(burst).await;
    fleet.store.signal("CONT");
    fleet.until_sharing(1.0).await;

    assert!(replies.iter().all(|reply| reply.status == 200), "{replies:?}");
    let mut admitted = 20;
    for replica in &fleet.replicas {
        admitted += use_all_units(async || replica.balance(KIND).await).await;
    }
    // The units that each replica used alone are charged later.
    eventually("the store has charged all units", || async { missing(&fleet.store) == admitted }).await;
    assert!(admitted <= 40, "{admitted}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_replica_can_use_the_whole_burst() {
    let fleet = fleet(SLOW).await;

    use_up(&fleet.replicas[0], 20).await;
    let refused = fleet.replicas[0].balance(KIND).await;

    refused.assert_problem(429, "rate_limited");
    let retry_after: u64 = refused.header("retry-after").parse().unwrap();
    assert!((560..=600).contains(&retry_after), "{refused:?}");
    assert_eq!(refused.header("ratelimit"), r#""caller";r=0;t=600, "forced";r=1;t=0"#);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_costs_its_units() {
    let fleet = fleet(SLOW).await;
    let accounts: Vec<_> = (0..15).map(|number| format!("account=x{number}")).collect();
    let path = format!("/v1/balances?{}", accounts.join("&"));
    use_up(&fleet.replicas[0], 1).await;
    eventually("the store was asked", || async { missing(&fleet.store) > 0 }).await;

    let ask = || async {
        let batch = fleet.replicas[0].get(&path).await;
        if batch.status == 429 { Err(batch) } else { Ok(batch) }
    };
    let mut batch = ask().await;
    if let Err(refused) = batch {
        let promised = refused.header("retry-after").parse().map(Duration::from_secs).unwrap();
        batch = retry_within(promised, ask).await;
    }

    let batch = batch.expect("a batch is admitted after Retry-After at the latest");
    assert_eq!(batch.status, 200, "{batch:?}");
    // A batch that was refused because it came too early costs nothing.
    assert!(batch.header("ratelimit").starts_with(r#""caller";r=4;t=600, "forced""#), "{batch:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unused_units_are_returned_for_other_replicas() {
    let fleet = fleet(SLOW).await;

    use_up(&fleet.replicas[0], 7).await;
    eventually("the replica holds units ahead of need", || async { missing(&fleet.store) > 7 }).await;
    eventually("unused units are returned", || async { missing(&fleet.store) == 7 }).await;
    let last = use_up(&fleet.replicas[1], 13).await;

    assert_eq!(last.header("ratelimit"), r#""caller";r=0;t=600, "forced";r=1;t=0"#);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_replicas_share_the_limit_of_forced_reads() {
    let forced = "forced = { requests = 1, per = \"10m\", burst = 5 }";
    let limit = "limit = { requests = 1000000, per = \"1m\", burst = 1000000 }";
    let fleet = fleet(&format!("{limit}\n{forced}")).await;
    let force = async |replica: &Harness| replica.new_balance(KIND).await;

    for replica in &fleet.replicas {
        replica.balance(KIND).await;
        assert_eq!(force(replica).await.status, 200, "each replica has a share of it at once");
    }

    for replica in &fleet.replicas {
        let told = |reply: &Reply| reply.header("ratelimit").contains(r#""forced";r=0;t="#);
        eventually("the store has reported that no unit is left", || async {
            let refused = force(replica).await;
            refused.status == 429 && told(&refused)
        })
        .await;
    }
    eventually("the store has charged all units", || async { missing(&fleet.store) >= 5 }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_planted_bucket_is_counted_and_ignored() {
    let invalid = "shared_errors_total{operation=\"limit\",kind=\"invalid\"}";
    for planted in ["HSET KEY full 9007199254740991", "HSET KEY full many", "SET KEY 1"] {
        let fleet = fleet(SLOW).await;
        use_up(&fleet.replicas[0], 1).await;
        eventually("the store was asked", || async { missing(&fleet.store) > 0 }).await;
        let key = bucket(&fleet.store).unwrap();
        fleet.store.ask(&format!("DEL {key}"));
        fleet.store.ask(&planted.replace("KEY", &key));

        let last = use_up(&fleet.replicas[0], 10).await;

        assert!(fleet.count(invalid).await >= 1, "{planted}, {last:?}");
        eventually("the planted bucket is replaced by a valid one", || async {
            (1..=40).contains(&missing(&fleet.store))
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_adds_and_removes_the_shared_limit() {
    let store = RedisServer::start().await;
    let site = Site::new("replicas = 2").await;
    let key = site.folder.write("shared-key", STORE_KEY);
    let section =
        format!("[shared]\nurl = \"{}\"\nkey = {{ file = \"{key}\" }}\ntimeout = \"500ms\"\n", store.url());
    let usual = "limit = { requests = 100000000, per = \"1m\", burst = 100000000 }";
    site.rewrite(usual, "limit = { requests = 2, per = \"20m\", burst = 4 }");
    let gateway = site.serve().await;
    let ask = async || gateway.get(&gateway.api, "/v1/accounts").await.unwrap();
    let change = async |from: &str, to: &str| {
        let before = gateway.lines_of("config_reloaded").len();
        site.rewrite(from, to);
        gateway.signal("HUP");
        eventually("the configuration is reloaded", || async {
            gateway.lines_of("config_reloaded").len() > before
        })
        .await;
    };
    assert_eq!(
        (ask().await.header("ratelimit-policy"), use_all_units(&ask).await),
        (r#""caller";q=2;w=2400, "forced";q=1;w=1200"#, 1)
    );

    change("[callers.all]", &format!("{section}[callers.all]")).await;
    eventually("the replica shares", || async { !gateway.lines_of("shared_joined").is_empty() }).await;
    assert_eq!(
        (ask().await.header("ratelimit-policy"), use_all_units(&ask).await),
        (r#""caller";q=4;w=2400, "forced";q=1;w=1200"#, 3)
    );

    change("[callers.all]", "[log]\nrequests = true\n[callers.all]").await;
    assert_eq!(use_all_units(&ask).await, 0, "an unchanged limit keeps its state");

    change("burst = 4", "burst = 5").await;
    assert_eq!(
        (ask().await.header("ratelimit-policy"), use_all_units(&ask).await),
        (r#""caller";q=5;w=3000, "forced";q=1;w=1200"#, 4)
    );

    change(&section, "").await;
    assert_eq!(
        (ask().await.header("ratelimit-policy"), use_all_units(&ask).await),
        (r#""caller";q=2;w=2400, "forced";q=1;w=1200"#, 1)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_shuts_down_gives_its_units_back() {
    let mut fleet = fleet(SLOW).await;
    let used = 6;
    use_up(&fleet.replicas[0], used).await;
    let used = u64::try_from(used).unwrap();
    eventually("the replica holds units ahead of need", || async { missing(&fleet.store) > used }).await;

    let mut leaving = fleet.replicas.remove(0);
    leaving.begin_shutdown();
    leaving.ended().await;

    assert_eq!(missing(&fleet.store), used);
}
