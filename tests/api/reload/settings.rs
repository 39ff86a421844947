//! Settings that a reload changes: log level, limits, alerts, watches, and those that need a restart.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_log_level_is_taken() {
    let site = site().await;
    site.rewrite("[callers.all]", "[log]\nlevel = \"error\"\n[callers.all]");
    let gateway = site.serve().await;
    site.provider.queue(Fault::on_any(FaultKind::Reset).times(100));
    balance(&gateway).await;
    assert!(gateway.lines_of("provider_failing").is_empty());

    change_and_reload(&gateway, &site, "level = \"error\"", "level = \"debug\"").await;
    eventually("the next failure is in the log", || async {
        balance(&gateway).await;
        gateway.output().contains("\"level\":\"DEBUG\"")
    })
    .await;
}

/// Sends the head of a request without its body, and waits until the gateway has read the head.
async fn begin_with_body(gateway: &Gateway) -> TcpStream {
    let mut stream = TcpStream::connect(&gateway.api).await.unwrap();
    let head = format!(
        "GET {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nContent-Length: 4\r\n\r\nb"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let is_admitted = || async { metric(gateway, "http_requests_in_flight").await == Some(1.0) };
    eventually("the request is in flight", is_admitted).await;
    stream
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_whose_body_comes_after_a_reload_is_answered_by_the_new_configuration() {
    let treasury = "[accounts.treasury]\nprovider = \"ntxpay-br\"\n";
    for (from, to, status) in [
        ("balance_path = \"/api/balance\"", "balance_path = \"/balance\"", "200 OK"),
        (treasury, &format!("{treasury}enabled = false\n"), "503 Service Unavailable"),
        ("accounts = [\"*\"]", "accounts = [\"other\"]", "404 Not Found"),
        (&digest(KEY), &digest("another key"), "401 Unauthorized"),
    ] {
        let site = site().await;
        let gateway = site.serve().await;
        balance(&gateway).await;
        let mut asking = begin_with_body(&gateway).await;

        site.provider.set_field("BRL", None, "netBalance", "100.00");
        change_and_reload(&gateway, &site, from, to).await;
        let answer = exchange(&mut asking, "ody").await.unwrap();

        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{to}: {answer}");
        assert_eq!(answer.contains("\"available\":\"100.00\""), status == "200 OK", "{to}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_callers_limit_keeps_its_state_unless_it_changes() {
    let site = site().await;
    let usual = "limit = { requests = 100000000, per = \"1m\", burst = 100000000 }";
    site.rewrite(usual, "limit = { requests = 1, per = \"10m\", burst = 2 }");
    let gateway = site.serve().await;
    assert_eq!((balance(&gateway).await.status, balance(&gateway).await.status), (200, 200));
    balance(&gateway).await.assert_problem(429, "rate_limited");

    change_and_reload(&gateway, &site, "[callers.all]", "[log]\nrequests = true\n[callers.all]").await;
    balance(&gateway).await.assert_problem(429, "rate_limited");
    change_and_reload(&gateway, &site, "burst = 2", "burst = 3").await;

    assert_eq!(balance(&gateway).await.status, 200);
    eventually("the log of requests is on since", || async { gateway.lines_of("request").len() == 2 }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changed_alert_levels_are_evaluated_at_once_on_the_cached_balance() {
    let site = site().await;
    let gateway = site.serve().await;
    balance(&gateway).await;
    let level =
        |level| format!("alert_active{{account=\"treasury\",currency=\"BRL\",type=\"\",level=\"{level}\"}}");
    let amount = "balance_amount{account=\"treasury\",provider=\"ntxpay-br\",currency=\"BRL\",type=\"\",kind=\"available\"}";
    assert_eq!((metric(&gateway, &level("high")).await, metric(&gateway, amount).await), (None, None));

    let treasury = "[accounts.treasury]";
    let alerts = |high| format!("{treasury}\nalerts = {{ high = \"{high}\" }}");
    change_and_reload(&gateway, &site, treasury, &alerts("48734.90")).await;
    assert_eq!(metric(&gateway, &level("high")).await, Some(0.0));
    change_and_reload(&gateway, &site, &alerts("48734.90"), &alerts("48734.89")).await;
    assert_eq!(metric(&gateway, &level("high")).await, Some(1.0));
    change_and_reload(
        &gateway,
        &site,
        &alerts("48734.89"),
        &format!("[metrics]\nbalances = true\n{treasury}"),
    )
    .await;

    assert_eq!(
        (metric(&gateway, &level("high")).await, metric(&gateway, amount).await),
        (None, Some(48734.9))
    );
    assert_eq!(site.provider.calls().len(), 2, "a token and one balance");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_begins_and_ends_with_the_configuration() {
    let site = Site::with_provider("", &format!("{AMPLE}\nfresh_for = \"1s\"")).await;
    let gateway = site.serve().await;
    let token = site.provider.credentials().token;
    let second = site.account("second", "token").replace("[callers", "watch = \"1s\"\n[callers");
    site.folder.write("token", &token);
    // The accounts have different tokens.
    let reads_with = |is_second: bool| {
        let of_it =
            |call: &Call| call.header("authorization").is_some_and(|it| it.ends_with(&token)) == is_second;
        let calls = site.provider.calls().into_iter();
        calls.filter(|call| call.operation == Operation::Balance && of_it(call)).count()
    };
    let treasury = "[accounts.treasury]";
    let watched = |interval| format!("{treasury}\nwatch = \"{interval}\"");

    assert_eq!(reads_with(false), 0);
    change_and_reload(&gateway, &site, treasury, &watched("1s")).await;
    eventually("the account is read every second", || async { reads_with(false) >= 3 }).await;
    change_and_reload(&gateway, &site, &watched("1s"), &watched("1h")).await;
    let before = reads_with(false);
    change_and_reload(&gateway, &site, "[callers.all]", &second).await;
    eventually("the other account is read every second", || async { reads_with(true) >= 3 }).await;

    // One read may have been in flight.
    assert!(reads_with(false) <= before + 1, "the new interval of an hour is not over");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_needs_a_restart_is_logged_and_the_rest_applies() {
    let site = site().await;
    let gateway = site.serve().await;

    change_and_reload(&gateway, &site, "ops = \"127.0.0.1:0\"", "ops = \"127.0.0.1:1\"\nmax_in_flight = 1")
        .await;

    assert_eq!(gateway.get(&gateway.ops, "/readyz").await.unwrap().status, 200);
    let line = &gateway.logged("config_restart").await[0];
    assert_eq!((line["key"].as_str(), line["level"].as_str()), (Some("server.ops"), Some("WARN")));
    assert!(line["message"].as_str().unwrap().contains("restart"), "{line}");
    assert_eq!(reloads(&gateway).await, [1, 0]);
}
