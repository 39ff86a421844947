//! Notifications from providers: their proof, their effects, and the cost of forged ones.

mod rotation;
mod storm;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use balance_gateway::sandbox::{Kind, Operation};
use reqwest::RequestBuilder;
use serde_json::json;
use tokio::task::JoinSet;

use crate::events::reader::Events;
use crate::harness::{Harness, Setup, eventually};
use crate::process::Folder;
use crate::tls::{self, Authority};

const KIND: Kind = Kind::NtxpayBr;
const ONE: &str = "?account=ntxpay-br-demo";
const SECRET: &str = "whsec-of-the-first-hook-0123456789";
const HOOK: &str = r#"
[hooks.brazil]
accounts = ["ntxpay-br-*"]
header = { name = "X-Webhook-Token", secret = { env = "HOOK_SECRET" } }
event_id = "x-event-id"
settle = "0s"
answer = 202
"#;

fn setup() -> Setup {
    with_hook(HOOK)
}

fn with_hook(hook: &str) -> Setup {
    Setup {
        server: "hooks = \"127.0.0.1:0\"".to_owned(),
        further: hook.to_owned(),
        secrets: vec![("HOOK_SECRET", SECRET.to_owned())],
        has_static_tokens: true,
        ..Setup::default()
    }
}

fn request(gateway: &Harness, method: &str, path: &str) -> RequestBuilder {
    let url = format!("http://{}{path}", gateway.hooks.unwrap());
    gateway.client.request(method.parse().unwrap(), url)
}

fn genuine(gateway: &Harness) -> RequestBuilder {
    request(gateway, "POST", "/hooks/brazil")
        .header("x-webhook-token", SECRET)
        .body("{\"event\":\"cash_in\"}")
}

async fn notify(gateway: &Harness) -> u16 {
    genuine(gateway).send().await.unwrap().status().as_u16()
}

async fn counted(gateway: &Harness, result: &str) -> u64 {
    gateway.count(&format!("hook_notifications_total{{hook=\"brazil\",result=\"{result}\"}}")).await
}

fn set(gateway: &Harness, amount: &str) {
    gateway.provider(KIND).set_field("BRL", None, "netBalance", amount);
}

fn reads(gateway: &Harness) -> usize {
    gateway.calls(KIND, Operation::Balance).len()
}

#[tokio::test]
async fn a_notification_reaches_a_stream_at_once() {
    let gateway = Harness::start(setup()).await;
    let mut events = Events::open(&gateway, ONE).await.begin().await;
    events.balance().await;
    set(&gateway, "42.00");

    let answer = genuine(&gateway).send().await.unwrap();

    assert_eq!((answer.status().as_u16(), answer.content_length()), (202, Some(0)));
    assert_eq!(events.balance().await["available"], "42.00");
    assert_eq!((counted(&gateway, "accepted").await, reads(&gateway)), (1, 2));
}

#[tokio::test]
async fn a_notification_invalidates_what_is_stored_and_reads_only_that() {
    let gateway = Harness::start(setup()).await;
    gateway.balance(KIND).await;
    gateway.balance(Kind::Avista).await;
    set(&gateway, "42.00");

    notify(&gateway).await;

    eventually("it is read again", || async { reads(&gateway) == 2 }).await;
    assert_eq!(gateway.balance(KIND).await.json()["available"], "42.00");
    assert_eq!(
        gateway.calls(Kind::Avista, Operation::Balance).len(),
        1,
        "the hook does not name this account"
    );
    // No caller has asked for this balance yet.
    let other = Harness::start(setup()).await;
    notify(&other).await;
    assert_eq!(other.balance(KIND).await.status, 200);
    assert_eq!(reads(&other), 1, "only its caller's request caused a read");
}

