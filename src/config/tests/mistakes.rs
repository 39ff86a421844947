//! Each mistake has its exact line, and all are reported at once.

mod accounts;
mod files;

use std::path::Path;

use super::{Folder, LEAST, certificate, parse, pluggo, with};

#[track_caller]
fn assert_mistakes(text: &str, expected: &[&str]) {
    let errors = parse(text).unwrap_err().to_string();

    let expected: Vec<String> = expected.iter().map(|line| format!("g.toml: {line}")).collect();
    assert_eq!(errors.lines().collect::<Vec<_>>(), expected, "{text}");
}

/// Place, inserted text, and mistake. `\n` is a line break. The test expands words in capitals; STORE and KEY are the
/// two required lines of `[shared]`.
const WRONG: &str = r#"
[server] | api = "localhost:1" | server.api: ADDRESS, not "localhost:1"
[server] | ops = 9090 | server.ops: ADDRESS, not 9090
[server] | ops = "127.0.0.1:8080" | server.ops: expected another address than api, not "127.0.0.1:8080"
[server] | request_timeout = 10 | server.request_timeout: DURATION, not 10
[server] | idle_timeout = "0s" | server.idle_timeout: DURATION, not "0s"
[server] | drain_delay = "5" | server.drain_delay: expected a duration with its unit, such as "250ms", "10s" or "1m30s", not "5"
[server] | drain_timeout = "9s" | server.request_timeout: expected at most drain_timeout (9s), not 10s
[server] | max_connections = 0 | server.max_connections: COUNT, not 0
[server] | max_in_flight = 4294967296 | server.max_in_flight: COUNT, not 4294967296
[server] | replicas = 1.5 | server.replicas: COUNT, not 1.5
[freshness] | fresh_for = "1500ms" | freshness.fresh_for: expected whole seconds, from 1s to 60s, not "1500ms"
[freshness] | max_age = "61s" | freshness.max_age: expected whole seconds, from 1s to 60s, not "61s"
[freshness] | fresh_for = "6s"\nmax_age = "5s" | freshness.fresh_for: expected at most max_age (5s), not 6s
kind = "avista" | kind = "nobody" | providers.p.kind: expected one of ntxpay-br, avista, ntxpay-mx, pluggo, not "nobody"
kind = "avista" | | providers.p.kind: missing, expected the name of a kind of provider
kind = "avista" | kind = "ntxpay-mx" | providers.p.base_url: missing, URL
[providers.p] | base_url = "http://10.0.0.1" | providers.p.base_url: URL, not "http://10.0.0.1"
[providers.p] | base_url = ["https://a.example"] | providers.p.base_url: URL, not a list
[providers.p] | balance_path = "api" | providers.p.balance_path: PATH, not "api"
[providers.p] | balance_path = "/a b" | providers.p.balance_path: PATH, not "/a b"
[providers.p] | token_path = "/a?b" | providers.p.token_path: PATH, not "/a?b"
[providers.p] | connect_timeout = "3s" | providers.p.connect_timeout: expected at most attempt_timeout (2500ms), not 3s
[providers.p] | attempt_timeout = "4001ms" | providers.p.attempt_timeout: expected at most deadline (4s), not 4001ms
[providers.p] | deadline = "4751ms" | providers.p.deadline: expected 2 × 4751ms + 500ms to be at most server.request_timeout (10s)
[providers.p] | retries = -1 | providers.p.retries: expected a whole number from 0 to 4294967295, not -1
[providers.p] | max_concurrency = "32" | providers.p.max_concurrency: COUNT, not "32"
[providers.p] | budget = 300 | providers.p.budget: expected { requests = 300, per = "1m" }, not a number
[providers.p] | budget = { requests = 300 } | providers.p.budget.per: missing, DURATION
[providers.p] | budget = { requests = 0, per = "1m" } | providers.p.budget.requests: COUNT, not 0
[providers.p] | budget = { requests = 4000000000, per = "1s" } | providers.p.budget.requests: expected at most one per nanosecond, not 4000000000
[providers.p] | budget = { requests = 1, per = "1m", burst = 1 } | providers.p.budget.burst: unknown key, expected one of requests, per
[providers.p] | breaker = { cooldown = "1s" } | providers.p.breaker.failures: missing, COUNT
[providers.p] | fresh_for = "61s" | providers.p.fresh_for: expected whole seconds, from 1s to 60s, not "61s"
[providers.p] | fresh_for = "6s"\nmax_age = "5s" | providers.p.fresh_for: expected at most max_age (5s), not 6s
[freshness]\n[providers.p]\n | [freshness]\nmax_age = "20s"\n[providers.p]\nmax_age = "30s"\n | providers.p.max_age: expected at most freshness.max_age (20s), not 30s
[providers.p] | enabled = "yes" | providers.p.enabled: expected true or false, not "yes"
[providers.p] | proxy = "http://user:secret@egress:3128" | providers.p.proxy: PROXY, not a text that is not shown, as it may hold a secret
[providers.p] | proxy = "https://egress:3128" | providers.p.proxy: PROXY, not "https://egress:3128"
[providers.p] | extra_ca = { file = "/ca" } | providers.p.extra_ca: expected the path of a file, not a table
[providers.p] | extra_ca = "/nowhere/ca.pem" | providers.p.extra_ca: expected a readable file, but /nowhere/ca.pem: No such file or directory (os error 2)
[providers.p] | client_identity = true | providers.p.client_identity: expected { certificate = { file = "…" }, private_key = { file = "…" } }, not a boolean
[providers.p] | timeout = "1s" | providers.p.timeout: unknown key, expected one of PROVIDER
[accounts.a] | watch = "999ms" | accounts.a.watch: expected a duration of at least "1s" with its unit, not "999ms"
[accounts.a] | watch = 300 | accounts.a.watch: expected a duration of at least "1s" with its unit, not 300
[accounts.a] | alerts = "500.00" | accounts.a.alerts: ALERTS, not a text
[accounts.a] | alerts = { critical = 500.00 } | accounts.a.alerts.critical: AMOUNT, not 500.00
[accounts.a] | alerts = { warning = "2,000.00" } | accounts.a.alerts.warning: AMOUNT, not "2,000.00"
[accounts.a] | alerts = { high = "1e4" } | accounts.a.alerts.high: AMOUNT, not "1e4"
[accounts.a] | alerts = { blocked_ratio = "50%" } | accounts.a.alerts.blocked_ratio: RATIO, not "50%"
[accounts.a] | alerts = { blocked_ratio = "1.1" } | accounts.a.alerts.blocked_ratio: RATIO, not "1.1"
[accounts.a] | alerts = { low = "1.00" } | accounts.a.alerts.low: unknown key, expected one of critical, warning, high, blocked_ratio
[callers.c] | limit = { per = "1m" } | callers.c.limit.requests: missing, COUNT
[callers.c] | forced = { requests = 1, per = "0s" } | callers.c.forced.per: DURATION, not "0s"
[callers.c] | limit = { requests = 1, per = "8760h", burst = 2 } | callers.c.limit: expected a burst that refills within a year
[callers.c] | limit = { requests = 1, per = "1s", burst = 0 } | callers.c.limit.burst: COUNT, not 0
accounts = ["*"] | accounts = ["a", "A*"] | callers.c.accounts[1]: expected account names, in which * stands for any text, not "A*"
accounts = ["*"] | accounts = "*" | callers.c.accounts: expected a list, not a text
[metrics] | balances = 1 | metrics.balances: expected true or false, not 1
[log] | [tracing]\nsample = "1" | tracing.otlp: missing, COLLECTOR
[log] | [tracing]\notlp = "collector:4318" | tracing.otlp: COLLECTOR, not "collector:4318"
[log] | [tracing]\notlp = "http://user:secret@collector:4318" | tracing.otlp: COLLECTOR, not a text that is not shown, as it may hold a secret
[log] | [tracing]\notlp = "http://c"\nsample = 0.01 | tracing.sample: SHARE, not 0.01
[log] | [tracing]\notlp = "http://c"\nsample = "1%" | tracing.sample: SHARE, not "1%"
[log] | [tracing]\notlp = "http://c"\nrate = "1" | tracing.rate: unknown key, expected one of otlp, sample
[log] | [shared]\nKEY | shared.url: missing, URL_OR_TEXT
[log] | [shared]\nSTORE | shared.key: missing, KEYS
[log] | [shared]\nKEY\nurl = "redis://:st0r3-p4ss@store" | shared.url: expected no password here: secrets come from a file or the environment only
[log] | [shared]\nKEY\nurl = "http://store" | shared.url: STORES, not "http://store"
[log] | [shared]\nKEY\nurl = 6379 | shared.url: SECRET, not a number
[log] | [shared]\nKEY\nurl = { env = "TOKEN" } | shared.url: STORES in the environment variable TOKEN
[log] | [shared]\nKEY\nurl = { env = "NOTHING" } | shared.url: expected the environment variable NOTHING to be set
[log] | [shared]\nSTORE\nkey = "c2hhcmVk" | shared.key: SECRET, not a text
[log] | [shared]\nSTORE\nkey = [] | shared.key: expected at least one, 32 random bytes in base64, or a list of such keys, not an empty list
[log] | [shared]\nSTORE\nkey = { env = "SHORT_KEY" } | shared.key: expected 32 bytes in base64, not 9 in the environment variable SHORT_KEY
[log] | [shared]\nSTORE\nkey = [{ env = "SHARED_KEY" }, { env = "TOKEN" }] | shared.key[1]: expected 32 bytes in base64, but the environment variable TOKEN is not base64
[log] | [shared]\nSTORE\nKEY\nca = "/nowhere/ca.pem" | shared.ca: expected a readable file, but /nowhere/ca.pem: No such file or directory (os error 2)
[log] | [shared]\nSTORE\nKEY\nprefix = "" | shared.prefix: PREFIX, not ""
[log] | [shared]\nSTORE\nKEY\nprefix = "a b" | shared.prefix: PREFIX, not "a b"
[log] | [shared]\nSTORE\nKEY\nprefix = "{a}" | shared.prefix: PREFIX, not "{a}"
[log] | [shared]\nSTORE\nKEY\ntimeout = "1001ms" | shared.timeout: expected 1ms to 1s, not "1001ms"
[log] | [shared]\nSTORE\nKEY\ntimeout = 30 | shared.timeout: DURATION, not 30
[log] | [shared]\nSTORE\nKEY\ntls = true | shared.tls: unknown key, expected one of url, ca, key, prefix, timeout
[log] | level = "trace" | log.level: expected one of error, warn, info, debug, not "trace"
[log] | "request s" = true | log."request s": unknown key, expected one of level, requests
"#;

