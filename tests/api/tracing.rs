//! Traces: the spans of requests and reads, and that export affects no request and no provider.

use std::fs;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use balance_gateway::sandbox::{Fault, FaultKind, Kind};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use prost::Message;
use tokio::net::TcpListener;

use crate::harness::{Harness, KEY, Reply, Setup, eventually, record};
use crate::process::Site;

const BRAZIL: &str = "/v1/accounts/ntxpay-br-demo/balance";
const TREASURY: &str = "/v1/accounts/treasury/balance";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// A collector on a real socket, and the spans it received.
struct Collector {
    url: String,
    received: Arc<Mutex<Vec<ExportTraceServiceRequest>>>,
}

/// All spans of a gateway.
struct Spans(Vec<Span>);

type Received = State<Arc<Mutex<Vec<ExportTraceServiceRequest>>>>;

impl Collector {
    async fn start() -> Self {
        let received = Arc::default();
        let take = async |State(received): Received, headers: http::HeaderMap, body: Bytes| {
            assert_eq!(headers["content-type"], "application/x-protobuf");
            received.lock().unwrap().push(ExportTraceServiceRequest::decode(body).unwrap());
        };
        let router = Router::new().route("/v1/traces", post(take)).with_state(Arc::clone(&received));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, received }
    }

    /// A gateway that exports this share of its traces to the collector.
    async fn gateway(&self, sample: &str, provider: &str) -> Harness {
        Harness::start(Setup { provider: provider.to_owned(), ..setup(&self.url, sample) }).await
    }

    /// Stops the gateway, which flushes its remaining spans.
    async fn spans_of(&self, mut gateway: Harness) -> Spans {
        gateway.begin_shutdown();
        gateway.ended().await;
        self.spans()
    }

    /// The spans received so far.
    fn spans(&self) -> Spans {
        let received = self.received.lock().unwrap();
        record("seen", &format!("{received:?}"));
        let resources = received.iter().flat_map(|request| &request.resource_spans);
        for resource in resources.clone() {
            let service = text(&resource.resource.as_ref().unwrap().attributes, "service.name");
            assert_eq!(service, "balance-gateway");
        }
        Spans(resources.flat_map(|it| &it.scope_spans).flat_map(|it| it.spans.clone()).collect())
    }
}

impl Spans {
    fn of_kind(&self, kind: SpanKind) -> Vec<&Span> {
        self.0.iter().filter(|span| span.kind() == kind).collect()
    }

    fn requests(&self) -> Vec<&Span> {
        self.of_kind(SpanKind::Server)
    }

    fn reads(&self) -> Vec<&Span> {
        self.of_kind(SpanKind::Internal)
    }

    /// The attempts of a read, by operation.
    fn attempts(&self, read: &Span) -> Vec<(String, String)> {
        let attempts = self.of_kind(SpanKind::Client).into_iter();
        let of_read =
            |span: &&Span| (&span.trace_id, &span.parent_span_id) == (&read.trace_id, &read.span_id);
        let said =
            |span: &Span| (attribute(span, "balance_gateway.operation"), attribute(span, "error.type"));
        attempts.filter(of_read).map(said).collect()
    }
}

fn setup(url: &str, sample: &str) -> Setup {
    Setup {
        server: "drain_delay = \"0s\"\n".to_owned(),
        further: format!("[tracing]\notlp = \"{url}\"\nsample = \"{sample}\"\n"),
        ..Setup::default()
    }
}

/// Configures a collector that receives every trace.
fn trace_to(site: &Site, url: &str) {
    let text = fs::read_to_string(&site.config).unwrap();
    fs::write(&site.config, format!("{text}\n[tracing]\notlp = \"{url}\"\nsample = \"1\"\n")).unwrap();
}

fn text(attributes: &[KeyValue], key: &str) -> String {
    let value = attributes.iter().find(|it| it.key == key).and_then(|it| it.value.as_ref()?.value.as_ref());
    match value {
        None => String::new(),
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        other => panic!("{key}: {other:?}"),
    }
}

fn attribute(span: &Span, key: &str) -> String {
    text(&span.attributes, key)
}

/// The spans that a span has links to, by trace and span.
fn links(span: &Span) -> Vec<(&[u8], &[u8])> {
    span.links.iter().map(|link| (&*link.trace_id, &*link.span_id)).collect()
}

