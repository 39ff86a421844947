//! The faults of the matrix, under the names that it shows.

use balance_gateway::sandbox::{FaultKind, Kind, On};

use super::front::Break;

/// One fault, which lasts as long as its cell.
#[derive(Clone)]
pub(super) struct FaultCase {
    pub(super) name: &'static str,
    pub(super) cause: Cause,
    /// Whether an attempt ends by its time-out.
    pub(super) is_slow: bool,
    /// Whether tokens come from outside.
    pub(super) has_static_tokens: bool,
    pub(super) kinds: &'static [Kind],
}

/// The place of the fault.
#[derive(Clone, Copy)]
pub(super) enum Cause {
    /// The fault is in the answers to these calls.
    Call(On, fn(Kind) -> FaultKind),
    /// The fault is in the connection, below the calls.
    Connection(Break),
}

impl FaultCase {
    /// Whether the fault is in the answers to token calls.
    pub(super) fn is_of_token_calls(&self) -> bool {
        matches!(self.cause, Cause::Call(On::Token, _))
    }
}

/// The kinds that exchange client credentials for tokens.
const WITH_TOKENS: [Kind; 3] = [Kind::NtxpayBr, Kind::Avista, Kind::NtxpayMx];

type NamedFault = (&'static str, fn(Kind) -> FaultKind);

const STATUSES: [NamedFault; 16] = [
    ("status 204", |_| status(204)),
    ("status 304", |_| status(304)),
    ("redirect to another host", |_| FaultKind::Redirect { location: "http://127.0.0.1:1/".to_owned() }),
    ("status 400", |_| status(400)),
    ("status 401", |_| status(401)),
    ("status 403", |_| status(403)),
    ("status 404", |_| status(404)),
    ("status 408", |_| status(408)),
    ("status 425", |_| status(425)),
    ("status 429", |_| status(429)),
    ("status 429, Retry-After: 7", |_| answered(429, Some("7"), None)),
    ("status 500", |_| status(500)),
    ("status 502", |_| status(502)),
    ("status 503", |_| status(503)),
    ("status 503, Retry-After: 20", |_| answered(503, Some("20"), None)),
    ("status 504", |_| status(504)),
];

const WAITS: [NamedFault; 4] = [
    ("status 429, Retry-After: 0", |_| answered(429, Some("0"), None)),
    ("status 429, Retry-After: 99999999999999999999", |_| answered(429, Some("99999999999999999999"), None)),
    ("status 429, Retry-After in the past", |_| answered(429, Some("Sat, 01 Jan 2000 00:00:00 GMT"), None)),
    ("status 503, Retry-After: soon", |_| answered(503, Some("soon"), None)),
];

/// Broken connections and broken HTTP.
const TRANSPORT: [NamedFault; 10] = [
    ("reset", |_| FaultKind::Reset),
    ("close", |_| FaultKind::Close),
    ("cut_body", |_| FaultKind::CutBody),
    ("cut_chunk", |_| FaultKind::CutChunk),
    ("chunked_invalid", |_| FaultKind::ChunkedInvalid),
    ("garbage", |_| FaultKind::Garbage),
    ("endless_headers", |_| FaultKind::EndlessHeaders),
    ("informational: an unasked upgrade", |_| FaultKind::Informational { status: 101, count: 1, ms: 0 }),
    ("huge_body: 64 KiB more", |_| FaultKind::HugeBody { bytes: 64 * 1024 }),
    ("compressed_bomb", |_| FaultKind::CompressedBomb),
];

/// Answers that never come, or come too slowly.
const SLOW: [NamedFault; 5] = [
    ("stall_head", |_| FaultKind::StallHead),
    ("stall_body", |_| FaultKind::StallBody),
    ("slow_body", |_| FaultKind::SlowBody { ms_per_byte: 200 }),
    ("delay: five seconds", |_| FaultKind::Delay { ms: 5000 }),
    ("informational: endless", |_| FaultKind::Informational { status: 103, count: u64::MAX, ms: 5 }),
];

/// Complete answers whose body is not a balance or token.
const BODIES: [NamedFault; 5] = [
    ("body: empty", |_| body("")),
    ("body: {}", |_| body("{}")),
    ("body: HTML", |_| body("<html>")),
    ("body_bytes: no UTF-8", |_| FaultKind::BodyBytes { bytes: vec![0xff, 0xfe, 0] }),
    ("headers: Content-Encoding: gzip", |_| headers("Content-Encoding", "gzip")),
];

/// Odd answers that are not faults.
const HARMLESS: [NamedFault; 4] = [
    ("delay: shorter than the time-out", |_| FaultKind::Delay { ms: 20 }),
    ("content_type: text/html", |_| FaultKind::ContentType { value: "text/html; charset=utf-16".to_owned() }),
    ("huge_body: 60 KiB more", |_| FaultKind::HugeBody { bytes: 60 * 1024 }),
    ("informational: a hundred", |_| FaultKind::Informational { status: 103, count: 100, ms: 0 }),
];

/// Faults of balance calls only.
const BALANCES: [NamedFault; 19] = [
    ("expire_token", |_| FaultKind::ExpireToken),
    ("refuse_token", |_| FaultKind::RefuseToken { status: 401 }),
    ("refuse_token: 403", |_| FaultKind::RefuseToken { status: 403 }),
    ("status 201 with a balance", |kind| answered(201, None, Some(balance(kind, "1.00")))),
    ("headers: Retry-After on a success", |_| headers("Retry-After", "100")),
    ("headers: Age: 5", |_| headers("Age", "5")),
    ("headers: Age: 61", |_| headers("Age", "61")),
    ("headers: Age: 99999999999999999999", |_| headers("Age", "99999999999999999999")),
    ("headers: two lengths", |_| headers("Content-Length", "1")),
    ("headers: an invalid header line", |_| headers("X-Bad", "\0")),
    ("huge_body: 1 TiB more", |_| FaultKind::HugeBody { bytes: 1 << 40 }),
    ("body: cut JSON", |_| body("{\"")),
    ("body: an amount of 60,000 digits", |kind| body(&balance(kind, &"9".repeat(60_000)))),
    ("body: an amount of 1e999999999", |kind| body(&balance(kind, "1e999999999"))),
    ("body: an amount that is a text", |kind| body(&balance(kind, "\"much\""))),
    ("body: code 429 (pluggo's)", |_| body(r#"{"code":429,"content":null,"message":"x"}"#)),
    ("body: code 503 (pluggo's)", |_| body(r#"{"code":503,"content":null,"message":"x"}"#)),
    ("body: code 401 (pluggo's)", |_| body(r#"{"code":401,"content":null,"message":"x"}"#)),
    ("body: code 302 (pluggo's)", |_| body(r#"{"code":302,"content":null,"message":"x"}"#)),
];

/// Faults of balance calls, for accounts whose tokens the gateway cannot renew.
const FROM_OUTSIDE: [NamedFault; 2] = [
    ("status 401 to a token from outside", |_| status(401)),
    ("status 403 to a token from outside", |_| status(403)),
];

/// Faults of token calls only.
const TOKENS: [NamedFault; 7] = [
    ("body: no expires_in", |_| body(r#"{"access_token":"t0k3n-unknown"}"#)),
    ("body: expires_in 0", |_| body(r#"{"access_token":"t0k3n-unknown","expires_in":0}"#)),
    ("body: expires_in 1800.0", |_| body(r#"{"access_token":"t0k3n-unknown","expires_in":1800.0}"#)),
    ("body: another token_type", |_| {
        body(r#"{"access_token":"t0k3n-unknown","token_type":"mac","expires_in":9}"#)
    }),
    ("body: a token with a line break", |_| body(r#"{"access_token":"t0k3n-unknown\n","expires_in":1800}"#)),
    ("body: an unknown token", |_| body(r#"{"access_token":"t0k3n-unknown","expires_in":1800}"#)),
    ("body: a balance", |kind| body(&balance(kind, "1.00"))),
];

/// Each fault of a balance call.
pub(super) fn of_balance_calls() -> Vec<FaultCase> {
    let case = |is_slow, has_static_tokens, kinds: &'static [Kind]| {
        move |(name, fault): NamedFault| {
            let cause = Cause::Call(On::Balance, fault);
            FaultCase { name, cause, is_slow, has_static_tokens, kinds }
        }
    };
    let usual = [&STATUSES[..], &WAITS, &TRANSPORT, &BODIES, &HARMLESS, &BALANCES].concat();
    let usual = usual.into_iter().map(case(false, false, &Kind::ALL));
    let slow = SLOW.into_iter().map(case(true, false, &Kind::ALL));
    let from_outside = FROM_OUTSIDE.into_iter().map(case(false, true, &WITH_TOKENS));
    usual.chain(slow).chain(from_outside).collect()
}

/// Each fault of a token call.
pub(super) fn of_token_calls() -> Vec<FaultCase> {
    let case = |is_slow| {
        move |(name, fault): NamedFault| {
            let (cause, kinds) = (Cause::Call(On::Token, fault), &WITH_TOKENS[..]);
            FaultCase { name, cause, is_slow, has_static_tokens: false, kinds }
        }
    };
    let usual = [&STATUSES[..], &TRANSPORT, &BODIES, &HARMLESS, &TOKENS].concat();
    usual.into_iter().map(case(false)).chain(SLOW.into_iter().map(case(true))).collect()
}

/// Faults of TLS and HTTP/2.
pub(super) fn of_connections() -> Vec<FaultCase> {
    let cases = [
        ("tls: an answer in plain text", Break::NoTls),
        ("tls: the end after the client's hello", Break::CloseInHandshake),
        ("tls: silence after the client's hello", Break::StallInHandshake),
        ("tls: a certificate of an unknown authority", Break::Stranger),
        ("tls: a certificate for another host", Break::AnotherHost),
        ("tls: a certificate from before", Break::Expired),
        ("tls: the end after the handshake", Break::CloseAfterHandshake),
        ("http2: something else is spoken", Break::NoHttp2),
        ("http2: silence", Break::SilentHttp2),
        ("http2: REFUSED_STREAM", Break::RefuseStream),
        ("http2: HTTP_1_1_REQUIRED", Break::WantHttp11),
        ("http2: GOAWAY with ENHANCE_YOUR_CALM", Break::GoAway),
        ("http2: a reset within the body", Break::ResetBody),
    ];
    let case = |(name, broken)| {
        let is_slow = matches!(broken, Break::StallInHandshake | Break::SilentHttp2);
        let cause = Cause::Connection(broken);
        FaultCase { name, cause, is_slow, has_static_tokens: false, kinds: &Kind::ALL }
    };
    cases.into_iter().map(case).collect()
}

/// The documented answer with this as the available amount.
fn balance(kind: Kind, amount: &str) -> String {
    match kind {
        Kind::NtxpayBr | Kind::Avista => {
            format!(r#"{{"grossBalance":1.00,"blockedBalance":0.00,"netBalance":{amount}}}"#)
        }
        Kind::Pluggo => format!(r#"{{"code":200,"content":{{"currency":"BRL","balance":{amount}}}}}"#),
        Kind::NtxpayMx | Kind::Declared => {
            let amount = amount.replace("1.00", "100");
            format!(r#"{{"availableCentavos":{amount},"pendingCentavos":0,"currency":"MXN"}}"#)
        }
    }
}

fn status(status: u16) -> FaultKind {
    answered(status, None, None)
}

fn answered(status: u16, retry_after: Option<&str>, body: Option<String>) -> FaultKind {
    FaultKind::Status { status, retry_after: retry_after.map(str::to_owned), body }
}

fn headers(name: &str, value: &str) -> FaultKind {
    FaultKind::Headers { headers: vec![(name.to_owned(), value.to_owned())] }
}

fn body(text: &str) -> FaultKind {
    FaultKind::Body { text: text.to_owned() }
}
