//! Compares an answer with its description in the document.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{NO_OPERATION, Request};
use crate::harness::Reply;

/// Headers of HTTP itself.
const NOT_OURS: [&str; 3] = ["content-type", "content-length", "date"];
/// Masks values that differ between two answers: times, ids, waits.
pub(super) fn masked(value: &Value) -> Value {
    const CHANGING: [&str; 6] =
        ["observed_at", "fetched_at", "not_before", "report_date", "request_id", "retry_after"];
    match value {
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| {
                let is_changing = CHANGING.contains(&name.as_str()) && !value.is_null();
                (name.clone(), if is_changing { Value::from("…") } else { masked(value) })
            })
            .collect(),
        Value::Array(items) => items.iter().map(masked).collect(),
        other => other.clone(),
    }
}

/// Masks the times of a CSV table.
pub(super) fn masked_table(table: &str) -> String {
    let is_moment = |field: &&str| field.starts_with("20") && field.ends_with('Z');
    let mask = |field| if is_moment(&field) { "…" } else { field };
    table.split(',').map(mask).collect::<Vec<_>>().join(",")
}

/// Asserts that the document describes every part of an answer; returns the names of its headers.
#[track_caller]
pub(super) fn described_headers(document: &Value, request: &Request, reply: &Reply) -> BTreeSet<String> {
    if request.pattern == NO_OPERATION {
        return BTreeSet::new();
    }
    // An unsupported method is described with any operation of the path.
    let method = if request.method == "POST" { "post" } else { "get" };
    let answer = &document["paths"][request.pattern][method]["responses"][reply.status.to_string()];
    assert!(answer.is_object(), "{} {} has no {}", request.method, request.pattern, reply.status);
    let described: BTreeSet<_> =
        answer["headers"].as_object().unwrap().keys().map(|name| name.to_ascii_lowercase()).collect();
    let sent: BTreeSet<_> = reply.headers.keys().map(|name| name.as_str().to_owned()).collect();
    let ours: BTreeSet<_> = sent.into_iter().filter(|name| !NOT_OURS.contains(&&**name)).collect();
    let silent: Vec<_> = ours.difference(&described).collect();
    assert!(silent.is_empty(), "{silent:?} of {} {}: {reply:?}", request.pattern, reply.status);
    ours
}

/// Asserts that an object, and every object inside it, has all required fields of its schema and no others.
#[track_caller]
pub(super) fn assert_fields(document: &Value, schema: &Value, value: &Value, place: &str) {
    match value {
        Value::Object(fields) => {
            let described = properties(document, schema);
            if described.is_empty() {
                assert!(schema["additionalProperties"].is_object(), "{place} is not described");
                return;
            }
            let names: BTreeSet<_> = described.iter().map(|(name, ..)| name.as_str()).collect();
            let missing: Vec<_> = described
                .iter()
                .filter(|(name, is_required, _)| *is_required && !fields.contains_key(name))
                .collect();
            assert!(missing.is_empty(), "{place} lacks {missing:?}");
            for (name, value) in fields {
                assert!(names.contains(name.as_str()), "{place}.{name} is not described");
                let (.., schema) = described.iter().find(|(described, ..)| described == name).unwrap();
                assert_fields(document, schema, value, &format!("{place}.{name}"));
            }
        }
        Value::Array(items) => {
            for item in items {
                assert_fields(document, &resolved(document, schema)["items"], item, place);
            }
        }
        _ => {}
    }
}

/// Name, whether it is required, and schema of each field.
fn properties(document: &Value, schema: &Value) -> Vec<(String, bool, Value)> {
    let schema = resolved(document, schema);
    let mut found: Vec<_> = schema["allOf"]
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(|part| properties(document, part))
        .collect();
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        found.push((name.clone(), required.contains(&Value::from(name.as_str())), property.clone()));
    }
    found
}

fn resolved<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str() {
        Some(reference) => document.pointer(reference.trim_start_matches('#')).unwrap(),
        None => schema,
    }
}
