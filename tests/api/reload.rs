//! Configurations that change while the gateway serves: on a signal or by themselves, whole or not at all.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use balance_gateway::sandbox::{Call, Fault, FaultKind, Operation};

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::harness::{KEY, Reply, digest, eventually, is_long, record, value_of};
use crate::process::{Folder, Gateway, Site, exchange};

const PATH: &str = "/v1/accounts/treasury/balance";
const WORKS: &str = "config_reloads_total{result=\"ok\"}";
const REJECTED: &str = "config_reloads_total{result=\"rejected\"}";

async fn metric(gateway: &Gateway, series: &str) -> Option<f64> {
    let page = gateway.get(&gateway.ops, "/metrics").await.unwrap().body;
    value_of(&page, &format!("balance_gateway_{series}"))
}

const ROTATED: &str = "s3cr3t-that-was-rotated-4c1d";
const MISTYPED: &str = "s3cr3t-that-is-mistyped-9b07";

/// A budget that no test here spends.
const AMPLE: &str = "budget = { requests = 1000000, per = \"1m\" }\nbalance_path = \"/api/balance\"";

async fn site() -> Site {
    Site::with_provider("", AMPLE).await
}

/// Reloads so far: taken and refused.
async fn reloads(gateway: &Gateway) -> [u64; 2] {
    let page = gateway.get(&gateway.ops, "/metrics").await.unwrap().body;
    [WORKS, REJECTED].map(|series| {
        let value = value_of(&page, &format!("balance_gateway_{series}")).unwrap();
        value.to_string().parse().unwrap()
    })
}

async fn balance(gateway: &Gateway) -> Reply {
    gateway.get(&gateway.api, PATH).await.unwrap()
}

impl Site {
    /// Writes the configuration with this in place of that, in one step.
    pub(crate) fn rewrite(&self, from: &str, to: &str) {
        let text = fs::read_to_string(&self.config).unwrap();
        assert!(text.contains(from), "{from}");
        self.replace("gateway.toml", &text.replacen(from, to, 1));
    }

    /// Replaces a file in one step, as an editor or a deployment does.
    fn replace(&self, name: &str, text: &str) {
        let written = self.folder.write(&format!("{name}.next"), text);
        fs::rename(written, self.folder.0.join(name)).unwrap();
    }

    /// A further account, with a token in this file.
    fn account(&self, name: &str, file: &str) -> String {
        let file = self.folder.0.join(file).display().to_string();
        format!("[accounts.{name}]\nprovider = \"ntxpay-br\"\ntoken = {{ file = \"{file}\" }}\n[callers.all]")
    }
}

