//! Mutated bodies: each case is a fixture after a few mutations. If a mutated body is still accepted, the answer must
//! show exactly the numbers in it. A mutant that fails here is added to the fixtures.

pub(super) mod mutation;

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use balance_gateway::domain::{Amount, AmountError, Currency, Selector};
use balance_gateway::providers::{Provider, REGISTRY};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::value::RawValue;

use super::{Fixture, fixtures, object, read, root, selector, snapshot_body};
use mutation::mutation;

/// The number of mutants of each kind's corpus; `PROPTEST_CASES` sets a higher one.
const CASES: u32 = 1000;
/// Far longer than parsing a body takes, because the machine may be busy.
const TEST_TIMEOUT: Duration = Duration::from_secs(10);

#[test]
fn no_mutant_causes_a_panic_or_another_amount() {
    for provider in REGISTRY {
        let corpus = corpus(provider.kind());
        let was_read = Cell::new(0);
        let (balances, others): (Vec<_>, Vec<_>) =
            corpus.iter().cloned().partition(|fixture| fixture.expected.contains_key("available"));
        let chosen = prop_oneof![5 => prop::sample::select(balances), 1 => prop::sample::select(others)];
        let strategy = (chosen, prop::collection::vec(mutation(), 1..4));
        let config = config();
        let cases = config.cases;

        let result = TestRunner::new(config).run(&strategy, |(fixture, mutations)| {
            let body =
                mutations.iter().fold(fixture.body.clone(), |body, mutation| mutation.apply(body, &corpus));
            let read = assert_faithful(provider, &selector(provider, &fixture.asked), &body);
            was_read.set(was_read.get() + u32::from(read));
            Ok(())
        });

        assert!(result.is_ok(), "{provider:?} {result:?}");
        assert!(was_read.get() > cases / 50, "{provider:?} only {} mutants were balances", was_read.get());
    }
}

fn config() -> ProptestConfig {
    let usual = ProptestConfig::default();
    ProptestConfig { cases: usual.cases.max(CASES), failure_persistence: None, ..usual }
}

/// The bodies of a kind as committed, without expanded placeholders: mutations make long texts themselves.
pub(super) fn corpus(kind: &str) -> Vec<Rc<Fixture>> {
    let as_committed =
        |fixture: Fixture| Rc::new(Fixture { body: read(&root().join(&fixture.name)), ..fixture });
    fixtures(kind).into_iter().map(as_committed).collect()
}

/// Whether the body is parsed as a balance. If so, asserts that the body contains the figures of the balance.
#[expect(clippy::disallowed_methods, reason = "a test measures with the real clock")]
fn assert_faithful(provider: &dyn Provider, asked: &Selector, body: &[u8]) -> bool {
    let started = Instant::now();
    let reading = provider.parse(body, asked);
    assert!(started.elapsed() < TEST_TIMEOUT, "took {:?}", started.elapsed());
    let Ok(reading) = reading else { return false };
    let text = String::from_utf8_lossy(body);
    let shown = snapshot_body(provider, asked, reading);
    for (field, reported) in &object(&shown["reported"]) {
        let reported = reported.as_str().unwrap();
        // Bodies with escapes are not searched; fixtures test escapes.
        assert!(text.contains('\\') || stands_in(&text, field, reported), "{field} is not {reported}");
        let (name, decimals) = served_as(field);
        assert!(
            is_same_number(reported, shown[name].as_str().unwrap(), decimals),
            "{field} {reported} is shown as {}",
            shown[name]
        );
    }
    assert!(!shown["available"].is_null());
    true
}

/// The name under which callers get a field, and the decimals by which its unit is smaller.
fn served_as(field: &str) -> (&'static str, i64) {
    match field {
        "netBalance" | "balance" => ("available", 0),
        "availableCentavos" => ("available", 2),
        "blockedBalance" | "blocked" => ("blocked", 0),
        "pendingCentavos" => ("blocked", 2),
        "grossBalance" => ("total", 0),
        "reserve" => ("reserved", 0),
        "processing" => ("processing", 0),
        _ => panic!("{field} is not a money field"),
    }
}

/// Whether the field has exactly this text as its value somewhere in the body.
fn stands_in(body: &str, field: &str, value: &str) -> bool {
    let is_white = |byte: char| " \t\r\n".contains(byte);
    body.match_indices(&format!("\"{field}\"")).any(|(at, name)| {
        let rest = body[at + name.len()..].trim_start_matches(is_white);
        let rest = rest.strip_prefix(':').unwrap_or_default().trim_start_matches(is_white);
        let rest = rest.strip_prefix('"').unwrap_or(rest).strip_prefix(value);
        rest.is_some_and(|rest| rest.starts_with(|next| "\",}".contains(next) || is_white(next)))
    })
}

/// Compares digits and the place of the decimal point, with none of the gateway's own code.
fn is_same_number(reported: &str, shown: &str, decimals: i64) -> bool {
    let (sign, digits, exponent) = normalised(reported);
    (sign, digits, exponent - if exponent == i64::MAX { 0 } else { decimals }) == normalised(shown)
}

/// The sign, the digits without leading and trailing zeros, and the exponent of the last digit. Zero has no digits and
/// the exponent `i64::MAX`.
fn normalised(number: &str) -> (bool, String, i64) {
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = [whole.trim_start_matches('-'), fraction].concat();
    let significant = digits.trim_end_matches('0');
    if significant.trim_start_matches('0').is_empty() {
        return (false, String::new(), i64::MAX);
    }
    let dropped = digits.len() - significant.len();
    let exponent = exponent.parse::<i64>().unwrap() + i64::try_from(dropped).unwrap()
        - i64::try_from(fraction.len()).unwrap();
    (whole.starts_with('-'), significant.trim_start_matches('0').to_owned(), exponent)
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_text_is_a_number_exactly_where_json_says_so(
        text in "-?[0-9]{0,32}(\\.[0-9]{0,32})?([eE][+-]?[0-9]{0,3})?|[-+0-9.eE ]{0,8}|\\PC{0,8}",
    ) {
        let json = serde_json::from_str::<&RawValue>(&text).map(RawValue::get);
        let is_number = json.is_ok_and(|raw| raw == text && raw.starts_with(|first: char| first == '-' || first.is_ascii_digit()));

        match Amount::parse(&text, Currency::BRL) {
            Err(AmountError::NotANumber) => prop_assert!(!is_number),
            Err(_) => prop_assert!(is_number),
            Ok(amount) => {
                prop_assert!(is_number);
                prop_assert!(is_same_number(&text, &amount.to_string(), 0), "{} is shown as {}", text, amount);
            }
        }
    }
}
