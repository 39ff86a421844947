//! Collectors that are unreachable, hang, or are switched on and off by a reload.

use super::*;

#[tokio::test]
async fn an_unreachable_collector_delays_no_request_and_lost_spans_are_logged() {
    let unused = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let site = Site::with_provider("drain_delay = \"0s\"", "").await;
    trace_to(&site, &format!("http://{unused}"));
    let mut gateway = site.serve().await;

    for _ in 0..20 {
        assert_eq!(gateway.get(&gateway.api, TREASURY).await.unwrap().status, 200);
    }
    gateway.signal("TERM");
    let ended = gateway.ended().await;

    assert!(ended.success());
    let lost: u64 =
        gateway.lines_of("spans_dropped").iter().map(|line| line["spans"].as_u64().unwrap()).sum();
    // The requests, one read, a token and a balance.
    assert_eq!(20 + 3, lost, "{}", gateway.output());
}

#[tokio::test]
async fn a_reload_switches_tracing_on_and_off() {
    let collector = Collector::start().await;
    let site = Site::with_provider("drain_delay = \"0s\"", "").await;
    let without = fs::read_to_string(&site.config).unwrap();
    let mut gateway = site.serve().await;
    let reloaded = async |count: usize| {
        gateway.signal("HUP");
        let is_taken = || async { gateway.lines_of("config_reloaded").len() == count };
        eventually("the configuration is accepted", is_taken).await;
    };

    gateway.get(&gateway.api, TREASURY).await.unwrap();
    trace_to(&site, &collector.url);
    reloaded(1).await;
    gateway.get(&gateway.api, "/v1/accounts").await.unwrap();
    fs::write(&site.config, without).unwrap();
    reloaded(2).await;
    gateway.get(&gateway.api, TREASURY).await.unwrap();
    // The former exporter still sends its remaining spans.
    eventually("spans arrive", || async { !collector.received.lock().unwrap().is_empty() }).await;
    gateway.signal("TERM");
    gateway.ended().await;

    let names: Vec<_> = collector.spans().0.into_iter().map(|span| span.name).collect();
    assert_eq!(names, ["GET /v1/accounts"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hanging_collector_loses_spans_and_delays_no_request() {
    // The kernel accepts the connection, and no answer comes.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut gateway = Harness::start(setup(&format!("http://{}", silent.local_addr().unwrap()), "1")).await;
    gateway.get(BRAZIL).await;

    // More than the queue and two batches can hold.
    for _ in 0..4_000 {
        assert_eq!(gateway.get(BRAZIL).await.status, 200);
    }
    let ending = Instant::now();
    gateway.begin_shutdown();
    gateway.ended().await;

    assert!(ending.elapsed() < Duration::from_secs(5), "{:?}", ending.elapsed());
}
