//! `check` alone connects to nothing; `check --live` tries the store and each right that it needs.

use std::fs;

use super::fleet::{Fleet, KEY, KIND, sharing};
use super::redis::RedisServer;
use super::topologies::cluster;
use crate::harness::{self, Setup};
use crate::process::{Site, free_address, run_on_record};

const DOCS: &str = include_str!("../../../docs/replicas.md");

/// The line of `docs/replicas.md` that creates the store's user, without this word.
fn user_without(word: &str) -> String {
    let line = DOCS.lines().find(|line| line.starts_with("ACL SETUSER ")).unwrap();
    let line = line.replace("PASSWORD", "p4ss");
    line.split(' ').filter(|it| *it != word).collect::<Vec<_>>().join(" ")
}

/// A configuration whose store is at this URL.
async fn site(url: &str) -> Site {
    let site = Site::new("replicas = 2").await;
    let (url, key) = (site.folder.write("url", url), site.folder.write("key", KEY));
    let shared = format!("[shared]\nurl = {{ file = {url:?} }}\nkey = {{ file = {key:?} }}\n");
    let text = format!("{}{shared}", fs::read_to_string(&site.config).unwrap());
    site.folder.write("gateway.toml", &text);
    site
}

/// The exit code of `check --live`, and its lines about the store, without their latency.
fn check_live(site: &Site) -> (Option<i32>, Vec<String>) {
    let (code, printed, _) = run_on_record(&["check", "--config", &site.config, "--live"]);
    let lines = printed.lines().filter_map(|line| line.strip_prefix("live  shared  "));
    (code, lines.map(|line| line.split_once(" ms  ").unwrap().1.to_owned()).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_down_is_named_by_the_live_check_alone() {
    let address = free_address();
    let site = site(&format!("redis://gateway:p4ss@{address}/1")).await;

    let (code, shown, warned) = run_on_record(&["check", "--config", &site.config]);
    let (live_code, tried, _) = run_on_record(&["check", "--config", &site.config, "--live"]);

    assert_eq!((code, warned.as_str()), (Some(0), ""));
    assert!(shown.contains("\n[shared]\nurl = \"***\"\n") && shown.contains("\nkey = \"***\"\n"), "{shown}");
    assert_eq!(live_code, Some(1));
    let line = tried.lines().find(|line| line.starts_with("live  shared  ")).unwrap();
    assert!(line.starts_with(&format!("live  shared  redis://{address}/1  ")), "{line}");
    assert!(line.ends_with("ms  connecting: Connection refused (os error 111)"), "{line}");
    assert!(tried.contains("live  treasury  BRL"), "the balances are tried all the same: {tried}");
    assert!(![shown, tried].concat().contains("p4ss"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_documented_right_is_needed_and_named_when_it_is_missing() {
    let store = RedisServer::start().await;
    let site = site(&format!("redis://gateway:p4ss@{}", store.address())).await;
    let all = user_without("");
    let rights: Vec<&str> = all.split(' ').filter(|word| word.starts_with(['+', '~', '&'])).collect();
    assert!(rights.len() > 15, "{rights:?}");

    for right in rights {
        store.ask("ACL DELUSER gateway");
        store.ask(&user_without(right));

        assert_eq!(check_live(&site), (Some(1), vec![format!("the user lacks {right}")]));
    }
    store.ask("ACL DELUSER gateway");
    let (code, said) = check_live(&site);
    assert_eq!(code, Some(1));
    assert!(said[0].contains("AuthenticationFailed"), "{said:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_needed_besides_in_some_places_is_named_too() {
    let (node, nodes) = (RedisServer::start().await, cluster().await);
    let sentinel = RedisServer::sentinel_of(&node, "main").await;
    let addresses: Vec<_> = nodes.iter().map(RedisServer::address).collect();
    for (url, stores, right) in [
        (format!("redis://gateway:p4ss@{}/1", node.address()), std::slice::from_ref(&node), "+select"),
        (
            format!("redis-sentinel://gateway:p4ss@{}/main", sentinel.address()),
            std::slice::from_ref(&node),
            "+role",
        ),
        (format!("redis-cluster://gateway:p4ss@{}", addresses.join(",")), &nodes, "+cluster|slots"),
    ] {
        let site = site(&url).await;
        for store in stores {
            store.ask(&user_without(""));
        }
        let without = check_live(&site);
        for store in stores {
            store.ask(&format!("ACL SETUSER gateway {right}"));
        }
        let with = check_live(&site);
        node.ask("ACL DELUSER gateway");

        assert!(DOCS.contains(&format!("`{right}`")), "{right}");
        assert_eq!(without, (Some(1), vec![format!("the user lacks {right}")]));
        assert_eq!(with, (Some(0), vec!["ok".to_owned()]), "{right}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_documented_rights_are_enough() {
    let store = RedisServer::start().await;
    store.ask(&user_without(""));
    let url = format!("redis://gateway:p4ss@{}", store.address());
    let site = site(&url).await;
    assert_eq!(check_live(&site), (Some(0), vec!["ok".to_owned()]));
    let mut setup = sharing(&Setup::default(), "STORE", 2);
    setup.further = setup.further.replace("\"STORE\"", "{ env = \"STORE\" }");
    setup.secrets.push(("STORE", url));

    let fleet = Fleet::on(store, 2, &setup).await;

    for replica in &fleet.replicas {
        assert_eq!(replica.balance(KIND).await.status, 200);
        fleet.store.until_published(&[]).await;
    }
    let path = format!("/v1/accounts/{KIND}-demo/invalidate");
    assert_eq!(fleet.replicas[0].send("POST", &path, Some(harness::KEY), &[]).await.status, 200);
    assert_eq!(fleet.replicas[1].new_balance(KIND).await.status, 200);
    for operation in ["lookup", "lease", "publish", "invalidate", "budget", "limit", "hold", "subscribe"] {
        let refused = format!("shared_errors_total{{operation=\"{operation}\",kind=\"refused\"}}");
        assert_eq!(fleet.count(&refused).await, 0, "{operation}");
    }
    assert_eq!(fleet.reads(), 2);
}
