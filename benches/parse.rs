//! The time in which a declared kind and the built-in adapter parse the same bodies: nanoseconds per body in the
//! fastest of many rounds, and the ratio. `cargo bench --bench parse`.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a bench measures and prints"
)]

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use balance_gateway::config;
use balance_gateway::domain::{Currency, Selector};
use balance_gateway::providers::{Provider, find};

/// A built-in kind, its mapping as a declared one, and a body.
const TWINS: [(&str, &str, &str, &str); 3] = [
    (
        "ntxpay-br",
        "BRL",
        r#"currency = "BRL"
           units = { major = 28 }
           available = "/netBalance"
           blocked = "/blockedBalance"
           total = "/grossBalance"
           observed_at = "/consultedAt"
           examples = [{ body = { env = "BODY" }, available = "48734.91", blocked = "1250.37", total = "49985.28" }]"#,
        r#"{"grossBalance": 49985.28, "blockedBalance": 1250.37, "netBalance": 48734.91, "consultedAt": "2025-11-19T20:18:29.384Z"}"#,
    ),
    (
        "ntxpay-mx",
        "MXN",
        r#"currency = { at = "/currency", only = "MXN" }
           units = "minor"
           available = "/availableCentavos"
           blocked = "/pendingCentavos"
           examples = [{ body = { env = "BODY" }, available = "48734.91", blocked = "1250.37" }]"#,
        r#"{"availableCentavos": 4873491, "pendingCentavos": 125037, "currency": "MXN"}"#,
    ),
    (
        "pluggo",
        "BRL",
        r#"status = "/code"
           currency = { at = "/content/currency", only = "BRL" }
           units = { major = 28 }
           available = "/content/balance"
           blocked = { at = "/content/blocked", optional = true }
           reserved = { at = "/content/reserve", optional = true }
           processing = { at = "/content/processing", optional = true }
           observed_at = "/timestamp"
           examples = [{ body = { env = "BODY" }, available = "48734.91", blocked = "1250.37", reserved = "3.02",
                         processing = "4.05" }]"#,
        r#"{"code": 200, "content": {"currency": "BRL", "balance": 48734.91, "blocked": 1250.37, "reserve": 3.02, "processing": 4.05}, "message": "Balance returned", "timestamp": "2025-02-19T17:15:26.703Z"}"#,
    ),
];
const ROUNDS: u32 = 200;
const PER_ROUND: u32 = 500;

fn main() {
    for (kind, currency, mapping, body) in TWINS {
        let text = format!(
            "[kinds.twin]\npath = \"/b\"\nsecrets = [\"k\"]\nheaders = {{ x-k = \"{{k}}\" }}\n{mapping}\n"
        );
        let declared = config::parse_kind(&text, Path::new("twin"), &|_| Some(body.to_owned())).unwrap().kind;
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