#[tokio::test]
async fn a_balance_that_changes_late_is_read_again_after_settle() {
    let gateway = Harness::start(with_hook(&HOOK.replace("settle = \"0s\"", "settle = \"1s\""))).await;
    let mut events = Events::open(&gateway, ONE).await.begin().await;
    events.balance().await;
    let began = Instant::now();

    notify(&gateway).await;
    events.balance().await;
    set(&gateway, "42.00");

    assert_eq!(events.balance().await["available"], "42.00");
    assert!(began.elapsed() >= Duration::from_secs(1));
    assert_eq!(reads(&gateway), 3);
}

#[tokio::test]
async fn notifications_of_one_second_are_one() {
    let gateway = Harness::start(setup()).await;
    let mut events = Events::open(&gateway, ONE).await.begin().await;
    events.balance().await;
    let began = Instant::now();
    let mut senders = JoinSet::new();
    for _ in 0..200 {
        senders.spawn(genuine(&gateway).send());
    }
    for sent in senders.join_all().await {
        assert_eq!(sent.unwrap().status(), 202);
    }
    let took = began.elapsed();
    set(&gateway, "42.00");

    notify(&gateway).await;

    while events.balance().await["available"] != "42.00" {}
    assert_eq!(counted(&gateway, "accepted").await, 201, "also those that were folded into another");
    let most = 2 + 1 + usize::try_from(took.as_secs()).unwrap();
    assert!(reads(&gateway) <= most + 1, "{} reads in {took:?}", reads(&gateway));
}

#[tokio::test]
async fn a_duplicate_is_answered_the_same_and_does_nothing() {
    let gateway = Harness::start(setup()).await;
    gateway.balance(KIND).await;
    let send = |id: &'static str| genuine(&gateway).header("X-Event-Id", id).send();

    for id in ["e-1", "e-1", "e-2"] {
        assert_eq!(send(id).await.unwrap().status(), 202);
    }
    // The id of a forged notification is not remembered.
    let forged = request(&gateway, "POST", "/hooks/brazil").header("x-event-id", "e-3").send().await.unwrap();
    assert_eq!(forged.status(), 401);
    send("e-3").await.unwrap();

    assert_eq!((counted(&gateway, "accepted").await, counted(&gateway, "duplicate").await), (3, 1));
}

#[tokio::test]
async fn a_request_that_is_no_notification_is_refused_without_a_body() {
    let gateway = Harness::start(setup()).await;
    let statuses = [
        ("POST", "/hooks/brazil", None, 401),
        ("POST", "/hooks/brazil", Some("wrong"), 401),
        ("POST", "/hooks/nowhere", Some(SECRET), 404),
        ("POST", "/hooks/%62razil", Some("wrong"), 401),
        ("POST", "/hooks/%ffrazil", Some(SECRET), 404),
        ("POST", "/hooks/brazil/", Some(SECRET), 404),
        ("POST", "/hooks", Some(SECRET), 404),
        ("GET", "/", None, 404),
        ("GET", "/v1/accounts", None, 404),
        ("GET", "/metrics", None, 404),
        ("GET", "/hooks/brazil", Some(SECRET), 405),
        ("PUT", "/hooks/brazil", Some(SECRET), 405),
    ];
    for (method, path, secret, status) in statuses {
        let request = request(&gateway, method, path);
        let request =
            secret.into_iter().fold(request, |request, secret| request.header("x-webhook-token", secret));

        let answer = request.send().await.unwrap();

        assert_eq!(answer.status(), status, "{method} {path}");
        let allow = answer.headers().get("allow").map(|allow| allow.to_str().unwrap().to_owned());
        assert_eq!(allow.as_deref(), (status == 405).then_some("POST"), "{method} {path}");
        assert_eq!(answer.bytes().await.unwrap().len(), 0);
    }
    assert_eq!((counted(&gateway, "refused").await, counted(&gateway, "accepted").await), (3, 0));
    let on_the_api = gateway.send("POST", "/hooks/brazil", None, &[("x-webhook-token", SECRET)]).await;
    assert_eq!(on_the_api.status, 404, "not on the callers' port");
}

