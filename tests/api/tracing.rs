//! Traces: the spans of requests and reads, and that export affects no request and no provider.

mod collectors;
mod reads;
mod requests;

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
pub(crate) fn trace_to(site: &Site, url: &str) {
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