fn context(span: &Span) -> (&[u8], &[u8]) {
    (&span.trace_id, &span.span_id)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

fn parent(flags: &str) -> String {
    format!("00-{TRACE}-{PARENT}-{flags}")
}

/// Begins a request with these headers.
fn begin(gateway: &Harness, headers: &[(&str, &str)]) -> tokio::task::JoinHandle<Reply> {
    let request = gateway.request("GET", BRAZIL, Some(KEY));
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    tokio::spawn(async move { Reply::read(request.send().await.unwrap()).await })
}

async fn in_flight(gateway: &Harness, count: u64) {
    let message = "the requests are in flight";
    eventually(message, || async { gateway.count("http_requests_in_flight").await == count }).await;
}

#[tokio::test]
async fn a_request_span_is_a_child_of_the_callers_span() {
    let collector = Collector::start().await;
    let gateway = collector.gateway("0", "").await;

    let headers = [("traceparent", &*parent("01")), ("tracestate", "congo=t61,rojo=00f0")];
    let reply = gateway.get_with(BRAZIL, &headers).await;
    let spans = collector.spans_of(gateway).await;

    assert_eq!(reply.status, 200);
    let [request] = *spans.requests() else { panic!("{:?}", spans.0) };
    assert_eq!((&*hex(&request.trace_id), &*hex(&request.parent_span_id)), (TRACE, PARENT));
    assert_eq!(request.trace_state, "congo=t61,rojo=00f0");
    assert_eq!(request.name, "GET /v1/accounts/{account}/balance");
    assert!(request.start_time_unix_nano > 0 && request.start_time_unix_nano < request.end_time_unix_nano);
    assert!(request.status.is_none());
    for (key, value) in [
        ("http.request.method", "GET"),
        ("http.route", "/v1/accounts/{account}/balance"),
        ("http.response.status_code", "200"),
        ("balance_gateway.caller", "all"),
        ("balance_gateway.account", "ntxpay-br-demo"),
        ("balance_gateway.outcome", "miss"),
        ("balance_gateway.request_id", reply.header("x-request-id")),
        ("error.type", ""),
    ] {
        assert_eq!(attribute(request, key), value, "{key}");
    }
}

#[tokio::test]
async fn a_read_is_a_separate_trace_with_its_attempts() {
    let collector = Collector::start().await;
    let gateway = collector.gateway("1", "").await;
    gateway.provider(Kind::NtxpayBr).queue(Fault::on_balance(FaultKind::status(500)));
    gateway.provider(Kind::NtxpayBr).queue(Fault::on_balance(FaultKind::status(503)));

    gateway.get(BRAZIL).await;
    let spans = collector.spans_of(gateway).await;

    let ([request], [read]) = (&*spans.requests(), &*spans.reads()) else { panic!("{:?}", spans.0) };
    assert_eq!(links(request), [context(read)]);
    assert_ne!(request.trace_id, read.trace_id);
    assert!(read.parent_span_id.is_empty() && read.links.is_empty());
    assert_eq!(attribute(read, "balance_gateway.provider"), "ntxpay-br");
    assert_eq!(attribute(read, "balance_gateway.account"), "ntxpay-br-demo");
    let attempts = [("token", ""), ("balance", "status")];
    assert_eq!(spans.attempts(read), attempts.map(|(a, b)| (a.to_owned(), b.to_owned())));
    assert_eq!(attribute(read, "error.type"), "status");
    assert_eq!(attribute(request, "error.type"), "provider_error");
    assert_eq!(attribute(request, "balance_gateway.outcome"), "error");
    for span in [request, read] {
        assert_eq!(span.status.as_ref().unwrap().code(), StatusCode::Error);
    }
}

#[tokio::test]
async fn three_callers_link_to_the_one_read_they_waited_for() {
    let collector = Collector::start().await;
    let gateway = collector.gateway("1", "").await;
    gateway.provider(Kind::NtxpayBr).queue(Fault::on_balance(FaultKind::Delay { ms: 2_000 }));

    let asking = [(); 3].map(|()| begin(&gateway, &[]));
    in_flight(&gateway, 3).await;
    gateway.provider(Kind::NtxpayBr).end_delays();
    for task in asking {
        assert_eq!(task.await.unwrap().status, 200);
    }
    let spans = collector.spans_of(gateway).await;

    let [read] = *spans.reads() else { panic!("{:?}", spans.0) };
    let linked: Vec<_> = spans.requests().into_iter().map(links).collect();
    assert_eq!(linked, vec![vec![context(read)]; 3]);
}

#[tokio::test]
async fn a_read_of_an_unsampled_request_is_exported_for_a_sampled_waiter() {
    let collector = Collector::start().await;
    let gateway = collector.gateway("0", "").await;
    gateway.provider(Kind::NtxpayBr).queue(Fault::on_balance(FaultKind::Delay { ms: 2_000 }));

    let leader = begin(&gateway, &[]);
    gateway.provider(Kind::NtxpayBr).wait_for_calls(2).await;
    let waiters = ["01", "00", "01"].map(|flags| begin(&gateway, &[("traceparent", &parent(flags))]));
    in_flight(&gateway, 4).await;
    gateway.provider(Kind::NtxpayBr).end_delays();
    leader.await.unwrap();
    for task in waiters {
        assert_eq!(task.await.unwrap().status, 200);
    }
    let spans = collector.spans_of(gateway).await;

    let [read] = *spans.reads() else { panic!("{:?}", spans.0) };
    let linked: Vec<_> = spans.requests().into_iter().map(links).collect();
    assert_eq!(linked, vec![vec![context(read)]; 2]);
    assert_eq!(spans.attempts(read).len(), 2);
}

#[tokio::test]
async fn a_request_that_stops_waiting_is_linked_to_its_read() {
    let collector = Collector::start().await;
    let gateway = collector.gateway("0", "").await;
    gateway.provider(Kind::NtxpayBr).queue(Fault::on_balance(FaultKind::Delay { ms: 2_000 }));

    let staying = begin(&gateway, &[]);
    gateway.provider(Kind::NtxpayBr).wait_for_calls(2).await;
    let headers = [("traceparent", &*parent("01")), ("prefer", "wait=0")];
    gateway.get_with(BRAZIL, &headers).await.assert_problem(504, "deadline_exceeded");
    gateway.provider(Kind::NtxpayBr).end_delays();
    assert_eq!(staying.await.unwrap().status, 200);
    let spans = collector.spans_of(gateway).await;

    let ([request], [read]) = (&*spans.requests(), &*spans.reads()) else { panic!("{:?}", spans.0) };
    assert_eq!(links(request), [context(read)]);
    assert_eq!(attribute(request, "error.type"), "deadline_exceeded");
}

#[tokio::test]
async fn an_abandoned_request_has_a_span_and_a_link() {
    let collector = Collector::start().await;
    let gateway = collector.gateway("0", "").await;
    gateway.provider(Kind::NtxpayBr).queue(Fault::on_balance(FaultKind::Delay { ms: 2_000 }));

    let staying = begin(&gateway, &[]);
    gateway.provider(Kind::NtxpayBr).wait_for_calls(2).await;
    let leaving = begin(&gateway, &[("traceparent", &parent("01")), ("x-request-id", "leaving")]);
    in_flight(&gateway, 2).await;
    leaving.abort();
    in_flight(&gateway, 1).await;
    gateway.provider(Kind::NtxpayBr).end_delays();
    assert_eq!(staying.await.unwrap().status, 200);
    let spans = collector.spans_of(gateway).await;

    let ([request], [read]) = (&*spans.requests(), &*spans.reads()) else { panic!("{:?}", spans.0) };
    assert_eq!(links(request), [context(read)]);
    assert_eq!(request.name, "GET /v1/accounts/{account}/balance");
    assert_eq!(attribute(request, "balance_gateway.request_id"), "leaving");
    assert_eq!(attribute(request, "error.type"), "abandoned");
    assert_eq!(attribute(request, "http.response.status_code"), "");
    assert_eq!(request.status.as_ref().unwrap().code(), StatusCode::Error);
}

#[tokio::test]
async fn a_hit_has_no_link_and_a_batch_has_one_per_read() {
    let collector = Collector::start().await;
    let gateway = collector.gateway("1", "").await;

    gateway.get("/v1/balances").await;
    gateway.get(BRAZIL).await;
    let spans = collector.spans_of(gateway).await;

    let [batch, hit] = *spans.requests() else { panic!("{:?}", spans.0) };
    assert_eq!((batch.links.len(), spans.reads().len()), (6, 6));
    assert_eq!(attribute(hit, "balance_gateway.outcome"), "hit");
    assert!(hit.links.is_empty());
}

#[tokio::test]
async fn a_parents_sampling_decision_overrides_the_configured_share() {
    for (sample, flags, is_sent) in
        [("1", Some("00"), false), ("0", Some("01"), true), ("1", None, true), ("0", None, false)]
    {
        let collector = Collector::start().await;
        let gateway = collector.gateway(sample, "").await;

        let parent = flags.map(parent);
        let headers: Vec<_> = parent.iter().map(|parent| ("traceparent", &**parent)).collect();
        let reply = gateway.get_with(BRAZIL, &headers).await;
        let spans = collector.spans_of(gateway).await;

        assert_eq!(reply.status, 200);
        // The request, the read, a token and a balance.
        assert_eq!(spans.0.len(), if is_sent { 4 } else { 0 }, "{sample} {flags:?} {:?}", spans.0);
    }
}

#[tokio::test]
async fn a_malformed_parent_is_ignored() {
    let collector = Collector::start().await;
    let gateway = collector.gateway("1", "").await;

    let malformed = format!("00-{}-{PARENT}-00", TRACE.to_uppercase());
    let headers = [("traceparent", &*malformed), ("tracestate", "congo=t61")];
    let reply = gateway.get_with(BRAZIL, &headers).await;
    let spans = collector.spans_of(gateway).await;

    assert_eq!(reply.status, 200);
    let [request] = *spans.requests() else { panic!("{:?}", spans.0) };
    assert!(request.parent_span_id.is_empty() && request.trace_state.is_empty());
    assert_ne!(hex(&request.trace_id), TRACE);
}

#[tokio::test]
async fn a_refused_request_has_a_span_and_a_page_has_none() {
    let collector = Collector::start().await;
    let gateway = collector.gateway("1", "").await;

    gateway.send("GET", "/v1/accounts/other/balance", Some("bgk_unknown"), &[]).await;
    gateway.send("BREW", "/v1/nothing", Some(KEY), &[]).await;
    gateway.send("GET", "/nothing", None, &[]).await;
    let spans = collector.spans_of(gateway).await;

    let [unknown, nothing] = *spans.requests() else { panic!("{:?}", spans.0) };
    assert_eq!(attribute(unknown, "http.response.status_code"), "401");
    assert_eq!(attribute(unknown, "balance_gateway.account"), "");
    assert_eq!(attribute(unknown, "error.type"), "unauthenticated");
    assert_eq!((&*nothing.name, &*attribute(nothing, "balance_gateway.caller")), ("_OTHER", "all"));
    assert!(unknown.status.is_none());
}

#[tokio::test]
async fn providers_get_no_trace_context_and_the_collector_no_amount_or_secret() {
    let collector = Collector::start().await;
    let gateway = collector.gateway("1", "").await;

    let parent = parent("01");
    let headers = [("traceparent", &*parent), ("tracestate", "congo=t61"), ("baggage", "user=1")];
    let reply = gateway.get_with("/v1/balances", &headers).await;
    let calls: Vec<_> = Kind::ALL.iter().flat_map(|kind| gateway.provider(*kind).calls()).collect();
    let secrets = Kind::ALL.map(|kind| gateway.provider(kind).credentials());
    let spans = collector.spans_of(gateway).await;

    assert_eq!(reply.json()["complete"], true);
    assert!(calls.len() > Kind::ALL.len());
    for call in calls {
        for name in ["traceparent", "tracestate", "baggage"] {
            assert_eq!(call.header(name), None, "{call:?}");
        }
    }
    let sent = format!("{:?}", spans.0);
    assert!(sent.contains("pluggo-demo"), "{sent}");
    for credentials in secrets {
        for secret in [credentials.client_secret, credentials.token, credentials.api_key] {
            assert!(!sent.contains(&secret), "{sent}");
        }
    }
    for hidden in [KEY, "48734", "20000.25", "1250.75", "310.2", "0.12345678"] {
        assert!(!sent.contains(hidden), "{hidden} in {sent}");
    }
}

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
