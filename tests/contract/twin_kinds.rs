//! The built-in kinds written as declared ones, for the contract tests and `benches/parse.rs`.

/// A built-in kind as a declared one.
pub(crate) struct TwinKind {
    /// The name of the built-in kind.
    pub(crate) kind: &'static str,
    /// The currency of `body`.
    pub(crate) currency: &'static str,
    /// The declared kind `twin`. The variable `BODY` of its example holds `body`.
    pub(crate) declaration: &'static str,
    /// A body that both read.
    pub(crate) body: &'static str,
}

pub(crate) const TWIN_KINDS: [TwinKind; 3] = [
    TwinKind {
        kind: "ntxpay-br",
        currency: "BRL",
        declaration: r#"
[kinds.twin]
path = "/b"
secrets = ["k"]
headers = { x-k = "{k}" }
currency = "BRL"
units = { major = 28 }
available = "/netBalance"
blocked = "/blockedBalance"
total = "/grossBalance"
observed_at = "/consultedAt"
examples = [{ body = { env = "BODY" }, available = "48734.91", blocked = "1250.37", total = "49985.28" }]
"#,
        body: r#"{"grossBalance": 49985.28, "blockedBalance": 1250.37, "netBalance": 48734.91, "consultedAt": "2025-11-19T20:18:29.384Z"}"#,
    },
    TwinKind {
        kind: "ntxpay-mx",
        currency: "MXN",
        declaration: r#"
[kinds.twin]
path = "/b"
secrets = ["k"]
headers = { x-k = "{k}" }
currency = { at = "/currency", only = "MXN" }
units = "minor"
available = "/availableCentavos"
blocked = "/pendingCentavos"
examples = [{ body = { env = "BODY" }, available = "48734.91", blocked = "1250.37" }]
"#,
        body: r#"{"availableCentavos": 4873491, "pendingCentavos": 125037, "currency": "MXN"}"#,
    },
    TwinKind {
        kind: "pluggo",
        currency: "BRL",
        declaration: r#"
[kinds.twin]
path = "/b"
secrets = ["k"]
headers = { x-k = "{k}" }
status = "/code"
currency = { at = "/content/currency" }
units = { major = 28 }
available = "/content/balance"
blocked = { at = "/content/blocked", optional = true }
reserved = { at = "/content/reserve", optional = true }
processing = { at = "/content/processing", optional = true }
observed_at = "/timestamp"
examples = [{ body = { env = "BODY" }, currency = "BRL", available = "48734.91", blocked = "1250.37",
              reserved = "3.02", processing = "4.05" }]
"#,
        body: r#"{"code": 200, "content": {"currency": "BRL", "balance": 48734.91, "blocked": 1250.37, "reserve": 3.02, "processing": 4.05}, "message": "Balance returned", "timestamp": "2025-02-19T17:15:26.703Z"}"#,
    },
];
