//! Callers: keys, permissions and limits.

use std::time::Duration;

use balance_gateway::sandbox::{Fault, FaultKind, Kind, Operation};
use serde_json::{Value, json};

use crate::harness::{Harness, KEY, Reply, Setup, digest, record};
use crate::process::Site;

const BRAZIL: &str = "/v1/accounts/ntxpay-br-demo/balance";
/// The key of a caller that may read only the accounts of the NTX brand.
const SOME_KEY: &str = "bgk_test-key-of-the-caller-that-sees-some-accounts";

async fn with_caller(caller: &str) -> Harness {
    Harness::start(Setup { caller: caller.to_owned(), ..Setup::default() }).await
}

async fn with_some() -> Harness {
    record("secrets", SOME_KEY);
    let further = format!(
        "[callers.some]\nkeys_sha256 = [\"{}\"]\naccounts = [\"ntxpay-*\"]\n\
         limit = {{ requests = 1000000, per = \"1m\", burst = 1000000 }}\n",
        digest(SOME_KEY)
    );
    Harness::start(Setup { further, ..Setup::default() }).await
}

#[tokio::test]
async fn every_request_without_a_known_key_is_401() {
    let gateway = Harness::usual().await;
    for (method, path) in [
        ("GET", BRAZIL),
        ("GET", "/v1/accounts"),
        ("GET", "/v1/balances"),
        ("HEAD", "/v1/accounts"),
        ("DELETE", BRAZIL),
        ("POST", "/v1/accounts/ntxpay-br-demo/invalidate"),
        ("GET", "/v1/nothing"),
        ("GET", "/v1"),
        ("GET", "/v1/accounts/nobody/balance?x=1"),
    ] {
        let reply = gateway.send(method, path, None, &[]).await;

        if method == "HEAD" {
            assert_eq!(reply.status, 401);
        } else {
            reply.assert_problem(401, "unauthenticated");
        }
        assert_eq!(reply.header("www-authenticate"), "Bearer", "{method} {path}");
        assert_eq!(reply.header("ratelimit"), "", "{method} {path}");
    }
    assert_eq!(gateway.count("auth_failures_total{reason=\"missing\"}").await, 9);
    assert!(gateway.provider(Kind::NtxpayBr).calls().is_empty());
}

#[tokio::test]
async fn only_a_single_known_bearer_key_is_accepted() {
    let gateway = Harness::usual().await;
    let right = format!("Bearer {KEY}");
    let longer = format!("Bearer {KEY}x");
    let basic = format!("Basic {KEY}");
    let lower = format!("bearer {KEY}");
    for (lines, reason) in [
        (vec!["Bearer"], Some("missing")),
        (vec!["Bearer "], Some("missing")),
        (vec![basic.as_str()], Some("missing")),
        (vec![right.as_str(), right.as_str()], Some("missing")),
        (vec!["Bearer bgk_wrong"], Some("unknown")),
        (vec![longer.as_str()], Some("unknown")),
        (vec![lower.as_str()], None),
    ] {
        let before = match reason {
            Some(reason) => gateway.count(&format!("auth_failures_total{{reason=\"{reason}\"}}")).await,
            None => 0,
        };
        let headers: Vec<_> = lines.iter().map(|line| ("authorization", *line)).collect();

        let reply = gateway.send("GET", "/v1/accounts", None, &headers).await;

        match reason {
            None => assert_eq!(reply.status, 200),
            Some(reason) => {
                reply.assert_problem(401, "unauthenticated");
                let after = gateway.count(&format!("auth_failures_total{{reason=\"{reason}\"}}")).await;
                assert_eq!(after, before + 1, "{lines:?}");
            }
        }
    }
}

