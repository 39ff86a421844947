//! Simulated payment providers: real HTTP/1.1 servers on loopback that answer as the documented
//! ones do, and misbehave on request. They know nothing of the gateway. Used by the `sandbox`
//! command, by the tests and by the benches.
//!
//! One [`SimulatedProvider`] is one server of one [`Kind`]. It accepts only its own random
//! [`Credentials`], answers `GET /api/balance` (also `/balance`), and for the NTX kinds
//! `POST /api/auth/token` (`/oauth/token` too, for the Brazilian ones).
//!
//! A provider of a kind that a configuration declares knows nothing by itself: a [`Script`] says which requests it
//! answers, and how.
//!
//! # Control over HTTP
//!
//! What the Rust methods do can also be done on the server's own port, under `/_sandbox`. Control
//! calls need no credentials, meet no fault and never appear in the call log. Bodies are JSON of at
//! most 64 KiB. A bad one is answered 400 `{"error": "…"}` and changes nothing; an unknown path is
//! 404, a wrong method 405 with `Allow`.
//!
//! | request | body | answer |
//! |---|---|---|
//! | `GET /_sandbox/balance?currency=&type=` | | 200, the balance's fields as they stand |
//! | `PUT /_sandbox/balance?currency=&type=` | `{"netBalance": 48734.9, …}`: merged over the present fields, every value kept as it is spelled | 200, the fields as they now stand |
//! | `DELETE /_sandbox/balance?currency=&type=&field=NAME` | | 200, the fields as they now stand |
//! | `POST /_sandbox/faults` | one fault or an array of them | 200 `{"queued": 2}`: how many faults wait now |
//! | `DELETE /_sandbox/faults` | | 204 |
//! | `GET /_sandbox/calls` | | 200, an array of calls, oldest first |
//! | `DELETE /_sandbox/calls` | | 204 |
//! | `GET /_sandbox/settings` | | 200, the settings |
//! | `PUT /_sandbox/settings` | any of the settings; those left out stay | 200, the settings as they now stand |
//! | `POST /_sandbox/expire-tokens` | | 204; every token issued so far is refused from now on |
//! | `GET /_sandbox/credentials` | | 200 `{"client_id", "client_secret", "token", "api_key", "session_token"}` |
//!
//! **Balances.** Without `currency` the first balance is meant. The NTX kinds have one balance and
//! ignore both parameters. `pluggo` has BRL, USD (type `FIAT`) and BTC (type `CRYPTO`); a `PUT`
//! with another currency adds a balance (type `FIAT` unless `type` says otherwise), while `GET` and
//! `DELETE` of one that is not there are 404. The provider's timestamp (`consultedAt`, or `timestamp`
//! of `pluggo`) is set and removed like a field, but is one for all balances.
//!
//! A provider of a declared kind has whole bodies in the place of fields: `GET` shows the first, `PUT` replaces them all.
//!
//! **Settings.** `{"token_life_seconds": null, "drift": false, "require_certificate": false,
//! "timestamp": null}`. `token_life_seconds` null is the documented life (1800, Mexico 600,
//! `/oauth/token` 3600). `drift` moves the amounts by some minor units at each balance call.
//! `require_certificate` makes `/api/auth/token` insist on a percent-encoded PEM certificate in
//! `X-SSL-Client-Cert`. `timestamp` null is the present moment, anything else goes out verbatim;
//! once removed it is missing here too.
//!
//! **Calls.** `{"at": "2026-11-21T07:00:00.123Z", "operation": "balance", "method": "GET",
//! "path_and_query": "/api/balance", "headers": [["host", "…"]], "body": "", "status": 200,
//! "fault": null}`. `at` is when the head had been received; `operation` is `balance`, `token` or
//! `other`; `body` is kept for token calls only; `status` is null until, or unless, one is sent;
//! `fault` names the fault that the call met. The latest 50,000 calls are kept.
//!
//! **Faults.** `{"on": "balance", "times": 2, "kind": "status", "status": 503, "retry_after": "20"}`.
//! `on` is `balance`, `token` or `any` (the default; other paths too), `times` is 1 when left out.
//! A call meets the first waiting fault that is meant for it, and only that one.
//!
//! | `kind` | settings | what the caller sees |
//! |---|---|---|
//! | `status` | `status` (200–599), optional `retry_after`, `body` | that status; without `body` a small JSON error |
//! | `delay` | `ms` | the answer of the moment of the call, that much later |
//! | `stall_head` | | nothing, until the caller leaves |
//! | `stall_body` | | head and half of the body, then silence until the caller leaves |
//! | `slow_body` | `ms_per_byte` | a body that trickles |
//! | `cut_body` | | half of the announced body, then the end of the connection |
//! | `reset` | | a TCP reset instead of an answer |
//! | `close` | | the orderly end of the connection instead of an answer |
//! | `redirect` | `location` | 302 |
//! | `garbage` | | bytes that are no HTTP |
//! | `body` | `text` | 200 with this body |
//! | `body_bytes` | `hex` | 200 with these bytes |
//! | `huge_body` | `bytes` | the normal answer after so many bytes of white space, hence still valid JSON |
//! | `content_type` | `value` | the normal answer under this `Content-Type` |
//! | `headers` | `headers`: `[["Age", "5"], …]` | the normal answer with these headers added |
//! | `expire_token` | | 401; the token that was sent is dropped |
//! | `refuse_token` | optional `status` (401) | that status, whatever the token |
//! | `chunked_invalid` | | a chunked body whose framing is broken |
//! | `cut_chunk` | | a chunked body that ends within a chunk, with the connection |
//! | `endless_headers` | | a head that never ends |
//! | `informational` | `status` (100–199), `count`, optional `ms` | so many informational answers, `ms` apart, then the normal one |
//! | `compressed_bomb` | | 64 KiB of `Content-Encoding: deflate` that unfold into 10 MB |

mod answer;
mod bomb;
mod book;
mod calls;
mod clock;
mod control;
mod credentials;
mod deliver;
mod drift;
mod fault;
mod http;
mod kind;
mod ntxpay;
mod pluggo;
mod provider;
mod script;
mod server;
mod state;

pub use calls::{Call, Operation};
pub use credentials::Credentials;
pub use fault::{Fault, FaultKind, On};
pub use kind::Kind;
pub use provider::SimulatedProvider;
pub use script::{LIFE, Route, Script, TOKEN, UNTIL};
