//! The contenders: each with its program, its configuration and the request of its clients. A word between two `@` is a
//! placeholder. Each configuration is a file beside this one.

use sha2::{Digest, Sha256};

use super::KEYS;

/// The query is the cache key. The proxies do not authenticate clients.
const PROXY_REQUEST: &str = "GET /api/balance?key=@KEY@ HTTP/1.1\r\nHost: bench\r\n\r\n";
/// The account is the cache key. The gateway requires a caller key.
const GATEWAY_REQUEST: &str = "GET /v1/accounts/key-@KEY@/balance HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer @CALLER_KEY@\r\n\r\n";
/// The caller key; the gateway's configuration has its digest.
const CALLER_KEY: &str = "bgk_key-of-the-bench-that-opens-nothing-else-at-all";

/// A caching program, with everything in which it differs from the others.
#[derive(Debug)]
pub(crate) struct Contender {
    pub(crate) name: &'static str,
    /// The name of the program in `PATH`, or its path.
    pub(crate) program: &'static str,
    pub(crate) version_argument: &'static str,
    /// Separated by blanks.
    pub(crate) arguments: &'static str,
    pub(crate) configuration: &'static str,
    request: &'static str,
}

pub(crate) const CONTENDERS: [Contender; 4] = [
    Contender {
        name: "nginx",
        program: "nginx",
        version_argument: "-v",
        arguments: "-p @FOLDER@ -c @CONFIGURATION@ -e stderr",
        configuration: include_str!("nginx.conf"),
        request: PROXY_REQUEST,
    },
    Contender {
        name: "HAProxy",
        program: "haproxy",
        version_argument: "-v",
        arguments: "-db -f @CONFIGURATION@",
        configuration: include_str!("haproxy.cfg"),
        request: PROXY_REQUEST,
    },
    Contender {
        name: "Varnish",
        program: "varnishd",
        version_argument: "-V",
        arguments: "-F -j none -T none -n @FOLDER@ -s malloc,16m -a 127.0.0.1:@PORT@ -f @CONFIGURATION@",
        configuration: include_str!("varnish.vcl"),
        request: PROXY_REQUEST,
    },
    Contender {
        name: "balance-gateway",
        program: env!("CARGO_BIN_EXE_balance-gateway"),
        version_argument: "--version",
        arguments: "serve --config @CONFIGURATION@",
        configuration: include_str!("gateway.toml"),
        request: GATEWAY_REQUEST,
    },
];

impl Contender {
    /// The request of a client for a cache key.
    pub(crate) fn request(&self, key: usize) -> String {
        self.request.replace("@KEY@", &key.to_string()).replace("@CALLER_KEY@", CALLER_KEY)
    }

    /// The configuration for these ports and this token.
    pub(crate) fn configuration(&self, port: u16, upstream_port: u16, token: &str) -> String {
        let account = |key| {
            format!("key-{key} = {{ provider = \"ntxpay-br\", token = {{ env = \"PROVIDER_TOKEN\" }} }}\n")
        };
        let accounts: Vec<_> = (0..KEYS).map(account).collect();
        let digest: Vec<_> = Sha256::digest(CALLER_KEY).iter().map(|byte| format!("{byte:02x}")).collect();
        self.configuration
            .replace("@PORT@", &port.to_string())
            .replace("@UPSTREAM_PORT@", &upstream_port.to_string())
            .replace("@TOKEN@", token)
            .replace("@CALLER_KEY_SHA256@", &digest.concat())
            .replace("@ACCOUNTS@", &accounts.concat())
    }
}