#[tokio::test]
async fn after_20_failures_a_peer_gets_429_and_its_valid_key_still_works() {
    let gateway = Harness::usual().await;
    for _ in 0..20 {
        gateway
            .send("GET", "/v1/accounts", Some("bgk_wrong"), &[])
            .await
            .assert_problem(401, "unauthenticated");
    }

    let refused = gateway.send("GET", "/v1/accounts", Some("bgk_wrong"), &[]).await;
    let missing = gateway.send("GET", "/v1/nothing", None, &[]).await;
    let served = gateway.get("/v1/accounts").await;

    for reply in [refused, missing] {
        reply.assert_problem(429, "rate_limited");
        let wait: u64 = reply.header("retry-after").parse().unwrap();
        assert!((1..=10).contains(&wait), "{reply:?}");
    }
    assert_eq!(served.status, 200);
    assert_eq!(gateway.count("auth_failures_total{reason=\"unknown\"}").await, 20);
    assert_eq!(gateway.count("auth_failures_total{reason=\"throttled\"}").await, 2);
}

/// An answer about an account, without its name and without the parts that differ per request.
fn told(reply: &Reply, account: &str) -> (u16, Vec<(String, String)>, String) {
    let own = ["date", "ratelimit"];
    let headers =
        reply.headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
    let mut headers: Vec<_> = headers.filter(|(name, _)| !own.contains(&name.as_str())).collect();
    headers.sort();
    (reply.status, headers, reply.body.replace(account, "ACCOUNT"))
}

#[tokio::test]
async fn a_forbidden_account_looks_exactly_like_an_unknown_one() {
    let gateway = with_some().await;
    gateway.get("/v1/balances").await;
    let asked = gateway.provider(Kind::Avista).calls().len();
    // All have the same length: one exists but is forbidden, one does not exist, one would be allowed.
    let [hidden, unknown, absent] = ["avista-demo", "avista-nope", "ntxpay-nope"];
    for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"] {
        for rest in [
            "",
            "/",
            "/balance",
            "/balance/",
            "/balance?currency=EUR",
            "/balance?type=NONE",
            "/balance?x=1",
            "/balance?not_before=x",
            "/invalidate",
            "/invalidate?x=1",
            "/nothing",
            "/balance/deeper",
        ] {
            for (headers, body) in [
                (vec![], 0),
                (vec![("cache-control", "no-cache")], 0),
                (vec![("cache-control", "only-if-cached"), ("prefer", "wait=0")], 0),
                (vec![("if-none-match", "*")], 4096),
                (vec![], 5000),
            ] {
                let ask = async |account: &str| {
                    let path = format!("/v1/accounts/{account}{rest}");
                    let mut request =
                        gateway.request(method, &path, Some(SOME_KEY)).header("x-request-id", "same");
                    for (name, value) in &headers {
                        request = request.header(*name, *value);
                    }
                    let request = if body > 0 { request.body("x".repeat(body)) } else { request };
                    Reply::read(request.send().await.unwrap()).await
                };

                let (hidden_reply, unknown_reply, absent_reply) =
                    (ask(hidden).await, ask(unknown).await, ask(absent).await);

                let expected = told(&unknown_reply, unknown);
                let what = format!("{method} {rest} {headers:?} {body}");
                assert_eq!(told(&hidden_reply, hidden), expected, "{what}");
                assert_eq!(told(&absent_reply, absent), expected, "{what}");
                if method == "HEAD" {
                    assert_eq!(hidden_reply.status, 404, "{what}");
                } else {
                    hidden_reply.assert_problem(404, "account_not_found");
                    assert_eq!(hidden_reply.json()["account"], hidden);
                    assert_eq!(hidden_reply.json().get("provider"), None);
                }
            }
        }
    }
    assert_eq!(gateway.provider(Kind::Avista).calls().len(), asked);
}

