//! Kinds that the configuration declares, against real sockets: each way to authenticate, hostile bodies, mappings that
//! are corrected while the gateway serves, and figures that lag.

mod mutual_tls;

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use balance_gateway::sandbox::{
    Call, Fault, FaultKind, Kind, LIFE, Operation, Route, Script, SimulatedProvider, TOKEN, UNTIL,
};

use crate::harness::{KEY, digest, eventually, is_long, record, value_of};
use crate::process::{Folder, Gateway, command, run_on_record};

pub(crate) const ACCOUNT: &str = "/v1/accounts/a/balance";
const BODY: &str = r#"{"balance":48734.91}"#;
const FIRST: &str = "s3cr3t-of-a-declared-kind-8f1c";
const SECOND: &str = "s3cr3t-of-a-declared-kind-77aa";
const CLIENT: &str = "client-of-a-declared-kind-31b0";
/// The mapping of [`BODY`].
const MAPPING: &str = "currency = \"BRL\"\nunits = \"major\"\navailable = \"/balance\"\n";

/// A provider that answers by a script, and the files of a gateway in front of it.
pub(crate) struct Site {
    pub(crate) folder: Folder,
    provider: SimulatedProvider,
    pub(crate) config: String,
}

impl Site {
    /// `kind` are the lines of `[kinds.k]` before its examples, `example` those of its one example but the body.
    async fn new(kind: &str, body: &str, example: &str, account: &str) -> Self {
        let (folder, provider) = (Folder::new(), SimulatedProvider::start(Kind::Declared).await.unwrap());
        let body = folder.write("body.json", body);
        let (id, secret) = (folder.write("id", CLIENT), folder.write("secret", FIRST));
        record("secrets", &[FIRST, SECOND, CLIENT, KEY].join("\n"));
        let account = account.replace("ID", &id).replace("SECRET", &secret);
        let text = format!(
            "[server]\napi = \"127.0.0.1:0\"\nops = \"127.0.0.1:0\"\n\
             [kinds.k]\n{kind}\n[[kinds.k.examples]]\nbody = {{ file = \"{body}\" }}\n{example}\n\
             [providers.p]\nkind = \"k\"\nbase_url = \"{}\"\nbudget = {{ requests = 1000000, per = \"1m\" }}\n\
             [accounts.a]\nprovider = \"p\"\n{account}\n\
             [callers.all]\nkeys_sha256 = [\"{}\"]\naccounts = [\"*\"]\n\
             limit = {{ requests = 100000000, per = \"1m\", burst = 100000000 }}\n\
             forced = {{ requests = 100000000, per = \"1m\", burst = 100000000 }}\n",
            provider.url(),
            digest(KEY)
        );
        let config = folder.write("gateway.toml", &text);
        Self { folder, provider, config }
    }

    pub(crate) async fn serve(&self) -> Gateway {
        Gateway::start(&["serve", "--config", &self.config]).await
    }

    pub(crate) fn calls(&self, operation: Operation) -> Vec<Call> {
        self.provider.calls().into_iter().filter(|call| call.operation == operation).collect()
    }

    /// Replaces a file in one step.
    fn replace(&self, name: &str, text: &str) {
        let written = self.folder.write(&format!("{name}.next"), text);
        fs::rename(written, self.folder.0.join(name)).unwrap();
    }

    pub(crate) fn rewrite(&self, from: &str, to: &str) {
        let text = fs::read_to_string(&self.config).unwrap();
        assert!(text.contains(from), "{from}");
        self.replace("gateway.toml", &text.replace(from, to));
    }
}

fn route(
    operation: Operation,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &str,
    answer: &str,
) -> Route {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Route {
        operation,
        method: method.to_owned(),
        target: target.to_owned(),
        headers: headers.collect(),
        body: body.to_owned(),
        answer: answer.to_owned(),
    }
}

fn script(routes: Vec<Route>) -> Script {
    Script { name: "k".to_owned(), routes }
}

async fn reloads(gateway: &Gateway) -> u64 {
    let page = gateway.get(&gateway.ops, "/metrics").await.unwrap().body;
    let results = ["ok", "rejected"].map(|result| {
        let series = format!("balance_gateway_config_reloads_total{{result=\"{result}\"}}");
        value_of(&page, &series).unwrap().to_string().parse::<u64>().unwrap()
    });
    results.iter().sum()
}