#[tokio::test]
async fn a_body_over_64_kib_is_refused_before_its_proof() {
    let gateway = Harness::start(setup()).await;
    let send = |length: usize| genuine(&gateway).body(vec![b'x'; length]).send();

    assert_eq!(send(64 * 1024).await.unwrap().status(), 202);
    assert_eq!(send(64 * 1024 + 1).await.unwrap().status(), 413);

    assert_eq!((counted(&gateway, "accepted").await, counted(&gateway, "refused").await), (1, 1));
}

#[tokio::test]
async fn the_twenty_first_refusal_is_throttled_and_a_valid_proof_never_is() {
    let gateway = Harness::start(setup()).await;
    let mut statuses = BTreeMap::<u16, u32>::new();
    for _ in 0..25 {
        let forged = request(&gateway, "POST", "/hooks/brazil").send().await.unwrap();
        if forged.status() == 429 {
            assert!(forged.headers().contains_key("retry-after"));
        }
        *statuses.entry(forged.status().as_u16()).or_default() += 1;
    }

    assert_eq!(notify(&gateway).await, 202);

    assert_eq!(statuses, BTreeMap::from([(401, 20), (429, 5)]));
    assert_eq!((counted(&gateway, "refused").await, counted(&gateway, "throttled").await), (20, 5));
}

#[tokio::test]
async fn a_signature_is_checked_over_the_raw_body() {
    let hook = r#"
[hooks.mexico]
accounts = ["ntxpay-mx-demo"]
hmac = { header = "X-NTXPay-Signature", prefix = "sha256=", secret = [{ env = "OLD" }, { env = "HOOK_SECRET" }] }
"#;
    let mut setup = with_hook(hook);
    setup.secrets.push(("OLD", "the-secret-before-the-rotation".to_owned()));
    let gateway = Harness::start(setup).await;
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, SECRET.as_bytes());
    let body = json!({"event": "transaction.cash_in.settled", "amount": 1.50}).to_string();
    let tag = aws_lc_rs::hmac::sign(&key, body.as_bytes());
    let hex = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    let send = |signature: String, body: String| {
        request(&gateway, "POST", "/hooks/mexico").header("x-ntxpay-signature", signature).body(body).send()
    };

    let right = send(format!("sha256={hex}"), body.clone()).await.unwrap().status();
    let reformatted = send(format!("sha256={hex}"), body.replace(':', ": ")).await.unwrap().status();

    assert_eq!((right.as_u16(), reformatted.as_u16()), (200, 401));
}

#[tokio::test]
async fn a_failing_provider_is_a_problem_event_and_is_called_again() {
    use balance_gateway::sandbox::{Fault, FaultKind};
    let setup = Setup { provider: "retries = 0".to_owned(), ..setup() };
    let gateway = Harness::start(setup).await;
    let mut events = Events::open(&gateway, ONE).await.begin().await;
    events.balance().await;
    gateway.provider(KIND).queue(Fault::on_balance(FaultKind::Reset));
    set(&gateway, "42.00");

    notify(&gateway).await;

    assert_eq!(events.problem().await["problem"]["code"], "provider_unreachable");
    assert_eq!(events.balance().await["available"], "42.00", "read again when the hold is over");
}

#[tokio::test]
async fn with_hooks_tls_notifications_arrive_encrypted_and_only_so() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let lines = tls::lines(&folder, &authority, None).replacen("tls =", "hooks_tls =", 1);
    let mut setup = setup();
    setup.server = format!("{}\n{lines}", setup.server);
    let gateway = Harness::start(setup).await;
    let client = authority.client(None, &["http/1.1"]);
    let url = format!("https://localhost:{}/hooks/brazil", gateway.hooks.unwrap().port());

    let genuine_one = client.post(&url).header("x-webhook-token", SECRET).body("{}").send().await.unwrap();
    let forged = client.post(&url).header("x-webhook-token", "x").body("{}").send().await.unwrap();

    assert_eq!((genuine_one.status().as_u16(), forged.status().as_u16()), (202, 401));
    assert!(genuine(&gateway).send().await.is_err(), "plain text is not served");
    assert_eq!(gateway.balance(KIND).await.status, 200, "callers are served in plain text");
}