#[tokio::test]
async fn lists_and_batches_show_only_the_callers_accounts() {
    let gateway = with_some().await;
    let ask = async |path: &str| gateway.send("GET", path, Some(SOME_KEY), &[("x-request-id", "same")]).await;

    let accounts = ask("/v1/accounts").await.json();
    let all = ask("/v1/balances").await.json();
    let hidden = ask("/v1/balances?account=avista-demo").await;
    let unknown = ask("/v1/balances?account=avista-nope").await;
    let hidden_provider = ask("/v1/balances?provider=avista").await;
    let unknown_provider = ask("/v1/balances?provider=nobody").await;

    let names = |list: &Value| -> Vec<String> {
        list.as_array().unwrap().iter().map(|item| item["account"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&accounts["accounts"]), ["ntxpay-br-demo", "ntxpay-mx-demo"]);
    assert_eq!(names(&all["balances"]), ["ntxpay-br-demo", "ntxpay-mx-demo"]);
    assert_eq!((&all["errors"], &all["complete"]), (&json!([]), &json!(true)));
    assert_eq!(told(&hidden, "avista-demo"), told(&unknown, "avista-nope"));
    assert_eq!(hidden.json()["errors"][0]["problem"]["code"], "account_not_found");
    assert_eq!(told(&hidden_provider, ""), told(&unknown_provider, ""));
    assert_eq!(hidden_provider.json(), json!({"balances": [], "errors": [], "complete": true}));
    assert!(gateway.provider(Kind::Avista).calls().is_empty());
}

#[tokio::test]
async fn a_forbidden_account_costs_as_much_as_an_unknown_one() {
    record("secrets", SOME_KEY);
    let further = format!(
        "[callers.some]\nkeys_sha256 = [\"{}\"]\naccounts = [\"ntxpay-*\"]\n\
         limit = {{ requests = 10, per = \"1m\", burst = 10 }}\n",
        digest(SOME_KEY)
    );
    let gateway = Harness::start(Setup { further, ..Setup::default() }).await;
    let mut left = Vec::new();
    for path in [
        "/v1/accounts/avista-demo/balance",
        "/v1/accounts/avista-nope/balance",
        "/v1/balances?account=pluggo-demo&account=avista-demo",
        "/v1/balances?account=pluggo-nope&account=avista-nope",
    ] {
        let reply = gateway.send("GET", path, Some(SOME_KEY), &[]).await;

        left.push(units(&reply, "ratelimit", "caller")["r"]);
    }
    assert_eq!(left, [9, 8, 6, 4]);
}

/// The whole-number parameters of a policy in a structured field.
fn units(reply: &Reply, field: &str, policy: &str) -> std::collections::BTreeMap<String, i64> {
    let list = sfv::Parser::new(reply.header(field)).parse::<sfv::List>().unwrap();
    let item = list.iter().find_map(|entry| match entry {
        sfv::ListEntry::Item(item) if item.bare_item.as_string()?.as_str() == policy => Some(item),
        _ => None,
    });
    let item = item.unwrap_or_else(|| panic!("no {policy} in {field}: {reply:?}"));
    let number = |value: &sfv::BareItem| i64::from(value.as_integer().unwrap());
    item.params.iter().map(|(name, value)| (name.as_str().to_owned(), number(value))).collect()
}

#[tokio::test]
async fn a_caller_over_its_limit_is_served_after_retry_after() {
    let gateway = with_caller("limit = { requests = 60, per = \"1m\", burst = 2 }\n").await;
    let (first, second) = (gateway.get(BRAZIL).await, gateway.get(BRAZIL).await);

    let refused = gateway.get(BRAZIL).await;
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    tokio::time::sleep(Duration::from_secs(wait)).await;
    let served = gateway.get(BRAZIL).await;

    assert_eq!((first.status, second.status, wait), (200, 200, 1));
    refused.assert_problem(429, "rate_limited");
    assert_eq!(units(&refused, "ratelimit", "caller")["r"], 0);
    assert_eq!(served.status, 200);
    assert_eq!(gateway.count("rate_limited_total{caller=\"all\",policy=\"caller\"}").await, 1);
}

#[tokio::test]
async fn the_limit_comes_before_the_permission_and_after_the_key() {
    let gateway = with_caller("limit = { requests = 1, per = \"1m\", burst = 1 }\n").await;
    gateway.get("/v1/accounts").await;
    for (method, path) in [
        ("GET", "/v1/accounts/nobody/balance"),
        ("GET", "/v1/nothing"),
        ("DELETE", BRAZIL),
        ("GET", "/v1/balances?x=1"),
    ] {
        gateway.send(method, path, Some(KEY), &[]).await.assert_problem(429, "rate_limited");
    }
    gateway.send("GET", BRAZIL, None, &[]).await.assert_problem(401, "unauthenticated");
}

#[tokio::test]
async fn every_answer_shows_the_remaining_limit() {
    let gateway = with_caller("limit = { requests = 100, per = \"1000s\", burst = 100 }\n").await;
    let mut left = Vec::new();
    for (path, headers) in [
        (BRAZIL, vec![]),
        (BRAZIL, vec![("if-none-match", "*")]),
        ("/v1/accounts", vec![]),
        ("/v1/balances?x=1", vec![]),
        ("/v1/accounts/nobody/balance", vec![]),
        ("/v1/nothing", vec![]),
    ] {
        let reply = gateway.get_with(path, &headers).await;

        let (policy, state) =
            (units(&reply, "ratelimit-policy", "caller"), units(&reply, "ratelimit", "caller"));
        assert_eq!((policy["q"], policy["w"]), (100, 1000), "{path}");
        assert!((1..=10).contains(&state["t"]), "{path} {state:?}");
        left.push(state["r"]);
    }
    assert_eq!(left, [99, 98, 97, 96, 95, 94]);
}

#[tokio::test]
async fn a_batch_costs_one_unit_for_each_balance_and_at_most_the_burst() {
    let gateway = with_caller("limit = { requests = 10, per = \"100s\", burst = 10 }\n").await;

    let six = gateway.get("/v1/balances").await;
    let refused = gateway.get("/v1/balances").await;
    let small = with_caller("limit = { requests = 4, per = \"100s\", burst = 4 }\n").await;
    let most = small.get("/v1/balances").await;

    assert_eq!(six.status, 200);
    assert_eq!(units(&six, "ratelimit", "caller")["r"], 4);
    refused.assert_problem(429, "rate_limited");
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    // Two more units are needed than are there, of ten seconds each.
    assert!((11..=20).contains(&wait), "{refused:?}");
    assert_eq!(units(&refused, "ratelimit", "caller")["r"], 4, "a refusal costs nothing");
    assert_eq!(most.status, 200);
    assert_eq!(units(&most, "ratelimit", "caller")["r"], 0);
}

#[tokio::test]
async fn a_batch_is_charged_once_and_whole_and_its_refusal_waits_for_all_of_it() {
    let gateway = with_caller("limit = { requests = 12, per = \"1m\", burst = 2 }\n").await;
    let four = "/v1/balances?account=pluggo-demo&account=ntxpay-br-demo";

    let served = gateway.get(four).await;
    let refused = gateway.get(four).await;
    let again = gateway.get(four).await;
    let single = gateway.balance(Kind::NtxpayBr).await;

    assert_eq!((served.status, units(&served, "ratelimit", "caller")["r"]), (200, 0));
    // The whole of it costs the burst: two units of five seconds each. One balance costs one of them.
    let waits = |reply: &Reply| reply.header("retry-after").parse::<u64>().unwrap();
    for reply in [&refused, &again] {
        reply.assert_problem(429, "rate_limited");
        assert!((6..=10).contains(&waits(reply)), "{reply:?}");
    }
    single.assert_problem(429, "rate_limited");
    assert!(waits(&single) <= 5, "the refusals cost nothing: {single:?}");
    let limited = "rate_limited_total{caller=\"all\",policy=\"caller\"}";
    assert_eq!(gateway.count(limited).await, 3);
}

#[tokio::test]
async fn a_request_refused_before_any_look_up_costs_one_unit() {
    let gateway = with_caller("limit = { requests = 1, per = \"1h\", burst = 100 }\n").await;
    let mut left = 100;
    for (method, path, status, cost) in [
        ("GET", "/v1/balances", 200, 6),
        ("GET", "/v1/balances?account=avista-demo&account=nobody", 200, 2),
        ("GET", "/v1/balances?provider=nobody", 200, 1),
        ("GET", "/v1/balances?x=1", 400, 1),
        ("GET", "/v1/balances?not_before=yesterday", 400, 1),
        ("POST", "/v1/reconciliation", 405, 1),
        ("GET", "/v1/reconciliation", 200, 6),
        ("POST", "/v1/accounts/pluggo-demo/invalidate", 200, 1),
    ] {
        let reply = gateway.send(method, path, Some(KEY), &[]).await;

        left -= cost;
        assert_eq!(reply.status, status, "{method} {path}");
        assert_eq!(units(&reply, "ratelimit", "caller")["r"], left, "{method} {path}");
    }
    let body = async |size: usize| {
        let frame = http_body::Frame::data(bytes::Bytes::from("x".repeat(size)));
        let stream = futures_util::stream::iter([Ok::<_, std::io::Error>(frame)]);
        let request =
            gateway.request("GET", "/v1/balances", Some(KEY)).header("transfer-encoding", "chunked");
        Reply::read(
            request.body(reqwest::Body::wrap(http_body_util::StreamBody::new(stream))).send().await.unwrap(),
        )
        .await
    };
    let large = body(4097).await;
    large.assert_problem(413, "content_too_large");
    assert_eq!(units(&large, "ratelimit", "caller")["r"], left - 1, "a body without a length");
}

#[tokio::test]
async fn a_refused_read_gives_its_forced_unit_back() {
    let gateway = with_caller("forced = { requests = 1, per = \"1h\", burst = 5 }\n").await;
    gateway.balance(Kind::NtxpayBr).await;
    gateway.provider(Kind::NtxpayBr).queue(Fault::on_balance(FaultKind::status(429)));

    let failed = gateway.new_balance(Kind::NtxpayBr).await;
    let held = gateway.new_balance(Kind::NtxpayBr).await;

    failed.assert_problem(503, "provider_busy");
    assert_eq!(units(&failed, "ratelimit", "forced")["r"], 4, "the provider was asked");
    held.assert_problem(503, "provider_busy");
    assert_eq!(units(&held, "ratelimit", "forced")["r"], 4, "the provider was not asked");
    assert_eq!(gateway.count("forced_reads_total{caller=\"all\"}").await, 1);
}

/// Issue 14, item 5.
#[tokio::test]
async fn a_hold_found_through_another_balance_gives_the_first_forced_unit_back() {
    for status in [429, 403] {
        let caller = "forced = { requests = 1, per = \"1h\", burst = 5 }\n".to_owned();
        let gateway = Harness::start(Setup { caller, has_static_tokens: true, ..Setup::default() }).await;
        let of = |currency: &str| format!("/v1/accounts/pluggo-demo/balance?currency={currency}");
        for currency in ["BRL", "USD"] {
            assert_eq!(gateway.get(&of(currency)).await.status, 200);
        }
        let force =
            async |currency: &str| gateway.get_with(&of(currency), &[("cache-control", "no-cache")]).await;
        gateway.provider(Kind::Pluggo).queue(Fault::on_balance(FaultKind::status(status)));
        let failed = force("BRL").await;
        let calls = gateway.provider(Kind::Pluggo).calls().len();

        let held = force("USD").await;

        let left = |reply| units(reply, "ratelimit", "forced")["r"];
        assert_eq!((failed.json()["code"].clone(), left(&failed)), (held.json()["code"].clone(), 4));
        assert_eq!(left(&held), 4, "{status}: the provider was not called");
        assert_eq!(gateway.provider(Kind::Pluggo).calls().len(), calls);
        assert_eq!(gateway.count("forced_reads_total{caller=\"all\"}").await, 1);
    }
}

#[tokio::test]
async fn a_caller_whose_cache_control_is_ignored_demands_only_by_other_means() {
    let gateway = with_caller("cache_control = \"ignored\"\n").await;
    let path = "/v1/accounts/ntxpay-br-demo/balance";
    let cold = gateway.get_with(path, &[("cache-control", "only-if-cached")]).await;

    let mut hits = Vec::new();
    for directive in ["no-cache", "max-age=0", "min-fresh=600", "no-cache, stale-if-error"] {
        hits.push(gateway.get_with(path, &[("cache-control", directive)]).await);
    }
    let not_before = gateway.get(&format!("{path}?not_before=9999-12-31T23:59:59Z")).await;
    let enough = gateway.get("/v1/accounts/ntxpay-br-demo/sufficiency?amount=1").await;
    let report = gateway
        .get_with("/v1/reconciliation?account=ntxpay-br-demo", &[("cache-control", "max-age=60")])
        .await;

    assert_eq!(cold.header("cache-status"), "balance-gateway; fwd=uri-miss; fwd-status=200; stored");
    for hit in hits {
        assert!(hit.header("cache-status").starts_with("balance-gateway; hit; "), "{hit:?}");
    }
    assert_eq!(not_before.header("cache-status"), "balance-gateway; fwd=request; fwd-status=200; stored");
    assert_eq!((enough.status, report.status), (200, 200));
    assert_eq!(gateway.calls(Kind::NtxpayBr, Operation::Balance).len(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forced_reads_leave_a_tenth_of_the_budget_and_are_told() {
    let site = Site::with_provider("", "budget = { requests = 20, per = \"1m\" }").await;
    let gateway = site.serve().await;
    let path = "/v1/accounts/treasury/balance";
    let mut forced = 0;
    let refused = loop {
        let reply = gateway.get_with(path, &[("cache-control", "no-cache")]).await;
        if reply.status != 200 {
            break reply;
        }
        forced += 1;
    };

    let again = gateway.get_with(path, &[("cache-control", "max-age=0")]).await;
    let enough = gateway.get_with("/v1/accounts/treasury/sufficiency?amount=1", &[]).await;
    let not_before = gateway.get_with(&format!("{path}?not_before=9999-12-31T23:59:59Z"), &[]).await;

    // One call was for the token; the last two of twenty are not for headers.
    assert_eq!(forced, 17);
    refused.assert_problem(503, "budget_exhausted");
    again.assert_problem(503, "budget_exhausted");
    assert_eq!((enough.status, not_before.status), (200, 200));
    let told = gateway.logged("budget_spent_by_forced_reads").await;
    assert_eq!(told.len(), 1, "once a minute: {told:?}");
    assert_eq!((&told[0]["level"], &told[0]["account"]), (&json!("WARN"), &json!("treasury")));
    // The first of the reads was no forced one: nothing was stored.
    assert_eq!(told[0]["callers"], "all (16)");
}

#[tokio::test]
async fn forced_reads_have_a_separate_limit() {
    let gateway = with_caller("forced = { requests = 1, per = \"60s\", burst = 2 }\n").await;
    let cold = gateway.new_balance(Kind::NtxpayBr).await;

    let first = gateway.new_balance(Kind::NtxpayBr).await;
    let second = gateway.new_balance(Kind::NtxpayBr).await;
    let refused = gateway.new_balance(Kind::NtxpayBr).await;
    let plain = gateway.balance(Kind::NtxpayBr).await;
    let batch = gateway
        .get_with("/v1/balances?account=ntxpay-br-demo&account=avista-demo", &[("cache-control", "no-cache")])
        .await
        .json();

    // Nothing was cached, so the demand forced no read.
    assert_eq!(units(&cold, "ratelimit", "forced")["r"], 2);
    assert_eq!((first.status, second.status, plain.status), (200, 200, 200));
    assert_eq!(units(&second, "ratelimit", "forced")["r"], 0);
    assert_eq!(
        (units(&cold, "ratelimit-policy", "forced")["q"], units(&cold, "ratelimit-policy", "forced")["w"]),
        (2, 120)
    );
    refused.assert_problem(429, "rate_limited");
    assert!(refused.header("retry-after").parse::<u64>().unwrap() > 50, "{refused:?}");
    assert_eq!(batch["balances"][0]["account"], "avista-demo");
    assert_eq!(batch["errors"][0]["problem"]["code"], "rate_limited");
    assert_eq!(gateway.count("forced_reads_total{caller=\"all\"}").await, 2);
    assert_eq!(gateway.count("rate_limited_total{caller=\"all\",policy=\"forced\"}").await, 2);
}

#[tokio::test]
async fn an_empty_account_name_is_404() {
    let gateway = Harness::usual().await;
    for (method, path) in [("GET", "/v1/accounts//balance"), ("POST", "/v1/accounts//invalidate")] {
        gateway.send(method, path, Some(KEY), &[]).await.assert_problem(404, "account_not_found");
    }
}