const WORDS: [(&str, &str); 17] = [
    ("URL_OR_TEXT", "expected { env = \"…\" } or { file = \"…\" }, or a text without a password"),
    ("KEYS", "expected 32 random bytes in base64, or a list of such keys"),
    (
        "STORES",
        "expected redis[s]://[user:pass@]host[:port][/db], redis[s]-cluster://h1:p1,h2:p2 or \
         redis[s]-sentinel://h1:p1,h2:p2/master (valkey for redis too)",
    ),
    (
        "SECRET",
        "expected { file = \"…\" } or { env = \"…\" }: secrets come from a file or the environment only",
    ),
    ("PREFIX", "expected 1 to 64 of A-Z, a-z, 0-9, '.', '_', ':' and '-'"),
    (
        "ALERTS",
        "expected { critical = \"500.00\", warning = \"2000.00\", high = \"10000.00\" }, each optional",
    ),
    ("AMOUNT", "expected an amount in quotes, such as \"500.00\""),
    ("RATIO", "expected a number from \"0\" to \"1\" in quotes, with at most nine decimals"),
    ("ADDRESS", "expected an IP address and a port, such as \"127.0.0.1:8080\""),
    ("DURATION", "expected a duration above zero with its unit, such as \"250ms\", \"10s\" or \"1m30s\""),
    ("COUNT", "expected a whole number from 1 to 4294967295"),
    (
        "URL",
        "expected an https URL (http only to 127.0.0.0/8, [::1] or localhost) without user, query and fragment",
    ),
    ("PATH", "expected a path that starts with /, without query and fragment"),
    ("COLLECTOR", "expected an http or https URL without user, query and fragment"),
    ("SHARE", "expected a decimal number from \"0\" to \"1\", such as \"0.01\""),
    ("PROXY", "expected an http URL of a host and a port, without user, path and query"),
    (
        "PROVIDER",
        "kind, base_url, balance_path, token_path, connect_timeout, attempt_timeout, deadline, retries, \
         max_concurrency, budget, breaker, fresh_for, max_age, enabled, proxy, extra_ca, client_identity",
    ),
];

