//! OTLP messages for spans.

use jiff::Timestamp;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, SpanFlags, Status, span, status};

pub(super) use opentelemetry_proto::tonic::common::v1::KeyValue;
pub(super) use opentelemetry_proto::tonic::trace::v1::Span;
pub(super) use opentelemetry_proto::tonic::trace::v1::span::{Link, SpanKind};

use super::context::SpanContext;

const SAMPLED: u32 = 1;
const IS_REMOTE_IS_KNOWN: u32 = SpanFlags::ContextHasIsRemoteMask as u32;
const IS_REMOTE: u32 = SpanFlags::ContextIsRemoteMask as u32;

/// A span without parent, attributes or links.
pub(super) fn span(
    context: SpanContext,
    name: String,
    kind: SpanKind,
    from: Timestamp,
    to: Timestamp,
) -> Span {
    Span {
        trace_id: context.trace_id.to_be_bytes().to_vec(),
        span_id: context.span_id.to_be_bytes().to_vec(),
        flags: SAMPLED | IS_REMOTE_IS_KNOWN,
        name,
        kind: kind.into(),
        start_time_unix_nano: nanoseconds(from),
        end_time_unix_nano: nanoseconds(to),
        ..Span::default()
    }
}

/// Makes a span the child of one of ours.
pub(super) fn child_of(parent: SpanContext, span: Span) -> Span {
    Span { parent_span_id: parent.span_id.to_be_bytes().to_vec(), ..span }
}

/// Makes a span the child of a caller's span.
pub(super) fn child_of_caller(parent: SpanContext, state: String, span: Span) -> Span {
    Span { trace_state: state, flags: span.flags | IS_REMOTE, ..child_of(parent, span) }
}

/// A link to one of our spans.
pub(super) fn link(to: SpanContext) -> Link {
    Link {
        trace_id: to.trace_id.to_be_bytes().to_vec(),
        span_id: to.span_id.to_be_bytes().to_vec(),
        flags: SAMPLED | IS_REMOTE_IS_KNOWN,
        ..span::Link::default()
    }
}

/// The status of a failed span.
pub(super) fn error() -> Status {
    Status { message: String::new(), code: status::StatusCode::Error.into() }
}

/// A text attribute, if there is a text.
pub(super) fn text<'a>(key: &str, value: impl Into<Option<&'a str>>) -> Option<KeyValue> {
    value.into().map(|text| attribute(key, Value::StringValue(text.to_owned())))
}

/// A number attribute.
pub(super) fn number(key: &str, value: impl Into<i64>) -> KeyValue {
    attribute(key, Value::IntValue(value.into()))
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

/// The export request with these spans.
pub(super) fn batch(spans: Vec<Span>) -> ExportTraceServiceRequest {
    let (name, version) = (env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
    let attributes = [text("service.name", name), text("service.version", version)];
    let scope = InstrumentationScope { name: name.to_owned(), ..InstrumentationScope::default() };
    let spans = ScopeSpans { scope: Some(scope), spans, schema_url: String::new() };
    let resource = Resource { attributes: attributes.into_iter().flatten().collect(), ..Resource::default() };
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(resource),
            scope_spans: vec![spans],
            schema_url: String::new(),
        }],
    }
}

fn nanoseconds(at: Timestamp) -> u64 {
    u64::try_from(at.as_nanosecond()).unwrap_or(0)
}
