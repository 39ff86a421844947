//! The time in which a declared kind and the built-in adapter parse the same bodies: nanoseconds per body in the
//! fastest of many rounds, and the ratio. `cargo bench --bench parse`.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a bench measures and prints"
)]

#[path = "../tests/contract/twin_kinds.rs"]
mod twin_kinds;

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use balance_gateway::config;
use balance_gateway::domain::{Currency, Selector};
use balance_gateway::providers::{Provider, find};

use twin_kinds::{TWIN_KINDS, TwinKind};

const ROUNDS: u32 = 200;
const PER_ROUND: u32 = 500;

fn main() {
    for TwinKind { kind, currency, declaration, body } in TWIN_KINDS {
        let declared =
            config::parse_kind(declaration, Path::new("twin"), &|_| Some(body.to_owned())).unwrap().kind;
        let selector = Selector::of(Currency::parse(currency).unwrap());
        let built_in = find(kind).unwrap();
        // In turns, so that a change of the machine's speed affects both.
        let (mut one, mut other) = (Duration::MAX, Duration::MAX);
        for _ in 0..ROUNDS {
            one = one.min(round(built_in, body, &selector));
            other = other.min(round(&*declared, body, &selector));
        }
        let [one, other] = [one, other].map(|time| time.as_nanos() / u128::from(PER_ROUND));
        let ratio = other * 100 / one;
        println!(
            "{kind:10} built-in {one:6} ns  declared {other:6} ns  {}.{:02} times",
            ratio / 100,
            ratio % 100
        );
        assert!(ratio <= 300, "a declared kind costs more than three times its built-in twin");
    }
}

fn round(provider: &dyn Provider, body: &str, selector: &Selector) -> Duration {
    let started = Instant::now();
    for _ in 0..PER_ROUND {
        black_box(provider.parse(black_box(body.as_bytes()), selector).unwrap());
    }
    started.elapsed()
}