fn with_store(text: &str) -> String {
    text.replace("\nSTORE", "\nurl = \"redis://store\"").replace("\nKEY", "\nkey = { env = \"SHARED_KEY\" }")
}

#[test]
fn an_invalid_value_is_named_with_its_key() {
    for line in WRONG.lines().skip(1) {
        let parts: Vec<String> =
            line.split('|').map(|part| with_store(&part.trim_matches(' ').replace("\\n", "\n"))).collect();
        let [place, text, mistake] = &parts[..] else { panic!("{line}") };
        let is_word = |word: &str| mistake.split([' ', ',']).any(|part| part == word);
        let spoken = WORDS.iter().find(|(word, _)| is_word(word));
        let spelled_out = spoken.map_or(mistake.clone(), |(word, meaning)| mistake.replace(word, meaning));

        assert_mistakes(&with(place, text), &[&spelled_out]);
    }
}

#[test]
fn the_three_sections_without_defaults_are_required() {
    let missing = |key| format!("{key}: missing, expected tables of the form [{key}.NAME]");

    assert_mistakes("", &[&missing("providers"), &missing("accounts"), &missing("callers")]);
    assert_mistakes(
        "accounts = []\ncallers = { c = 1 }\n[providers]\nx = 1\n[surver]",
        &[
            "accounts: expected tables of the form [accounts.NAME], not a list",
            "callers.c: expected a table, [callers.NAME], not a number",
            "providers.x: expected a table, [providers.NAME], not a number",
            "surver: unknown key, expected one of server, shared, freshness, providers, accounts, auth, callers, hooks, metrics, log, tracing, kinds",
        ],
    );
    assert_mistakes(
        "[providers]\n[accounts]\n[callers]",
        &["accounts: expected at least one account, found none"],
    );
    assert_mistakes(&with("[log]", "[auth.ldap]"), &["auth.ldap: unknown key, expected one of kubernetes"]);
}

