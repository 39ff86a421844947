//! Every kind of provider × every fixture: how a body is parsed, and the JSON that callers get for it.
//!
//! `tests/fixtures/<kind>/` holds bodies, and `expected.json` the result for each: the fields of the callers' JSON
//! (`like` copies those of another fixture), `invalid` with field and problem, or the `status` that the body reports.
//! `asked` is the selector. `<<…>>` in a body stands for a long text, see [`PLACEHOLDERS`].
#![expect(clippy::unwrap_used, reason = "test code; helpers are not covered by allow-unwrap-in-tests")]

#[path = "contract/kinds.rs"]
mod kinds;
#[path = "contract/mutated.rs"]
mod mutated;
#[path = "contract/twin_kinds.rs"]
mod twin_kinds;
#[path = "contract/twins.rs"]
mod twins;

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use balance_gateway::domain::{
    AccountName, BalanceType, BodyError, Currency, Moment, ObservedAt, ProviderName, Reading, Selector,
    Snapshot,
};
use balance_gateway::providers::{Provider, REGISTRY};
use serde_json::{Map, Value, json};

/// Kinds with the wire format of another kind: they must parse its fixtures, too.
const SAME_PLATFORM: [(&str, &str); 1] = [("avista", "ntxpay-br")];
/// Nesting deep enough to overflow the stack of a recursive parser.
const DEPTH: usize = 100_000;
/// The placeholders in fixtures for texts that are too long to commit.
const PLACEHOLDERS: [(&str, Maker); 5] = [
    ("<<zeros>>", || "0".repeat(64 * 1024 + 1)),
    ("<<arrays>>", || "[".repeat(DEPTH) + &"]".repeat(DEPTH)),
    ("<<objects>>", || r#"{"a":"#.repeat(DEPTH) + "{}" + &"}".repeat(DEPTH)),
    ("<<open-arrays>>", || "[".repeat(DEPTH)),
    ("<<open-objects>>", || r#"{"a":"#.repeat(DEPTH)),
];
/// When the snapshots in this file were requested.
const FETCHED_AT: &str = "2025-11-19T20:18:29.402Z";

type Object = Map<String, Value>;
type Maker = fn() -> String;

#[test]
fn every_fixture_is_read_as_expected() {
    let mut mismatches = Vec::new();
    for provider in REGISTRY {
        for Fixture { name, body, asked, expected } in fixtures(provider.kind()) {
            let selector = selector(provider, &asked);
            let actual = described(provider, &selector, provider.parse(&body, &selector));
            if actual != expected {
                let [expected, actual] = [expected, actual].map(shortened);
                mismatches.push(format!("{provider:?} {name}\n  expected {expected}\n  read as  {actual}"));
            }
        }
    }

    assert!(mismatches.is_empty(), "{} mismatches\n{}", mismatches.len(), mismatches.join("\n"));
}

#[test]
fn every_kind_has_a_folder_and_every_folder_a_kind() {
    let kinds: BTreeSet<_> = REGISTRY.iter().map(|provider| provider.kind().to_owned()).collect();

    assert_eq!(names_in(&root()), kinds);
}

#[test]
fn every_file_is_listed_and_every_listed_file_exists() {
    for folder in names_in(&root()) {
        let mut listed: BTreeSet<_> = expectations(&folder).into_iter().map(|(file, _)| file).collect();
        assert!(listed.contains("documented.json"), "{folder} has no documented body");

        listed.insert("expected.json".to_owned());
        assert_eq!(names_in(&root().join(&folder)), listed, "{folder}");
    }
}

#[test]
fn a_body_cut_anywhere_is_never_a_balance() {
    for provider in REGISTRY {
        let body = documented(provider.kind());
        for cut in 0..body.len() {
            let read = provider.parse(&body.as_bytes()[..cut], &Selector::default());

            assert!(read.is_err(), "{provider:?} {}", &body[..cut]);
        }
    }
}

#[test]
fn an_error_never_contains_a_part_of_the_body() {
    for provider in REGISTRY {
        let body = documented(provider.kind());
        for (position, piece) in (0..body.len()).flat_map(|at| ["4711", r#""4711""#].map(|piece| (at, piece)))
        {
            let (before, after) = body.split_at(position);
            for body in [[before, piece, after].concat(), [before, piece].concat()] {
                let read = provider.parse(body.as_bytes(), &Selector::default());

                let told = read.map_or_else(|error| format!("{error:?}"), |_| String::new());
                assert!(!told.contains("4711"), "{provider:?} {body}: {told}");
            }
        }
    }
}

/// One body and what it must be read as.
struct Fixture {
    /// Folder and file.
    name: String,
    body: Vec<u8>,
    asked: Object,
    expected: Object,
}

impl fmt::Debug for Fixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

fn fixtures(kind: &str) -> Vec<Fixture> {
    let platform = SAME_PLATFORM.into_iter().find(|(brand, _)| *brand == kind).map(|(_, platform)| platform);
    [Some(kind), platform].into_iter().flatten().flat_map(fixtures_in).collect()
}

fn fixtures_in(folder: &str) -> Vec<Fixture> {
    let all = expectations(folder);
    let fixture = |(file, expected): (&String, &Value)| {
        let mut expected = object(expected);
        let asked = expected.remove("asked").as_ref().map(object).unwrap_or_default();
        if let Some(Value::String(like)) = expected.remove("like") {
            let overrides = std::mem::replace(&mut expected, object(&all[&like]));
            expected.extend(overrides);
        }
        let body = expanded(read(&root().join(folder).join(file)));
        Fixture { name: format!("{folder}/{file}"), body, asked, expected }
    };
    all.iter().map(fixture).collect()
}

/// A folder's `expected.json`, placeholders expanded.
fn expectations(folder: &str) -> Object {
    let path = root().join(folder).join("expected.json");
    serde_json::from_slice(&expanded(read(&path)))
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The selector in `asked`. Without one, a balance is requested without a configured currency or type.
fn selector(provider: &dyn Provider, asked: &Object) -> Selector {
    let text = |name| asked.get(name)?.as_str();
    Selector {
        currency: text("currency").and_then(Currency::parse).or(provider.only_currency()),
        r#type: text("type").and_then(BalanceType::parse),
    }
}

/// The outcome in the form of `expected.json`. A balance is described by its snapshot's JSON, without the fields that
/// are the same for every fixture.
fn described(provider: &dyn Provider, asked: &Selector, read: Result<Reading, BodyError>) -> Object {
    let reading = match read {
        Err(BodyError::Invalid(error)) => return object(&json!({"invalid": error.to_string()})),
        Err(BodyError::Status(status)) => return object(&json!({"status": status})),
        Ok(reading) => reading,
    };
    let is_unreadable = reading.observed_at == ObservedAt::Unreadable;
    let mut body = snapshot_body(provider, asked, reading);
    let r#type = asked.r#type.as_ref().map(BalanceType::as_str);
    for (name, value) in [
        ("account", json!("treasury")),
        ("provider", json!(provider.kind())),
        ("type", json!(r#type)),
        ("fetched_at", json!(FETCHED_AT)),
    ] {
        assert_eq!(body.remove(name), Some(value), "{name}");
    }
    if is_unreadable {
        assert_eq!(body.insert("observed_at".to_owned(), json!("unreadable")), Some(Value::Null));
    }
    body
}

#[expect(clippy::disallowed_methods, reason = "a snapshot needs some moment; nothing here judges its age")]
fn snapshot_body(provider: &dyn Provider, asked: &Selector, reading: Reading) -> Object {
    let account = AccountName::parse("treasury").unwrap();
    let provider = ProviderName::parse(provider.kind()).unwrap();
    let requested_at = Moment { monotonic: Instant::now(), wall: FETCHED_AT.parse().unwrap() };
    let snapshot = Snapshot::new(&account, &provider, asked.r#type.as_ref(), requested_at, reading);
    serde_json::from_slice(snapshot.body()).unwrap()
}

fn documented(kind: &str) -> String {
    String::from_utf8(read(&root().join(kind).join("documented.json"))).unwrap().trim_end().to_owned()
}

/// Replaces placeholders; bytes that are not UTF-8 hold none.
fn expanded(bytes: Vec<u8>) -> Vec<u8> {
    let expand = |text: String, (placeholder, make): (&str, Maker)| {
        if text.contains(placeholder) { text.replace(placeholder, &make()) } else { text }
    };
    match String::from_utf8(bytes) {
        Ok(text) => PLACEHOLDERS.into_iter().fold(text, expand).into_bytes(),
        Err(error) => error.into_bytes(),
    }
}

/// Shortens a text for the report.
fn shortened(object: Object) -> String {
    Value::from(object).to_string().chars().take(400).collect()
}

#[track_caller]
fn object(value: &Value) -> Object {
    value.as_object().unwrap_or_else(|| panic!("{value} is no object")).clone()
}

#[track_caller]
fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn names_in(folder: &Path) -> BTreeSet<String> {
    let entries =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    entries.collect()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}