async fn hang_up(gateway: &Gateway) {
    let before = reloads(gateway).await;
    gateway.signal("HUP");
    eventually("the reload is counted", || async { reloads(gateway).await != before }).await;
}

async fn read_anew(gateway: &Gateway) -> crate::harness::Reply {
    gateway.get_with(ACCOUNT, &[("cache-control", "no-cache")]).await
}

/// One way to authenticate: the kind's lines, and what the provider expects of a secret.
struct Form {
    name: &'static str,
    kind: String,
    account: &'static str,
    /// The expected requests with this secret.
    routes: fn(secret: &str) -> Vec<Route>,
    has_token: bool,
}

const ONE_SECRET: &str = "secrets = { key = { file = \"SECRET\" } }";
const PAIR: &str = "secrets = { id = { file = \"ID\" }, key = { file = \"SECRET\" } }";

fn base64(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

fn balance(headers: &[(&str, &str)]) -> Route {
    route(Operation::Balance, "GET", "/b", headers, "", BODY)
}

fn bearer() -> Route {
    balance(&[("authorization", &format!("Bearer {TOKEN}"))])
}

fn token(headers: &[(&str, &str)], body: &str, answer: &str) -> Route {
    route(Operation::Token, "POST", "/t", headers, body, answer)
}

fn issued() -> String {
    format!(r#"{{"access_token":"{TOKEN}","token_type":"Bearer","expires_in":{LIFE}}}"#)
}

fn forms() -> Vec<Form> {
    let one = |rest: &str| format!("path = \"/b\"\nsecrets = [\"key\"]\n{rest}\n{MAPPING}");
    let two = |rest: &str| format!("path = \"/b\"\nsecrets = [\"id\", \"key\"]\n{rest}\n{MAPPING}");
    let bearer_of = "headers = { Authorization = \"Bearer {token}\" }";
    vec![
        Form {
            name: "header",
            kind: one("headers = { access_token = \"{key}\" }"),
            account: ONE_SECRET,
            routes: |secret| vec![balance(&[("access_token", secret)])],
            has_token: false,
        },
        Form {
            name: "basic",
            kind: one("basic = [\"{key}\", \"\"]"),
            account: ONE_SECRET,
            routes: |secret| {
                vec![balance(&[("authorization", &format!("Basic {}", base64(&format!("{secret}:"))))])]
            },
            has_token: false,
        },
        Form {
            name: "a POST with a form",
            kind: one("method = \"POST\"\nform = { key = \"{key}\", currency_code = \"{currency}\" }"),
            account: ONE_SECRET,
            routes: |secret| {
                let body = format!("key={secret}&currency_code=BRL");
                let media_type = ("content-type", "application/x-www-form-urlencoded");
                vec![route(Operation::Balance, "POST", "/b", &[media_type], &body, BODY)]
            },
            has_token: false,
        },
        Form {
            name: "a POST without a body",
            kind: one("method = \"POST\"\nheaders = { x-key = \"{key}\" }"),
            account: ONE_SECRET,
            routes: |secret| {
                let headers = [("x-key", secret), ("content-length", "0")];
                vec![route(Operation::Balance, "POST", "/b", &headers, "", BODY)]
            },
            has_token: false,
        },
        Form {
            name: "a token by form",
            kind: two(&format!(
                "{bearer_of}\ntoken = {{ path = \"/t\", form = {{ grant_type = \"client_credentials\", client_id = \"{{id}}\", \
                 client_secret = \"{{key}}\" }}, at = \"/access_token\", seconds = \"/expires_in\" }}"
            )),
            account: PAIR,
            routes: |secret| {
                let body = format!("grant_type=client_credentials&client_id={CLIENT}&client_secret={secret}");
                vec![token(&[], &body, &issued()), bearer()]
            },
            has_token: true,
        },
        Form {
            name: "a token by JSON, without a life in the answer",
            kind: two(
                "headers = { X-API-KEY = \"{token}\" }\ntoken = { path = \"/t\", json = { clientId = \"{id}\", \
                 clientSecret = \"{key}\" }, at = \"/apiKey\", life = \"2h\" }",
            ),
            account: PAIR,
            routes: |secret| {
                let body = format!(r#"{{"clientId":"{CLIENT}","clientSecret":"{secret}"}}"#);
                let answer = format!(r#"{{"apiKey":"{TOKEN}"}}"#);
                vec![token(&[], &body, &answer), balance(&[("x-api-key", TOKEN)])]
            },
            has_token: true,
        },
        Form {
            name: "a token by Basic",
            kind: two(&format!(
                "{bearer_of}\ntoken = {{ path = \"/t\", basic = [\"{{id}}\", \"{{key}}\"], form = {{ grant_type = \
                 \"client_credentials\" }}, at = \"/access_token\", seconds = \"/expires_in\" }}"
            )),
            account: PAIR,
            routes: |secret| {
                let basic = format!("Basic {}", base64(&format!("{CLIENT}:{secret}")));
                vec![
                    token(&[("authorization", &basic)], "grant_type=client_credentials", &issued()),
                    bearer(),
                ]
            },
            has_token: true,
        },
        Form {
            name: "a token by headers, with an instant",
            kind: two(&format!(
                "{bearer_of}\ntoken = {{ path = \"/t\", headers = {{ x-client-id = \"{{id}}\", x-api-key = \"{{key}}\" }}, \
                 at = \"/token\", until = \"/expires_at\" }}"
            )),
            account: PAIR,
            routes: |secret| {
                let answer = format!(r#"{{"token":"{TOKEN}","expires_at":"{UNTIL}"}}"#);
                let headers = [("x-client-id", CLIENT), ("x-api-key", secret), ("content-length", "0")];
                vec![token(&headers, "", &answer), bearer()]
            },
            has_token: true,
        },
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_form_of_authentication_reads_renews_and_survives_a_rotation() {
    for Form { name, kind, account, routes, has_token } in forms() {
        let site = Site::new(&kind, BODY, "available = \"48734.91\"", account).await;
        site.provider.set_script(script(routes(FIRST)));
        let gateway = site.serve().await;

        let reply = gateway.get(&gateway.api, ACCOUNT).await.unwrap();
        assert_eq!(
            (reply.status, &reply.json()["available"]),
            (200, &"48734.91".into()),
            "{name}: {reply:?}"
        );
        assert_eq!(site.calls(Operation::Token).len(), usize::from(has_token), "{name}");

        if has_token {
            site.provider.expire_tokens();
            assert_eq!(
                read_anew(&gateway).await.status,
                200,
                "{name}: a token that expired early is renewed"
            );
            assert_eq!(site.calls(Operation::Token).len(), 2, "{name}");
        }

        // The new secret is there before the provider takes it: the old one is used on.
        site.folder.write("secret", SECOND);
        hang_up(&gateway).await;
        assert_eq!(
            read_anew(&gateway).await.status,
            200,
            "{name}: the old secret while the new one is refused"
        );
        // A live token is used until it expires; every other form tries the new secret first.
        let is_refused = site.calls(Operation::Balance).iter().any(|call| call.status == Some(401));
        assert!(has_token || is_refused, "{name}: the new secret was tried");
        let output = gateway.output();
        for secret in [FIRST, SECOND, CLIENT] {
            assert!(!output.contains(secret), "{name}: a secret is in the log");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotated_secret_is_used_at_once() {
    for Form { name, kind, account, routes, has_token } in forms() {
        let site = Site::new(&kind, BODY, "available = \"48734.91\"", account).await;
        site.provider.set_script(script(routes(FIRST)));
        let gateway = site.serve().await;
        assert_eq!(gateway.get(&gateway.api, ACCOUNT).await.unwrap().status, 200, "{name}");

        site.folder.write("secret", SECOND);
        site.provider.set_script(script(routes(SECOND)));
        hang_up(&gateway).await;
        if has_token {
            site.provider.expire_tokens();
        }

        let reply = read_anew(&gateway).await;
        assert_eq!(reply.status, 200, "{name}: {reply:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_shows_a_kind_and_none_of_its_secrets() {
    let Form { kind, account, routes, .. } = forms().remove(6);
    let site = Site::new(&kind, BODY, "available = \"48734.91\"", account).await;
    site.provider.set_script(script(routes(FIRST)));

    let (code, stdout, stderr) = run_on_record(&["check", "--config", &site.config, "--live"]);

    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.contains("[kinds.k]") && stdout.contains("units = \"major\""), "{stdout}");
    for secret in [FIRST, CLIENT] {
        assert!(!stdout.contains(secret) && !stderr.contains(secret));
    }
}

const ROWS: &str = r#"{"status":"ok","rows":[{"currency":"USD","amount":1.01},{"currency":"BRL","amount":48734.91,"held":1250.37},{"currency":"EUR","amount":2.02}]}"#;
const ROWS_KIND: &str = "path = \"/b\"\nsecrets = [\"key\"]\nheaders = { x-key = \"{key}\" }\nsuccess = { \"/status\" = \"ok\" }\n\
     rows = \"/rows\"\ncurrency = { at = \"/currency\" }\nunits = \"major\"\navailable = \"/amount\"\n\
     blocked = { at = \"/held\", optional = true }\n";
const ROWS_EXAMPLE: &str = "currency = \"BRL\"\navailable = \"48734.91\"\nblocked = \"1250.37\"\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_bodies_are_the_documented_problems() {
    let account = format!("{ONE_SECRET}\nbalances = [{{ currency = \"BRL\" }}]");
    let deep = ["[".repeat(10_000), "]".repeat(10_000)].concat();
    let row = |row: &str| format!(r#"{{"status":"ok","rows":[{{"currency":"USD","amount":1}},{row}]}}"#);
    let of = |amount: &str| row(&format!(r#"{{"currency":"BRL","amount":{amount}}}"#));
    let marker = "4711-in-a-body";
    let bodies = [
        (of("48734.91"), None),
        (of(r#""48734.91""#), None),
        (of("1e2"), None),
        (format!(r#"{{"status":"ok","deep":{deep},"rows":[{{"currency":"BRL","amount":1}}]}}"#), None),
        (of("32851.869999999995"), Some("provider_invalid_response")),
        (of(&format!(r#""{marker}""#)), Some("provider_invalid_response")),
        (of(r#""1.234,56""#), Some("provider_invalid_response")),
        (of("true"), Some("provider_invalid_response")),
        (of("null"), Some("provider_invalid_response")),
        (of(&deep), Some("provider_invalid_response")),
        (row(r#"{"currency":"BRL","amount":1,"amount":1}"#), Some("provider_invalid_response")),
        (row(r#"{"currency":"BRL","currency":"BRL","amount":1}"#), Some("provider_invalid_response")),
        (
            row(r#"{"currency":"BRL","amount":1},{"currency":"BRL","amount":1}"#),
            Some("provider_invalid_response"),
        ),
        (row(r#"{"currency":"brl","amount":1}"#), Some("provider_invalid_response")),
        (row(r#"{"amount":1}"#), Some("provider_invalid_response")),
        (row(r#"["BRL",1]"#), Some("provider_invalid_response")),
        (row(&format!(r#""{marker}""#)), Some("provider_invalid_response")),
        (
            r#"{"status":"ok","rows":{"currency":"BRL","amount":1}}"#.to_owned(),
            Some("provider_invalid_response"),
        ),
        (r#"{"status":"ok","rows":[]}"#.to_owned(), Some("provider_invalid_response")),
        (r#"{"status":"ok"}"#.to_owned(), Some("provider_invalid_response")),
        (r#"[{"currency":"BRL","amount":1}]"#.to_owned(), Some("provider_invalid_response")),
        (format!("<html>{marker}</html>"), Some("provider_invalid_response")),
        (
            format!(r#"{{"status":"ok","x":"{}","rows":[]}}"#, "x".repeat(64 * 1024 + 1)),
            Some("provider_invalid_response"),
        ),
        (format!(r#"{{"status":"{marker}","rows":[]}}"#), Some("provider_error")),
        (r#"{"rows":[{"currency":"BRL","amount":1}]}"#.to_owned(), Some("provider_error")),
    ];
    for (body, code) in bodies {
        // A gateway of its own for each: a failure is held.
        let site = Site::new(ROWS_KIND, ROWS, ROWS_EXAMPLE, &account).await;
        site.provider.set_script(script(vec![route(
            Operation::Balance,
            "GET",
            "/b",
            &[("x-key", FIRST)],
            "",
            &body,
        )]));
        let gateway = site.serve().await;

        let reply = gateway.get(&gateway.api, ACCOUNT).await.unwrap();

        let shown: String = body.chars().take(120).collect();
        match code {
            None => assert_eq!(reply.status, 200, "{shown}: {reply:?}"),
            Some(code) => {
                assert_eq!((reply.status, &reply.json()["code"]), (502, &code.into()), "{shown}: {reply:?}");
                assert_eq!(site.calls(Operation::Balance).len(), 1, "{shown}: it is not retried");
            }
        }
        assert!(!gateway.output().contains(marker) && !reply.body.contains(marker), "{shown}");
    }
}

/// A provider that counts in centavos, and a mapping that says something else of the very same digits.
pub(crate) async fn centavos_site() -> Site {
    const BOTH: &str = r#"{"a":4873491,"b":99}"#;
    let kind = "path = \"/b\"\nsecrets = [\"key\"]\nheaders = { x-key = \"{key}\" }\ncurrency = \"BRL\"\n\
                units = { minor = 3 }\navailable = \"/a\"\n";
    let site = Site::new(kind, BOTH, "available = \"4873.491\"", ONE_SECRET).await;
    site.provider.set_script(script(vec![route(
        Operation::Balance,
        "GET",
        "/b",
        &[("x-key", FIRST)],
        "",
        BOTH,
    )]));
    site
}

impl Site {
    /// Corrects the mapping of [`centavos_site`].
    pub(crate) fn correct(&self) {
        let text = fs::read_to_string(&self.config).unwrap();
        let text = text.replace("units = { minor = 3 }", "units = \"minor\"").replace("4873.491", "48734.91");
        self.replace("gateway.toml", &text);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_corrected_mapping_no_answer_carries_an_old_amount() {
    let site = centavos_site().await;
    let gateway = Arc::new(site.serve().await);
    let (old, new) = ("4873.491", "48734.91");
    assert_eq!(gateway.get(&gateway.api, ACCOUNT).await.unwrap().json()["available"], old);

    let (is_over, is_reloaded) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let load = (0..4).map(|_| {
        let (gateway, is_over, is_reloaded) =
            (Arc::clone(&gateway), Arc::clone(&is_over), Arc::clone(&is_reloaded));
        tokio::spawn(async move {
            let (mut seen, mut after) = (0, 0);
            while !is_over.load(Ordering::SeqCst) {
                let was_reloaded = is_reloaded.load(Ordering::SeqCst);
                let reply = gateway.get(&gateway.api, ACCOUNT).await.unwrap();
                let amount = reply.json()["available"].as_str().unwrap().to_owned();
                assert!([old, new].contains(&amount.as_str()), "{reply:?}");
                assert!(!was_reloaded || amount == new, "an old amount after the reload: {reply:?}");
                seen += 1;
                after += u32::from(was_reloaded);
            }
            (seen, after)
        })
    });
    let load: Vec<_> = load.collect();
    site.correct();
    gateway.signal("HUP");
    eventually("it is reloaded", || async { !gateway.lines_of("config_reloaded").is_empty() }).await;
    is_reloaded.store(true, Ordering::SeqCst);
    let calls = site.calls(Operation::Balance).len();
    eventually("answers come from the new mapping", || async {
        gateway.get(&gateway.api, ACCOUNT).await.unwrap().json()["available"] == new
            && site.calls(Operation::Balance).len() >= calls
    })
    .await;
    for _ in 0..50 {
        assert_eq!(gateway.get(&gateway.api, ACCOUNT).await.unwrap().json()["available"], new);
    }
    is_over.store(true, Ordering::SeqCst);

    for task in load {
        let (seen, after) = task.await.unwrap();
        assert!(seen > 0 && after > 0, "{seen} answers, {after} of them after the reload");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_example_that_no_longer_holds_refuses_the_reload_as_a_whole() {
    let Form { kind, account, routes, .. } = forms().remove(0);
    let site = Site::new(&kind, BODY, "available = \"48734.91\"", account).await;
    site.provider.set_script(script(routes(FIRST)));
    let gateway = site.serve().await;

    // The file is watched: no signal is needed.
    site.replace("body.json", r#"{"balance":48734.92}"#);
    eventually("the reload is refused", || async { !gateway.lines_of("config_rejected").is_empty() }).await;

    let line = &gateway.logged("config_rejected").await[0];
    assert!(line["error"].as_str().unwrap().contains("kinds.k.examples[0]"), "{line}");
    assert_eq!(gateway.get(&gateway.api, ACCOUNT).await.unwrap().status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn figures_that_lag_prove_nothing_before_a_payment() {
    let Form { kind, account, routes, .. } = forms().remove(0);
    let site = Site::new(&format!("{kind}lags = \"3h\"\n"), BODY, "available = \"48734.91\"", account).await;
    site.provider.set_script(script(routes(FIRST)));
    let gateway = site.serve().await;

    let lags = gateway.get(&gateway.api, "/v1/accounts/a/sufficiency?amount=1").await.unwrap();
    let invalid = gateway.get(&gateway.api, "/v1/accounts/a/sufficiency?amount=x").await.unwrap();

    assert_eq!((lags.status, &lags.json()["code"]), (422, &"provider_lags".into()), "{lags:?}");
    assert!(!lags.headers.contains_key("retry-after"));
    assert_eq!(invalid.json()["code"], "invalid_request", "400 comes first");
    assert!(site.provider.calls().is_empty(), "no call is made");
    assert_eq!(gateway.get(&gateway.api, ACCOUNT).await.unwrap().status, 200, "the balance itself is served");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_body_is_recorded_before_there_is_a_mapping() {
    let Form { account, routes, .. } = forms().remove(6);
    let kind = forms().remove(6).kind.replace(MAPPING, "");
    let site = Site::new(&kind, BODY, "", account).await;
    site.provider.set_script(script(routes(FIRST)));
    let saved = site.folder.0.join("first.json").display().to_string();
    let arguments = ["try", "--account", "a", "--save", &saved, "--config", &site.config];

    let (code, _, stderr) = run_on_record(&arguments);
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(fs::read_to_string(&saved).unwrap(), BODY);
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&saved).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(site.calls(Operation::Balance).len(), 1);

    let (code, _, _) = run_on_record(&arguments);
    assert_eq!(
        (code, site.calls(Operation::Balance).len()),
        (Some(1), 1),
        "a file that is there is not touched"
    );

    fs::remove_file(&saved).unwrap();
    site.provider.queue(Fault::on_balance(FaultKind::Status { status: 503, retry_after: None, body: None }));
    let (code, _, stderr) = run_on_record(&arguments);
    assert_eq!((code, fs::exists(&saved).unwrap()), (Some(1), false), "{stderr}");
    assert_eq!(site.calls(Operation::Balance).len(), 2, "without a retry");
}

#[test]
fn a_body_is_tried_without_secrets_and_examples() {
    let folder = Folder::new();
    let config =
        folder.write("kind.toml", &format!("[kinds.k]\n{MAPPING}\n[[kinds.k.examples]]\nnothing = 1\n"));
    let body = folder.write("b.json", r#"{"balance": 48734.91, "limit": 5.5}"#);
    let run =
        |more: &[&str]| run_on_record(&[&["try", "k", "--config", &config, "--body", &body], more].concat());

    let (code, stdout, stderr) = run(&["--expect", "available=48734.910"]);
    assert_eq!(code, Some(0), "{stderr}");
    let line =
        |start: &str| stdout.lines().find(|line| line.starts_with(start)).unwrap_or_default().to_owned();
    for piece in ["/balance", "48734.91", "major", "48734.91 BRL"] {
        assert!(line("available").contains(piece), "{stdout}");
    }
    assert!(line("unused").contains("/limit"), "{stdout}");
    assert!(line("answer").contains(r#""available":"48734.91""#), "{stdout}");

    let (code, stdout, _) = run(&["--expect", "available=48734.92"]);
    assert_eq!(code, Some(1), "{stdout}");
    let (code, _, _) = run(&["--expect", "blocked=0.00"]);
    assert_eq!(code, Some(1), "what the body does not say is no zero");
    let (code, _, stderr) = run(&["--expect", "available"]);
    assert_eq!(code, Some(2), "{stderr}");
    let (code, _, stderr) = run(&["--currency", "USD"]);
    assert_eq!(code, Some(2), "{stderr}");
    let wrong = folder.write("w.json", r#"{"balance": "R$ 48.734,91"}"#);
    let (code, stdout, _) = run_on_record(&["try", "k", "--config", &config, "--body", &wrong]);
    assert!(code == Some(1) && stdout.contains("refused"), "{stdout}");
}

#[test]
fn a_body_of_a_built_in_kind_is_shown_with_the_place_of_each_figure() {
    let folder = Folder::new();
    let body = folder
        .write("b.json", r#"{"availableCentavos": 4873490, "pendingCentavos": 150, "currency": "MXN"}"#);
    let run = |more: &[&str]| run_on_record(&[&["try", "ntxpay-mx", "--body", &body], more].concat());

    let (code, stdout, stderr) = run(&["--expect", "blocked=1.50"]);

    assert_eq!(code, Some(0), "{stderr}");
    for [role, place, text, amount] in [
        ["available", "/availableCentavos", "4873490", "48734.90 MXN"],
        ["blocked", "/pendingCentavos", "150", "1.50 MXN"],
    ] {
        let line = stdout.lines().find(|line| line.starts_with(role)).unwrap_or_default();
        for piece in [place, text, "minor, 2 digits", amount] {
            assert!(line.contains(piece), "{stdout}");
        }
    }
    let (code, _, stderr) = run(&["--type", "FIAT"]);
    assert!(code == Some(2) && stderr.contains("--type: expected none"), "{stderr}");
}

/// The fenced blocks of a language, in their order.
fn blocks<'t>(text: &'t str, language: &str) -> Vec<&'t str> {
    let fence = format!("```{language}\n");
    text.split(fence.as_str()).skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_documentation_followed_word_for_word_ends_with_a_served_balance() {
    let text = include_str!("../../docs/kinds.md");
    let [declared, mapping, example] = blocks(text, "toml")[..] else { panic!("three blocks of TOML") };
    let body = blocks(text, "json")[0];
    let (folder, provider) = (Folder::new(), SimulatedProvider::start(Kind::Declared).await.unwrap());
    record("secrets", FIRST);
    provider.set_script(script(vec![route(
        Operation::Balance,
        "GET",
        "/v2/wallet",
        &[("x-api-key", FIRST)],
        "",
        body,
    )]));
    let saved = folder.0.join("acme.json").display().to_string();
    let key = format!("keys_sha256 = [\"{}\"]\n", digest(KEY));
    let text = |kind: &str| {
        let declared = declared.replace("https://api.acme.example", &provider.url());
        let old_key = declared.lines().find(|line| line.starts_with("keys_sha256")).unwrap().to_owned();
        let whole = declared
            .replace(&old_key, &key)
            .replace("[providers.acme]", &format!("{kind}\n[providers.acme]"));
        format!("[server]\napi = \"127.0.0.1:0\"\nops = \"127.0.0.1:0\"\n{whole}")
    };
    let config = folder.write("gateway.toml", &text(""));
    let run = |arguments: &[&str]| {
        let mut command = command(&[arguments, &["--config", &config]].concat());
        let output = command.env("ACME_API_KEY", FIRST).output().unwrap();
        let [stdout, stderr] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        (output.status.code(), stdout, stderr)
    };

    let (code, _, stderr) = run(&["try", "--account", "acme-main", "--save", &saved]);
    assert_eq!(code, Some(0), "{stderr}");
    folder.write("gateway.toml", &text(mapping));
    let (code, stdout, stderr) = run(&["try", "acme", "--body", &saved]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.contains("48734.91 BRL") && stdout.contains("unused       /wallet/limit"), "{stdout}");
    let proven = format!("{mapping}\n{}", example.replace("acme.json", &saved));
    folder.write("gateway.toml", &text(&proven).replace("enabled = false", "enabled = true"));
    let (code, stdout, stderr) = run(&["check", "--live"]);
    assert_eq!(code, Some(0), "{stdout}{stderr}");

    let mut command = command(&["serve", "--config", &config]);
    command.env("ACME_API_KEY", FIRST);
    let gateway = Gateway::run(command).await;
    let reply = gateway.get(&gateway.api, "/v1/accounts/acme-main/balance").await.unwrap();
    assert_eq!((reply.status, &reply.json()["available"]), (200, &"48734.91".into()), "{reply:?}");
    assert_eq!(reply.json()["blocked"], "1250.37");
}

/// A kind whose one answer holds every currency.
const WHOLE_KIND: &str = "path = \"/b\"\nsecrets = [\"key\"]\nheaders = { x-key = \"{key}\" }\n\
     rows = \"/rows\"\ncurrency = { at = \"/currency\" }\nunits = \"major\"\navailable = \"/amount\"\n";
const WHOLE_BODY: &str = r#"{"rows":[{"currency":"USD","amount":1.01},{"currency":"BRL","amount":48734.91},{"currency":"EUR","amount":2.02}]}"#;

pub(crate) async fn whole_site(currencies: &str) -> Site {
    let account = format!("{ONE_SECRET}\nbalances = [{currencies}]");
    let example = "currency = \"BRL\"\navailable = \"48734.91\"";
    let site = Site::new(WHOLE_KIND, WHOLE_BODY, example, &account).await;
    let headers = [("x-key", FIRST)];
    site.provider.set_script(script(vec![route(Operation::Balance, "GET", "/b", &headers, "", WHOLE_BODY)]));
    site
}

pub(crate) const THREE: &str = "{ currency = \"BRL\" }, { currency = \"USD\" }, { currency = \"EUR\" }";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_answer_fills_every_balance_of_the_account() {
    let site = whole_site(THREE).await;
    let gateway = site.serve().await;

    let first = gateway.get(&gateway.api, ACCOUNT).await.unwrap();
    assert_eq!(first.status, 200);
    let of = |currency: &str| format!("{ACCOUNT}?currency={currency}");
    let cached = [("cache-control", "only-if-cached")];
    for (currency, available) in [("USD", "1.01"), ("EUR", "2.02"), ("BRL", "48734.91")] {
        eventually("it is filled", || async { gateway.get_with(&of(currency), &cached).await.status == 200 })
            .await;
        let reply = gateway.get_with(&of(currency), &cached).await;
        assert_eq!(reply.json()["available"], available, "{reply:?}");
    }
    assert_eq!(site.calls(Operation::Balance).len(), 1);

    // A batch that demands new balances is one call, too.
    let batch = gateway.get_with("/v1/balances", &[("cache-control", "no-cache")]).await;
    assert_eq!(
        (&batch.json()["complete"], batch.json()["balances"].as_array().unwrap().len()),
        (&true.into(), 3)
    );
    let calls = site.calls(Operation::Balance).len();
    assert!((2..=3).contains(&calls), "{calls} calls");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_balance_that_the_answer_does_not_hold_fails_alone() {
    let site = whole_site("{ currency = \"BRL\" }, { currency = \"GBP\" }").await;
    let gateway = site.serve().await;

    let batch = gateway.get(&gateway.api, "/v1/balances").await.unwrap().json();

    assert_eq!(batch["balances"][0]["available"], "48734.91", "{batch}");
    assert_eq!(batch["errors"][0]["currency"], "GBP");
    assert_eq!(batch["errors"][0]["problem"]["code"], "provider_invalid_response");
    assert_eq!(site.calls(Operation::Balance).len(), 1, "one answer has both");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_read_is_shared_and_held_for_all_balances() {
    let site = whole_site(THREE).await;
    for _ in 0..8 {
        site.provider.queue(Fault::on_balance(FaultKind::Status {
            status: 500,
            retry_after: None,
            body: None,
        }));
    }
    let gateway = site.serve().await;

    let batch = gateway.get(&gateway.api, "/v1/balances").await.unwrap().json();

    assert_eq!(batch["errors"].as_array().unwrap().len(), 3, "{batch}");
    assert_eq!(site.calls(Operation::Balance).len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_balances_read_once_a_second_cost_the_calls_of_one() {
    let site = whole_site(THREE).await;
    site.rewrite("[kinds.k]", "[freshness]\nfresh_for = \"2s\"\n[kinds.k]");
    let gateway = site.serve().await;
    let seconds = if is_long() { 60 } else { 8 };

    let mut ticks = tokio::time::interval(std::time::Duration::from_secs(1));
    for _ in 0..seconds {
        ticks.tick().await;
        for currency in ["BRL", "USD", "EUR"] {
            let reply = gateway.get(&gateway.api, &format!("{ACCOUNT}?currency={currency}")).await.unwrap();
            assert_eq!(reply.status, 200, "{reply:?}");
        }
    }

    // A refresh behind at most every two seconds, and the first read.
    let calls = site.calls(Operation::Balance).len();
    assert!(calls <= seconds / 2 + 1, "{calls} calls in {seconds} s");
}