#[test]
fn every_mistake_is_listed_at_once_in_order_of_appearance() {
    let text = r#"
        [log]
        level = "loud"
        [callers.c]
        keys_sha256 = ["x", "y"]
        limit = { requests = 0, per = 1 }
        [accounts.a]
        token = "plain"
        provider = "p"
        [accounts.b]
        provider = "nobody"
        [providers.p]
        kind = "avista"
        deadline = "0s"
        proxi = 1
        [server]
        api = "x"
        tls = {}
    "#;
    let digest = "expected the SHA-256 of a key, 64 hex digits (see `balance-gateway new-key`)";
    let duration = "expected a duration above zero with its unit, such as \"250ms\", \"10s\" or \"1m30s\"";

    assert_mistakes(
        text,
        &[
            "log.level: expected one of error, warn, info, debug, not \"loud\"",
            &format!("callers.c.keys_sha256[0]: {digest}, not a text of 1 characters"),
            &format!("callers.c.keys_sha256[1]: {digest}, not a text of 1 characters"),
            "callers.c.limit.requests: expected a whole number from 1 to 4294967295, not 0",
            &format!("callers.c.limit.per: {duration}, not 1"),
            "accounts.a.token: expected { file = \"…\" } or { env = \"…\" }: secrets come from a file or the environment only, not a text",
            "accounts.b.provider: expected the name of a provider, one of p, not \"nobody\"",
            &format!("providers.p.deadline: {duration}, not \"0s\""),
            "providers.p.proxi: unknown key, expected one of kind, base_url, balance_path, token_path, connect_timeout, attempt_timeout, deadline, retries, max_concurrency, budget, breaker, fresh_for, max_age, enabled, proxy, extra_ca, client_identity",
            "server.api: expected an IP address and a port, such as \"127.0.0.1:8080\", not \"x\"",
            "server.tls.certificate: missing, expected the path of a file",
            "server.tls.private_key: missing, expected the path of a file",
        ],
    );
}

#[test]
fn malformed_toml_is_reported_only_with_its_line() {
    for (text, expected) in [
        (
            "[server]\napi = s3cr3t\n",
            "line 2: expected TOML: string values must be quoted, expected literal string",
        ),
        ("[server]\n\ntoken = \"s3cr3t\n", "line 3: expected TOML: invalid basic string, expected `\"`"),
        ("a = 1\na = \"s3cr3t\"", "line 2: expected TOML: duplicate key"),
    ] {
        assert_mistakes(text, &[expected]);
    }
}
