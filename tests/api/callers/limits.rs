//! A caller's limit: units, order of the checks, and `Retry-After`.

use super::*;

#[tokio::test]
async fn a_caller_over_its_limit_is_served_after_retry_after() {
    let gateway = with_caller("limit = { requests = 60, per = \"1m\", burst = 2 }\n").await;
    let begun = Instant::now();
    let (first, second) = (gateway.get(BRAZIL).await, gateway.get(BRAZIL).await);

    let refused = gateway.get(BRAZIL).await;
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    let refusals = Cell::new(1);
    let ask = || async {
        let reply = gateway.get(BRAZIL).await;
        refusals.update(|count| count + u64::from(reply.status == 429));
        if reply.status == 429 { Err(reply) } else { Ok(reply) }
    };
    let served = retry_within(Duration::from_secs(wait), ask).await;
    let took = begun.elapsed();

    assert_eq!((first.status, second.status, wait), (200, 200, 1));
    refused.assert_problem(429, "rate_limited");
    assert_eq!(units(&refused, "ratelimit", "caller")["r"], 0);
    assert_eq!(served.expect("the caller is served after Retry-After at the latest").status, 200);
    assert!(took >= Duration::from_secs(1), "a unit comes back after a second: {took:?}");
    assert_eq!(gateway.count("rate_limited_total{caller=\"all\",policy=\"caller\"}").await, refusals.get());
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
    // Two units are missing, and each takes ten seconds to come back.
    assert!((11..=20).contains(&wait), "{refused:?}");
    assert_eq!(units(&refused, "ratelimit", "caller")["r"], 4, "a refusal costs nothing");
    assert_eq!(most.status, 200);
    assert_eq!(units(&most, "ratelimit", "caller")["r"], 0);
}

#[tokio::test]
async fn a_batch_is_charged_as_a_whole_and_its_retry_after_covers_all_its_units() {
    let gateway = with_caller("limit = { requests = 12, per = \"1m\", burst = 2 }\n").await;
    let four = "/v1/balances?account=pluggo-demo&account=ntxpay-br-demo";

    let served = gateway.get(four).await;
    let refused = gateway.get(four).await;
    let again = gateway.get(four).await;
    let single = gateway.balance(Kind::NtxpayBr).await;

    assert_eq!((served.status, units(&served, "ratelimit", "caller")["r"]), (200, 0));
    // The batch costs the whole burst: two units, each back after five seconds. A single balance costs one unit.
    let waits = |reply: &Reply| reply.header("retry-after").parse::<u64>().unwrap();
    for reply in [&refused, &again] {
        reply.assert_problem(429, "rate_limited");
        assert!((6..=10).contains(&waits(reply)), "{reply:?}");
    }
    single.assert_problem(429, "rate_limited");
    assert!(waits(&single) <= 5, "a refused request costs nothing: {single:?}");
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
