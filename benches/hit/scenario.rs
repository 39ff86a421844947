//! The scenarios: the configuration, the request, and how often it is sent.

use std::fmt::Write as _;
use std::net::SocketAddr;

use sha2::{Digest, Sha256};

/// The protocol of the connections.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    /// HTTP/1.1 over TLS.
    Tls,
    /// Without TLS.
    Http2,
}

/// The answers that are counted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// One answer to each request.
    Answers,
    /// One event on each stream, for each change of the balance.
    Events,
}

/// One kind of answer.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) accounts: usize,
    pub(crate) callers: usize,
    pub(crate) path: &'static str,
    /// Further lines of the request's head, each with its line end.
    pub(crate) fields: &'static str,
    pub(crate) status: u16,
    /// Whether requests go to the operations port.
    pub(crate) is_operations: bool,
    pub(crate) protocol: Protocol,
    pub(crate) work: Work,
    pub(crate) connections: usize,
    /// How many requests each connection sends.
    pub(crate) rounds: usize,
}

/// A cached hit.
pub(crate) const HIT: Scenario = Scenario {
    name: "hit",
    accounts: 1,
    callers: 1,
    path: "/v1/accounts/account-0/balance",
    fields: "",
    status: 200,
    is_operations: false,
    protocol: Protocol::Http1,
    work: Work::Answers,
    connections: 16,
    rounds: 200,
};

/// All scenarios.
pub(crate) const SCENARIOS: [Scenario; 9] = [
    HIT,
    Scenario { name: "not-modified", fields: "If-None-Match: *\r\n", status: 304, ..HIT },
    Scenario { name: "hit-10000-accounts-1000-callers", accounts: 10_000, callers: 1_000, ..HIT },
    Scenario { name: "hit-tls", protocol: Protocol::Tls, ..HIT },
    Scenario { name: "hit-http2", protocol: Protocol::Http2, ..HIT },
    Scenario { name: "event", path: "/v1/events", work: Work::Events, rounds: 20, ..HIT },
    Scenario { name: "read", fields: "Cache-Control: no-cache\r\n", rounds: 20, connections: 1, ..HIT },
    Scenario { name: "batch-1000", accounts: 1_000, path: "/v1/balances", rounds: 5, connections: 1, ..HIT },
    Scenario {
        name: "metrics-10000-accounts",
        accounts: 10_000,
        path: "/metrics",
        is_operations: true,
        rounds: 2,
        connections: 1,
        ..HIT
    },
];

impl Scenario {
    /// The number of counted answers.
    pub(crate) fn answers(&self) -> u64 {
        (self.connections * self.rounds) as u64
    }

    /// The request of the last caller.
    pub(crate) fn request(&self) -> Vec<u8> {
        let Self { path, fields, .. } = self;
        let key = key(self.callers - 1);
        format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nAuthorization: Bearer {key}\r\n{fields}\r\n")
            .into_bytes()
    }

    /// The same request for HTTP/2; without further fields.
    pub(crate) fn request_of_http2(&self, address: SocketAddr) -> http::Result<http::Request<()>> {
        let key = key(self.callers - 1);
        let uri = format!("http://{address}{}", self.path);
        http::Request::get(uri).header("authorization", format!("Bearer {key}")).body(())
    }

    /// Nothing expires while it is counted. `tls` is a line of the server's settings.
    pub(crate) fn configuration(&self, tls: &str, provider: &str) -> String {
        let mut text = format!(
            "[server]\napi = \"127.0.0.1:0\"\nops = \"127.0.0.1:0\"\ndrain_delay = \"0s\"\n{tls}\
             [freshness]\nfresh_for = \"60s\"\n\
             [providers.ntxpay-br]\nkind = \"ntxpay-br\"\nbase_url = \"{provider}\"\n\
             budget = {{ requests = 100000, per = \"1m\" }}\n"
        );
        for account in 0..self.accounts {
            // Writing to a string cannot fail.
            let _ = write!(
                text,
                "[accounts.account-{account}]\nprovider = \"ntxpay-br\"\ntoken = {{ env = \"TOKEN\" }}\n"
            );
        }
        for caller in 0..self.callers {
            let digest = bytes::Bytes::from(Sha256::digest(key(caller)).to_vec());
            let _ = write!(
                text,
                "[callers.caller-{caller}]\nkeys_sha256 = [\"{digest:x}\"]\naccounts = [\"*\"]\n\
                 limit = {{ requests = 10000000, per = \"10s\", burst = 10000000 }}\n\
                 streams = 100\n\
                 forced = {{ requests = 10000000, per = \"10s\", burst = 10000000 }}\n"
            );
        }
        text
    }
}

/// As long as a real key.
fn key(caller: usize) -> String {
    format!("bgk_{caller:043}")
}
