//! The built-in kinds written as declared ones (twins): both accept the same bodies, with byte-identical snapshots, for
//! every fixture and every mutated body. Two documented differences are allowed: the names and the order inside
//! `reported`, and a whole number in quotes, which only a declared kind accepts.

use std::cell::Cell;
use std::path::Path;
use std::rc::Rc;

use balance_gateway::config;
use balance_gateway::domain::{BodyError, Currency, Selector};
use balance_gateway::providers::{Adapter, Provider, find};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::{Map, Value};

use super::mutated::{corpus, mutation::mutation};
use super::twin_kinds::{TWIN_KINDS, TwinKind};
use super::{Fixture, fixtures, selector, snapshot_body};

/// The number of mutants of each twin's corpus.
const CASES: u32 = 10_000;

#[test]
fn a_twin_reads_every_fixture_as_its_built_in_kind_does() {
    for (built_in, twin) in twins() {
        for fixture in fixtures(built_in.kind()) {
            let asked = asked_of(built_in, &fixture);

            assert_alike(built_in, &twin, &asked, &fixture.body, &fixture.name);
        }
    }
}

#[test]
fn a_twin_reads_every_mutant_as_its_built_in_kind_does() {
    for (built_in, twin) in twins() {
        let corpus = corpus(built_in.kind());
        let was_read = Cell::new(0_u32);
        let (balances, others): (Vec<_>, Vec<_>) =
            corpus.iter().cloned().partition(|fixture| fixture.expected.contains_key("available"));
        let chosen = prop_oneof![5 => prop::sample::select(balances), 1 => prop::sample::select(others)];
        let strategy = (chosen, prop::collection::vec(mutation(), 1..4));
        let config = ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() };

        let result = TestRunner::new(config).run(&strategy, |(fixture, mutations): (Rc<Fixture>, _)| {
            let body =
                mutations.iter().fold(fixture.body.clone(), |body, mutation| mutation.apply(body, &corpus));
            let read = assert_alike(built_in, &twin, &asked_of(built_in, &fixture), &body, &fixture.name);
            was_read.set(was_read.get() + u32::from(read));
            Ok(())
        });

        assert!(result.is_ok(), "{built_in:?} {result:?}");
        assert!(was_read.get() > CASES / 50, "{built_in:?}: only {} were balances", was_read.get());
    }
}

/// A declared kind is always asked for a currency.
fn asked_of(built_in: &dyn Provider, fixture: &Fixture) -> Selector {
    let asked = selector(built_in, &fixture.asked);
    let shown = fixture.expected.get("currency").and_then(Value::as_str).and_then(Currency::parse);
    Selector { currency: asked.currency.or(shown).or(Some(Currency::BRL)), ..asked }
}

/// Whether both kinds accept the body; asserts that they agree.
#[track_caller]
fn assert_alike(built_in: &dyn Provider, twin: &Adapter, asked: &Selector, body: &[u8], name: &str) -> bool {
    let (one, other) = (built_in.parse(body, asked), twin.parse(body, asked));
    let shown = || String::from_utf8_lossy(&body[..body.len().min(600)]).into_owned();
    match (one, other) {
        (Ok(one), Ok(other)) => {
            let [mut one, mut other] = [one, other].map(|reading| snapshot_body(built_in, asked, reading));
            assert_eq!(texts(&mut one), texts(&mut other), "{name}: {}", shown());
            assert_eq!(
                Value::Object(one).to_string(),
                Value::Object(other).to_string(),
                "{name}: {}",
                shown()
            );
            true
        }
        (Err(BodyError::Invalid(_)), Ok(other)) => {
            let whole = String::from_utf8_lossy(body);
            let is_quoted = |text: &String| whole.contains(&format!("\"{text}\"")) || whole.contains('\\');
            let is_mx = built_in.kind() == "ntxpay-mx";
            assert!(is_mx && other.reported.iter().any(|(_, text)| is_quoted(text)), "{name}: {}", shown());
            false
        }
        (Err(one), Err(other)) => {
            assert_eq!(verdict(one), verdict(other), "{name}: {}", shown());
            false
        }
        (one, other) => panic!("{name}: {one:?} and {other:?}: {}", shown()),
    }
}

fn verdict(error: BodyError) -> Option<u16> {
    match error {
        BodyError::Invalid(_) => None,
        BodyError::Status(status) => Some(status),
    }
}

/// The texts in `reported`, sorted and removed from a body, because names and order may differ.
fn texts(body: &mut Map<String, Value>) -> Vec<String> {
    let reported = body.remove("reported").unwrap();
    let mut texts: Vec<String> =
        reported.as_object().unwrap().values().map(|text| text.as_str().unwrap().to_owned()).collect();
    texts.sort();
    texts
}

fn twins() -> Vec<(&'static dyn Provider, Adapter)> {
    let twin = |TwinKind { kind, currency, declaration, body }: TwinKind| {
        let text = format!(
            "{declaration}\n\
             [providers.p]\nkind = \"twin\"\nbase_url = \"https://a.example\"\nbudget = {{ requests = 1, per = \"1m\" }}\n\
             [accounts.a]\nprovider = \"p\"\nsecrets = {{ k = {{ env = \"K\" }} }}\n{}\
             [callers.c]\nkeys_sha256 = [\"{}\"]\naccounts = [\"*\"]\n",
            if kind == "pluggo" {
                format!("balances = [{{ currency = \"{currency}\" }}]\n")
            } else {
                String::new()
            },
            "0".repeat(64)
        );
        let variable = |name: &str| Some(if name == "BODY" { body } else { "secret" }.to_owned());
        let config = config::parse(&text, Path::new("twin.toml"), &variable);
        let config = config.unwrap_or_else(|errors| panic!("{errors}"));
        (find(kind).unwrap(), config.providers[0].settings.adapter.clone())
    };
    TWIN_KINDS.into_iter().map(twin).collect()
}