/// Asks for a reload, and waits until one is counted.
async fn hang_up(gateway: &Gateway, site: &Site, from: &str, to: &str) {
    let before = reloads(gateway).await;
    site.rewrite(from, to);
    gateway.signal("HUP");
    eventually("the reload is counted", || async { reloads(gateway).await != before }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_signal_accounts_come_and_go_and_the_others_keep_their_state() {
    let site = site().await;
    let gateway = site.serve().await;
    let before = balance(&gateway).await;
    site.folder.write("token", &site.provider.credentials().token);

    hang_up(&gateway, &site, "[callers.all]", &site.account("second", "token")).await;
    let second = gateway.get(&gateway.api, "/v1/accounts/second/balance").await.unwrap();
    let kept = balance(&gateway).await;
    hang_up(&gateway, &site, &site.account("second", "token"), "[callers.all]").await;
    let gone = gateway.get(&gateway.api, "/v1/accounts/second/balance").await.unwrap();

    assert_eq!((before.status, second.status), (200, 200), "{second:?}");
    assert_eq!(kept.body, before.body, "what was stored is served on");
    gone.assert_problem(404, "account_not_found");
    assert_eq!(reloads(&gateway).await, [2, 0]);
    eventually("both are in the log", || async { gateway.lines_of("config_reloaded").len() == 2 }).await;
    assert!(gateway.lines_of("config_reloaded").iter().all(|line| line["changed"] == "accounts.second"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_configuration_is_refused_as_a_whole_and_counted_once() {
    let site = site().await;
    let gateway = site.serve().await;
    balance(&gateway).await;

    let (good, bad) =
        ("[callers.all]", "[callers.new]\nkeys_sha256 = []\naccounts = []\n[callers.all]\nx = 1");
    hang_up(&gateway, &site, good, bad).await;
    assert_eq!(reloads(&gateway).await, [0, 1]);
    let line = &gateway.logged("config_rejected").await[0];
    assert!(line["error"].as_str().unwrap().contains("callers.all.x: unknown key"), "{line}");
    // Noticed by the signal and by the look at the files alike, and counted by neither again.
    gateway.signal("HUP");
    hang_up(&gateway, &site, bad, good).await;
    hang_up(&gateway, &site, good, bad).await;

    assert_eq!(reloads(&gateway).await, [1, 2]);
    assert_eq!(balance(&gateway).await.status, 200);
}

/// A refusal that comes late: the text is right, and the certificate and key of a new provider do not match.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_reload_leaves_an_open_breaker_as_it_is() {
    let site = Site::with_provider("", "breaker = { failures = 1, cooldown = \"1m\" }\nretries = 0").await;
    let gateway = site.serve().await;
    let unavailable = FaultKind::Status { status: 503, retry_after: None, body: None };
    site.provider.queue(Fault::on_balance(unavailable));
    assert_eq!(balance(&gateway).await.status, 502);
    let [certificate, key] = ["certificate", "key"].map(|name| {
        let made = rcgen::generate_simple_self_signed(["gateway".to_owned()]).unwrap();
        let text = if name == "key" { made.signing_key.serialize_pem() } else { made.cert.pem() };
        format!("{{ file = {:?} }}", site.folder.write(name, &text))
    });
    let identity = format!("client_identity = {{ certificate = {certificate}, private_key = {key} }}");
    let second =
        format!("[providers.second]\nkind = \"ntxpay-br\"\nbase_url = \"https://localhost:1\"\n{identity}\n");

    hang_up(&gateway, &site, "retries = 0", &format!("retries = 1\n{second}")).await;

    assert_eq!(reloads(&gateway).await, [0, 1]);
    assert_eq!(metric(&gateway, "breaker_state{provider=\"ntxpay-br\"}").await, Some(2.0));
}

/// A folder as Kubernetes mounts a Secret: the files are links through `..data`, which is a link that is swapped.
fn mounted(folder: &Folder, generation: &str, client_secret: &str, certificate: &str) {
    let data = folder.0.join("mount").join(generation);
    fs::create_dir_all(&data).unwrap();
    fs::write(data.join("client_secret"), client_secret).unwrap();
    fs::write(data.join("client.pem"), certificate).unwrap();
    let (link, next) = (folder.0.join("mount/..data"), folder.0.join("mount/..data_tmp"));
    symlink(generation, &next).unwrap();
    fs::rename(next, link).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_and_a_certificate_rotated_by_a_swapped_link_under_load_fail_no_answer() {
    let site = site().await;
    site.provider.require_certificate(true);
    let old = site.provider.credentials().client_secret;
    let [certificate, next_certificate] = [(); 2].map(|()| {
        rcgen::generate_simple_self_signed(["gateway".to_owned()]).unwrap().cert.pem().replace("\r\n", "\n")
    });
    mounted(&site.folder, "..2026_1", &old, &certificate);
    let mount = site.folder.0.join("mount");
    for name in ["client_secret", "client.pem"] {
        symlink(format!("..data/{name}"), mount.join(name)).unwrap();
    }
    let mount = mount.display();
    let secret = format!("client_secret = {{ file = \"{}/client_secret\" }}", site.folder.0.display());
    site.rewrite(
        &secret,
        &format!(
            "client_secret = {{ file = \"{mount}/client_secret\" }}\n\
             certificate = {{ file = \"{mount}/client.pem\" }}"
        ),
    );
    let gateway = Arc::new(site.serve().await);
    let load = Load::begin(&gateway).await;

    site.provider.accept_secret(ROTATED);
    record("secrets", ROTATED);
    mounted(&site.folder, "..2026_2", ROTATED, &next_certificate);
    eventually("the change is noticed without a signal", || async { reloads(&gateway).await == [1, 0] })
        .await;
    site.provider.refuse_secret(&old);
    site.provider.expire_tokens();
    eventually("the new secret and certificate are in use", || async {
        let is_new = |call: &Call| {
            let sent = call.header("x-ssl-client-cert").unwrap_or_default();
            let sent = percent_encoding::percent_decode_str(sent).decode_utf8().unwrap();
            call.body.contains(ROTATED) && call.status == Some(201) && sent.trim() == next_certificate.trim()
        };
        site.provider.calls().iter().any(is_new)
    })
    .await;

    assert_eq!(load.end().await.failed, 0);
    assert_eq!(metric(&gateway, "credential_rejected{account=\"treasury\"}").await, Some(0.0));
    assert_eq!(gateway.logged("config_reloaded").await[0]["changed"], "accounts.treasury");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_new_secret_is_logged_and_fails_no_request() {
    let site = site().await;
    let gateway = Arc::new(site.serve().await);
    let load = Load::begin(&gateway).await;

    site.replace("client_secret", MISTYPED);
    record("secrets", MISTYPED);
    gateway.signal("HUP");
    eventually("the reload is counted", || async { reloads(&gateway).await == [1, 0] }).await;
    site.provider.expire_tokens();
    let rejected = "credential_rejected{account=\"treasury\"}";
    eventually("the new secret was refused", || async { metric(&gateway, rejected).await == Some(1.0) })
        .await;
    let status = gateway.get(&gateway.ops, "/status").await.unwrap();
    site.replace("client_secret", &site.provider.credentials().client_secret);
    eventually("the old one is back", || async { metric(&gateway, rejected).await == Some(0.0) }).await;

    assert_eq!(load.end().await.failed, 0);
    assert_eq!(status.json()["accounts"][0]["credential_rejected"], true);
    assert_eq!(gateway.logged("credential_rejected").await[0]["account"], "treasury");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_that_cannot_be_read_stays_what_it_was_and_a_new_account_waits_for_its_own() {
    let site = site().await;
    let gateway = site.serve().await;
    balance(&gateway).await;

    site.replace("client_secret", "\n");
    hang_up(&gateway, &site, "[callers.all]", &site.account("second", "later")).await;
    site.provider.expire_tokens();
    let kept = gateway.client.get(format!("http://{}{PATH}", gateway.api)).bearer_auth(gateway.key);
    let kept = Reply::read(kept.header("cache-control", "no-cache").send().await.unwrap()).await;
    let waiting = gateway.get(&gateway.api, "/v1/accounts/second/balance").await.unwrap();
    site.folder.write("later", &site.provider.credentials().token);
    eventually("the new account is switched on", || async {
        gateway.get(&gateway.api, "/v1/accounts/second/balance").await.unwrap().status == 200
    })
    .await;

    assert_eq!(kept.status, 200, "{kept:?}");
    waiting.assert_problem(503, "disabled");
    assert_eq!(reloads(&gateway).await, [2, 0]);
    eventually("the log names both", || async { gateway.lines_of("config_unread").len() >= 2 }).await;
    let unread = gateway.lines_of("config_unread");
    let keys: Vec<_> = unread.iter().take(2).map(|line| line["key"].as_str().unwrap()).collect();
    assert_eq!(keys, ["accounts.treasury.client_secret", "accounts.second.token"]);
    assert!(unread[0]["file"].as_str().unwrap().ends_with("client_secret"), "{unread:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_secret_of_a_waiting_account_replaces_none() {
    let site = site().await;
    let gateway = site.serve().await;
    hang_up(&gateway, &site, "[callers.all]", &site.account("second", "later")).await;

    site.folder.write("later", MISTYPED);
    record("secrets", MISTYPED);
    eventually("the new account is switched on", || async {
        gateway.get(&gateway.api, "/v1/accounts/second/balance").await.unwrap().status != 503
    })
    .await;
    let refused = gateway.get(&gateway.api, "/v1/accounts/second/balance").await.unwrap();

    refused.assert_problem(502, "provider_refused_credentials");
    assert_eq!(site.provider.calls().len(), 1, "{:?}", site.provider.calls());
    assert_eq!(metric(&gateway, "credential_rejected{account=\"second\"}").await, Some(0.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_whose_further_secret_is_not_there_yet_keeps_its_credential() {
    let site = site().await;
    let gateway = site.serve().await;
    let before = balance(&gateway).await;
    let certificate = site.folder.0.join("client.pem").display().to_string();

    let treasury = "[accounts.treasury]";
    let further = format!("{treasury}\ncertificate = {{ file = \"{certificate}\" }}");
    hang_up(&gateway, &site, treasury, &further).await;
    let kept = balance(&gateway).await;
    let unread = gateway.logged("config_unread").await;
    hang_up(&gateway, &site, "[callers.all]", "[log]\nrequests = true\n[callers.all]").await;
    let still_kept = balance(&gateway).await;
    let pem = rcgen::generate_simple_self_signed(["gateway".to_owned()]).unwrap().cert.pem();
    site.folder.write("client.pem", &pem);
    eventually("the certificate is noticed", || async { reloads(&gateway).await == [3, 0] }).await;
    site.provider.require_certificate(true);
    site.provider.expire_tokens();
    let renewed = gateway.client.get(format!("http://{}{PATH}", gateway.api)).bearer_auth(gateway.key);
    let renewed = Reply::read(renewed.header("cache-control", "no-cache").send().await.unwrap()).await;

    assert_eq!((kept.status, &kept.body), (200, &before.body), "{kept:?}");
    assert_eq!((still_kept.status, renewed.status), (200, 200), "{still_kept:?} {renewed:?}");
    assert_eq!(unread[0]["key"], "accounts.treasury.certificate");
    assert!(unread[0]["message"].as_str().unwrap().contains("old credential is kept"), "{unread:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_client_certificate_ends_the_hold_after_a_refusal() {
    let site = site().await;
    let pair = || {
        let made = rcgen::generate_simple_self_signed(["gateway".to_owned()]).unwrap();
        [made.cert.pem(), made.signing_key.serialize_pem()]
    };
    let write = |[certificate, key]: [String; 2]| {
        [("tls.crt", certificate), ("tls.key", key)].map(|(name, pem)| site.folder.write(name, &pem))
    };
    let [certificate, key] = write(pair());
    let identity = format!(
        "{AMPLE}\nclient_identity = {{ certificate = {{ file = \"{certificate}\" }}, \
         private_key = {{ file = \"{key}\" }} }}"
    );
    site.rewrite(AMPLE, &identity);
    let gateway = site.serve().await;
    site.provider.queue(Fault::on_token(FaultKind::status(403)));
    balance(&gateway).await.assert_problem(502, "provider_refused_credentials");
    balance(&gateway).await.assert_problem(502, "provider_refused_credentials");

    write(pair());
    eventually("the reload is counted", || async { reloads(&gateway).await == [1, 0] }).await;

    assert_eq!(balance(&gateway).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_log_level_is_taken() {
    let site = site().await;
    site.rewrite("[callers.all]", "[log]\nlevel = \"error\"\n[callers.all]");
    let gateway = site.serve().await;
    site.provider.queue(Fault::on_any(FaultKind::Reset).times(100));
    balance(&gateway).await;
    assert!(gateway.lines_of("provider_failing").is_empty());

    hang_up(&gateway, &site, "level = \"error\"", "level = \"debug\"").await;
    eventually("the next failure is in the log", || async {
        balance(&gateway).await;
        gateway.output().contains("\"level\":\"DEBUG\"")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_identity_is_another_balance() {
    let site = site().await;
    let gateway = site.serve().await;
    let before = balance(&gateway).await;

    hang_up(&gateway, &site, "balance_path = \"/api/balance\"", "balance_path = \"/balance\"").await;
    let after = balance(&gateway).await;

    assert_eq!(after.status, 200, "{after:?}");
    assert_ne!(after.body, before.body);
    assert_eq!(after.header("cache-status"), "balance-gateway; fwd=uri-miss; fwd-status=200; stored");
}

/// Issue 14, item 32: identity A, then B, then A again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_identity_that_comes_back_finds_nothing_of_its_own() {
    let site = site().await;
    let gateway = site.serve().await;
    let before = balance(&gateway).await;
    let (first, second) = ("balance_path = \"/api/balance\"", "balance_path = \"/balance\"");

    hang_up(&gateway, &site, first, second).await;
    balance(&gateway).await;
    hang_up(&gateway, &site, second, first).await;
    let after = balance(&gateway).await;

    assert_eq!((before.status, after.status), (200, 200), "{after:?}");
    assert_ne!(after.body, before.body, "{after:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiting_caller_gets_the_balance_of_the_new_identity() {
    let site = site().await;
    let gateway = site.serve().await;
    site.provider.queue(Fault::on_balance(FaultKind::Delay { ms: 2000 }));
    let asking = gateway.client.get(format!("http://{}{PATH}", gateway.api)).bearer_auth(gateway.key);
    let asking = tokio::spawn(async move { Reply::read(asking.send().await.unwrap()).await });
    site.provider.wait_for_calls(2).await;

    site.provider.set_field("BRL", None, "netBalance", "100.00");
    hang_up(&gateway, &site, "balance_path = \"/api/balance\"", "balance_path = \"/balance\"").await;
    let reply = asking.await.unwrap();

    assert_eq!((reply.status, &reply.json()["available"]), (200, &"100.00".into()), "{reply:?}");
    let paths: Vec<_> = site.provider.calls().into_iter().map(|call| call.path_and_query).collect();
    assert_eq!(paths, ["/api/auth/token", "/api/balance", "/api/auth/token", "/balance"]);
}

/// Begins a request whose body is not there yet, and waits until the gateway has its head.
async fn begin_with_body(gateway: &Gateway) -> TcpStream {
    let mut stream = TcpStream::connect(&gateway.api).await.unwrap();
    let head = format!(
        "GET {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nContent-Length: 4\r\n\r\nb"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let is_admitted = || async { metric(gateway, "http_requests_in_flight").await == Some(1.0) };
    eventually("the request is in flight", is_admitted).await;
    stream
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_whose_body_comes_after_a_reload_is_answered_by_the_new_configuration() {
    let treasury = "[accounts.treasury]\nprovider = \"ntxpay-br\"\n";
    for (from, to, status) in [
        ("balance_path = \"/api/balance\"", "balance_path = \"/balance\"", "200 OK"),
        (treasury, &format!("{treasury}enabled = false\n"), "503 Service Unavailable"),
        ("accounts = [\"*\"]", "accounts = [\"other\"]", "404 Not Found"),
        (&digest(KEY), &digest("another key"), "401 Unauthorized"),
    ] {
        let site = site().await;
        let gateway = site.serve().await;
        balance(&gateway).await;
        let mut asking = begin_with_body(&gateway).await;

        site.provider.set_field("BRL", None, "netBalance", "100.00");
        hang_up(&gateway, &site, from, to).await;
        let answer = exchange(&mut asking, "ody").await.unwrap();

        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{to}: {answer}");
        assert_eq!(answer.contains("\"available\":\"100.00\""), status == "200 OK", "{to}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_callers_limit_keeps_its_state_unless_it_changes() {
    let site = site().await;
    let usual = "limit = { requests = 100000000, per = \"1m\", burst = 100000000 }";
    site.rewrite(usual, "limit = { requests = 1, per = \"10m\", burst = 2 }");
    let gateway = site.serve().await;
    assert_eq!((balance(&gateway).await.status, balance(&gateway).await.status), (200, 200));
    balance(&gateway).await.assert_problem(429, "rate_limited");

    hang_up(&gateway, &site, "[callers.all]", "[log]\nrequests = true\n[callers.all]").await;
    balance(&gateway).await.assert_problem(429, "rate_limited");
    hang_up(&gateway, &site, "burst = 2", "burst = 3").await;

    assert_eq!(balance(&gateway).await.status, 200);
    eventually("the log of requests is on since", || async { gateway.lines_of("request").len() == 2 }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alert_levels_that_change_are_judged_at_once_on_what_is_stored() {
    let site = site().await;
    let gateway = site.serve().await;
    balance(&gateway).await;
    let level =
        |level| format!("alert_active{{account=\"treasury\",currency=\"BRL\",type=\"\",level=\"{level}\"}}");
    let amount = "balance_amount{account=\"treasury\",provider=\"ntxpay-br\",currency=\"BRL\",type=\"\",kind=\"available\"}";
    assert_eq!((metric(&gateway, &level("high")).await, metric(&gateway, amount).await), (None, None));

    let treasury = "[accounts.treasury]";
    let alerts = |high| format!("{treasury}\nalerts = {{ high = \"{high}\" }}");
    hang_up(&gateway, &site, treasury, &alerts("48734.90")).await;
    assert_eq!(metric(&gateway, &level("high")).await, Some(0.0));
    hang_up(&gateway, &site, &alerts("48734.90"), &alerts("48734.89")).await;
    assert_eq!(metric(&gateway, &level("high")).await, Some(1.0));
    hang_up(&gateway, &site, &alerts("48734.89"), &format!("[metrics]\nbalances = true\n{treasury}")).await;

    assert_eq!(
        (metric(&gateway, &level("high")).await, metric(&gateway, amount).await),
        (None, Some(48734.9))
    );
    assert_eq!(site.provider.calls().len(), 2, "a token and one balance");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_begins_and_ends_with_the_configuration() {
    let site = Site::with_provider("", &format!("{AMPLE}\nfresh_for = \"1s\"")).await;
    let gateway = site.serve().await;
    let token = site.provider.credentials().token;
    let second = site.account("second", "token").replace("[callers", "watch = \"1s\"\n[callers");
    site.folder.write("token", &token);
    // The accounts have different tokens.
    let reads_with = |is_second: bool| {
        let of_it =
            |call: &Call| call.header("authorization").is_some_and(|it| it.ends_with(&token)) == is_second;
        let calls = site.provider.calls().into_iter();
        calls.filter(|call| call.operation == Operation::Balance && of_it(call)).count()
    };
    let treasury = "[accounts.treasury]";
    let watched = |interval| format!("{treasury}\nwatch = \"{interval}\"");

    assert_eq!(reads_with(false), 0);
    hang_up(&gateway, &site, treasury, &watched("1s")).await;
    eventually("it is watched", || async { reads_with(false) >= 3 }).await;
    hang_up(&gateway, &site, &watched("1s"), &watched("1h")).await;
    let before = reads_with(false);
    hang_up(&gateway, &site, "[callers.all]", &second).await;
    eventually("the other is watched", || async { reads_with(true) >= 3 }).await;

    // One may have been under way.
    assert!(reads_with(false) <= before + 1, "an hour is not over");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_needs_a_restart_is_logged_and_the_rest_applies() {
    let site = site().await;
    let gateway = site.serve().await;

    hang_up(&gateway, &site, "ops = \"127.0.0.1:0\"", "ops = \"127.0.0.1:1\"\nmax_in_flight = 1").await;

    assert_eq!(gateway.get(&gateway.ops, "/readyz").await.unwrap().status, 200);
    let line = &gateway.logged("config_restart").await[0];
    assert_eq!((line["key"].as_str(), line["level"].as_str()), (Some("server.ops"), Some("WARN")));
    assert!(line["message"].as_str().unwrap().contains("restart"), "{line}");
    assert_eq!(reloads(&gateway).await, [1, 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_changes_under_load_of_which_some_are_broken_fail_no_request() {
    let changes: u32 = if is_long() { 200 } else { 60 };
    let site = site().await;
    let gateway = Arc::new(site.serve().await);
    let load = Load::begin(&gateway).await;
    let of =
        |change: u32| if change % 10 == 9 { "broken".to_owned() } else { format!("{}s", 11 + change % 7) };

    let mut last = "[callers.all]".to_owned();
    for change in 0..changes {
        let next = format!(
            "[callers.other]\nkeys_sha256 = [\"{}\"]\naccounts = [\"*\"]\n",
            digest(&change.to_string())
        ) + &format!("limit = {{ requests = 1, per = \"{}\" }}\n[callers.all]", of(change));
        hang_up(&gateway, &site, &last, &next).await;
        last = next;
    }

    let (broken, load) = (changes / 10, load.end().await);
    assert_eq!(reloads(&gateway).await, [changes - broken, broken].map(u64::from));
    assert_eq!(load.failed, 0);
    assert!(load.answered > 100, "{}", load.answered);
    // The last change is a broken one, so the key of the one before it is in force.
    let key = (changes - 2).to_string();
    let reply = gateway.client.get(format!("http://{}{PATH}", gateway.api)).bearer_auth(key).send().await;
    assert_eq!(reply.unwrap().status(), 200);
}

/// Requests without a pause until it is ended, every tenth of which forces a read.
struct Load {
    is_over: Arc<AtomicBool>,
    callers: Vec<tokio::task::JoinHandle<Loaded>>,
}

/// The observations of a load.
#[derive(Default)]
struct Loaded {
    answered: u64,
    failed: u64,
}

impl Load {
    /// Begins with a served balance: a token that was never accepted is renewed by other rules.
    async fn begin(gateway: &Arc<Gateway>) -> Self {
        assert_eq!(balance(gateway).await.status, 200);
        let is_over = Arc::new(AtomicBool::new(false));
        let ask = |_| {
            let (gateway, is_over) = (Arc::clone(gateway), Arc::clone(&is_over));
            tokio::spawn(async move {
                let mut loaded = Loaded::default();
                while !is_over.load(Ordering::Relaxed) {
                    let demand = if loaded.answered % 10 == 0 { "no-cache" } else { "max-age=60" };
                    let request = gateway.client.get(format!("http://{}{PATH}", gateway.api));
                    let request = request.bearer_auth(gateway.key).header("cache-control", demand);
                    let reply = Reply::read(request.send().await.unwrap()).await;
                    loaded.answered += 1;
                    loaded.failed += u64::from(reply.status != 200);
                    // As often as a service asks, and not as often as a machine can.
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                loaded
            })
        };
        Self { callers: (0..4).map(ask).collect(), is_over }
    }

    async fn end(self) -> Loaded {
        self.is_over.store(true, Ordering::Relaxed);
        let mut all = Loaded::default();
        for caller in self.callers {
            let one = caller.await.unwrap();
            all.answered += one.answered;
            all.failed += one.failed;
        }
        all
    }
}
