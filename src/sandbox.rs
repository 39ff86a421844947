//! Simulated payment providers: real HTTP/1.1 servers on loopback that answer as the documented
//! ones do, and misbehave on request. They are independent of the gateway. The `sandbox` command,
//! the tests and the benches use them.
//!
//! One [`SimulatedProvider`] is one server of one [`Kind`]. It accepts only its own random
//! [`Credentials`], answers `GET /api/balance` (also `/balance`), and for the NTX kinds
//! `POST /api/auth/token` (`/oauth/token` too, for the Brazilian ones).
//!
//! A provider of a kind that a configuration declares has no built-in answers: a [`Script`] defines which requests it
//! answers, and how.
//!
//! With [`SimulatedProvider::notify`] it sends notifications: after each change of a balance, and every 15 seconds
//! while its amounts drift and are requested.
//!
//! # Control over HTTP
//!
//! Every Rust method is also available on the server's own port, under `/_sandbox`. Control calls
//! need no credentials, have no faults and are not in the call log. Bodies are JSON of at most
//! 64 KiB. An invalid body is answered 400 `{"error": "…"}` and changes nothing; an unknown path is
//! 404, a wrong method 405 with `Allow`.
//!
//! | request | body | answer |
//! |---|---|---|
//! | `GET /_sandbox/balance?currency=&type=` | | 200, the fields of the balance |
//! | `PUT /_sandbox/balance?currency=&type=` | `{"netBalance": 48734.9, …}`: merged into the fields, every value kept verbatim | 200, the new fields |
//! | `DELETE /_sandbox/balance?currency=&type=&field=NAME` | | 200, the new fields |
//! | `POST /_sandbox/faults` | one fault or an array of them | 200 `{"queued": 2}`: the number of waiting faults |
//! | `DELETE /_sandbox/faults` | | 204 |
//! | `GET /_sandbox/calls` | | 200, an array of calls, oldest first |
//! | `DELETE /_sandbox/calls` | | 204 |
//! | `GET /_sandbox/settings` | | 200, the settings |
//! | `PUT /_sandbox/settings` | any of the settings; the others stay | 200, the new settings |
//! | `POST /_sandbox/expire-tokens` | | 204; all issued tokens are refused from now on |
//! | `GET /_sandbox/credentials` | | 200 `{"client_id", "client_secret", "token", "api_key", "session_token"}` |
//!
//! **Balances.** Without `currency`, the first balance is used. The NTX kinds have one balance and
//! ignore both parameters. `pluggo` has BRL, USD (type `FIAT`) and BTC (type `CRYPTO`); a `PUT`
//! with another currency adds a balance (type `FIAT` unless `type` says otherwise), while `GET` and
//! `DELETE` of a missing one are 404. The provider's timestamp (`consultedAt`, or `timestamp`
//! of `pluggo`) is set and removed like a field, but is common to all balances.
//!
//! A provider of a declared kind has whole bodies instead of fields: `GET` shows the first, `PUT` replaces them all.
//!
//! **Settings.** `{"token_life_seconds": null, "drift": false, "require_certificate": false, "timestamp": null}`.
//! `token_life_seconds` null is the documented life (1800, Mexico 600, `/oauth/token` 3600). `drift` moves the amounts
//! by some minor units at each balance call. `require_certificate` makes `/api/auth/token` require a percent-encoded
//! PEM certificate in `X-SSL-Client-Cert`. `timestamp` null is the current time, any other value is sent verbatim; a
//! removed timestamp is missing from the settings, too.
//!
//! **Calls.** `{"at": "2026-11-21T07:00:00.123Z", "operation": "balance", "method": "GET", "path_and_query":
//! "/api/balance", "headers": [["host", "…"]], "body": "", "status": 200, "fault": null}`. `at` is the time at which
//! the head was complete; `operation` is `balance`, `token` or `other`; `body` is kept for token calls only; `status`
//! is null until an answer is sent; `fault` names the fault of the call. The latest 50,000 calls are kept.
//!
//! **Faults.** `{"on": "balance", "times": 2, "kind": "status", "status": 503, "retry_after": "20"}`.
//! `on` is `balance`, `token` or `any` (the default; other paths too), `times` is 1 by default.
//! A call gets the first waiting fault that applies to it, and only that one.
//!
//! | `kind` | settings | what the caller sees |
//! |---|---|---|
//! | `status` | `status` (200–599), optional `retry_after`, `body` | that status; without `body` a small JSON error |
//! | `delay` | `ms` | the answer as of the time of the call, sent after this delay |
//! | `stall_head` | | nothing, until the caller leaves |
//! | `stall_body` | | head and half of the body, then silence until the caller leaves |
//! | `slow_body` | `ms_per_byte` | a slow body |
//! | `cut_body` | | half of the announced body, then the end of the connection |
//! | `reset` | | a TCP reset instead of an answer |
//! | `close` | | an orderly close of the connection instead of an answer |
//! | `redirect` | `location` | 302 |
//! | `garbage` | | bytes that are not HTTP |
//! | `body` | `text` | 200 with this body |
//! | `body_bytes` | `hex` | 200 with these bytes |
//! | `huge_body` | `bytes` | the normal answer after this many bytes of white space, so still valid JSON |
//! | `content_type` | `value` | the normal answer under this `Content-Type` |
//! | `headers` | `headers`: `[["Age", "5"], …]` | the normal answer with these headers added |
//! | `expire_token` | | 401; the token that was sent is dropped |
//! | `refuse_token` | optional `status` (401) | that status, even if the token is valid |
//! | `chunked_invalid` | | a chunked body whose framing is broken |
//! | `cut_chunk` | | a chunked body that ends within a chunk, because the connection closes |
//! | `endless_headers` | | a head that never ends |
//! | `informational` | `status` (100–199), `count`, optional `ms` | this many informational answers, `ms` apart, then the normal one |
//! | `compressed_bomb` | | 64 KiB of `Content-Encoding: deflate` that decompress to 10 MB |

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
mod refusal;
mod script;
mod scripted;
mod server;
mod state;
mod webhook;

pub use calls::{Call, Operation};
pub use credentials::Credentials;
pub use fault::{Fault, FaultKind, On};
pub use kind::Kind;
pub use provider::SimulatedProvider;
pub use script::{LIFE, Script, ScriptedRoute, TOKEN, UNTIL};
pub use webhook::{WEBHOOK_USER, Webhook};
