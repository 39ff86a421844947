//! The answers of an operation: its successes, and one answer with problems per status.

use std::collections::BTreeMap;

use serde_json::Value;
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::{Content as Described, ContentBuilder, Object, Ref, RefOr, Responses, Schema, Type};

use super::headers::{self as header, Header};
use super::operations::{Content, DocumentedAnswer, Operation};
use super::schemas;
use crate::http::problem::Code;

/// Headers of every answer.
const ALWAYS: &[&Header] = &[&header::REQUEST_ID, &header::PREFERENCE_APPLIED];
/// Headers of every answer to a known caller.
const CALLER: &[&Header] = &[&header::RATE_LIMIT_POLICY, &header::RATE_LIMIT];

/// All answers of an operation.
pub(crate) fn of(operation: &Operation) -> Responses {
    let common = [ALWAYS, operation.headers, CALLER].concat();
    // An unknown caller has no limit to show.
    let unknown = [ALWAYS, operation.headers].concat();
    let mut by_status = BTreeMap::<u16, Vec<Code>>::new();
    for code in operation.problems.iter().copied().flatten() {
        by_status.entry(code.status().as_u16()).or_default().push(*code);
    }
    let answers =
        operation.answers.iter().map(|answer| (answer.status.to_owned(), describe(answer, &common)));
    let problems = by_status.iter().map(|(status, codes)| {
        (
            status.to_string(),
            problem(codes, if codes.contains(&Code::Unauthenticated) { &unknown } else { &common }),
        )
    });
    answers.chain(problems).map(|(status, answer)| (status, RefOr::from(answer))).collect()
}

fn describe(answer: &DocumentedAnswer, common: &[&Header]) -> ResponseBuilder {
    let described = ResponseBuilder::new().description(answer.description);
    let described = with_headers(described, &[common, answer.headers]);
    match &answer.content {
        Content::Nothing => described,
        Content::Json { schema, example } => described.content("application/json", json(schema, example)),
        Content::JsonOrCsv { schema, example, csv } => {
            let csv = csv.replace('\n', "\r\n");
            let text = RefOr::<Schema>::from(Object::with_type(Type::String));
            let table = ContentBuilder::new().schema(Some(text)).example(Some(Value::from(csv))).build();
            described.content("application/json", json(schema, example)).content("text/csv", table)
        }
        Content::Events(example) => {
            let text = RefOr::<Schema>::from(Object::with_type(Type::String));
            let events =
                ContentBuilder::new().schema(Some(text)).example(Some(Value::from(*example))).build();
            described.content("text/event-stream", events)
        }
    }
}

fn json(schema: &str, example: &str) -> Described {
    let schema = RefOr::<Schema>::from(schemas::reference(schema));
    let example: Option<Value> = serde_json::from_str(example).ok();
    ContentBuilder::new().schema(Some(schema)).example(example).build()
}

/// Every problem of one status.
fn problem(codes: &[Code], common: &[&Header]) -> ResponseBuilder {
    let titles: Vec<_> = codes.iter().map(|code| format!("`{}`: {}.", code.as_str(), code.title())).collect();
    let own: Vec<&Header> = codes.iter().flat_map(|code| headers_of(*code)).copied().collect();
    let described = ResponseBuilder::new().description(titles.join(" "));
    let described = with_headers(described, &[common, &[&header::CACHE_CONTROL], &own]);
    let schema = RefOr::<Schema>::from(schemas::reference("Problem"));
    let examples = codes.iter().map(|code| {
        let reference = Ref::new(format!("#/components/examples/{}", code.as_str()));
        (code.as_str(), RefOr::Ref(reference))
    });
    let content = ContentBuilder::new().schema(Some(schema)).examples_from_iter(examples).build();
    described.content("application/problem+json", content)
}

/// The headers that a problem has in addition to those of every answer.
fn headers_of(code: Code) -> &'static [&'static Header] {
    match code {
        Code::Unauthenticated => &[&header::WWW_AUTHENTICATE],
        Code::MethodNotAllowed => &[&header::ALLOW],
        Code::RateLimited
        | Code::ProviderUnreachable
        | Code::ProviderError
        | Code::ProviderInvalidResponse
        | Code::ProviderRefusedCredentials
        | Code::ProviderBusy
        | Code::ProviderSuspended
        | Code::BudgetExhausted
        | Code::Disabled
        | Code::Overloaded
        | Code::ProviderTimeout => &[&header::RETRY_AFTER],
        Code::InvalidRequest
        | Code::UnsupportedCurrency
        | Code::UnsupportedType
        | Code::AccountNotFound
        | Code::NotFound
        | Code::NotAcceptable
        | Code::ContentTooLarge
        | Code::ProviderLags
        | Code::DeadlineExceeded
        | Code::NotCached
        | Code::Internal => &[],
    }
}

fn with_headers(described: ResponseBuilder, groups: &[&[&Header]]) -> ResponseBuilder {
    let headers = groups.iter().copied().flatten();
    headers.fold(described, |described, header| described.header_ref(header.name, header.reference()))
}
