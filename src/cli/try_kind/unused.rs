//! Members of a body that look like money and that no role reads: how a person notices what a mapping leaves out.

use serde_json::Value;

use crate::domain::{Amount, Currency};
use crate::providers::declared::MappingReader;

/// The pointers of all such members, with `[*]` for the rows of an array. Of nested members, only the outermost is
/// listed.
pub(super) fn members(body: &[u8], mapping: &MappingReader) -> Vec<String> {
    let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
    // A body with a number that no float can hold is not parsed here: then nothing is listed.
    let Ok(body) = serde_json::from_slice::<Value>(body) else { return Vec::new() };
    let read: Vec<String> = mapping.mapping().pointers();
    let mut unused = Vec::new();
    walk(&body, "", &read, &mut unused);
    unused
}

fn walk(value: &Value, path: &str, read: &[String], unused: &mut Vec<String>) {
    if read.iter().any(|pointer| pointer == path) && !matches!(value, Value::Array(_) | Value::Object(_)) {
        return;
    }
    let below = |pointer: &String| {
        pointer == path || pointer.strip_prefix(path).is_some_and(|rest| rest.starts_with(['/', '[']))
    };
    if !path.is_empty() && !read.iter().any(below) {
        if looks_like_money(value) && !unused.iter().any(|known| known == path) {
            unused.push(path.to_owned());
        }
        return;
    }
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                let name = name.replace('~', "~0").replace('/', "~1");
                walk(value, &format!("{path}/{name}"), read, unused);
            }
        }
        Value::Array(rows) => rows.iter().for_each(|row| walk(row, &format!("{path}[*]"), read, unused)),
        _ => {}
    }
}

/// A number, a text with a number, or a value that contains one.
fn looks_like_money(value: &Value) -> bool {
    match value {
        Value::Number(_) => true,
        Value::String(text) => Amount::parse(text, Currency::BRL).is_ok(),
        Value::Array(rows) => rows.iter().any(looks_like_money),
        Value::Object(members) => members.values().any(looks_like_money),
        Value::Null | Value::Bool(_) => false,
    }
}
