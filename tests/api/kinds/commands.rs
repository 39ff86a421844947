//! `check` and `try` with declared kinds, and the documentation followed word for word.

use super::*;

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
        "an existing file is not overwritten"
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
    assert_eq!(code, Some(1), "a missing amount is not read as zero");
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
    let text = include_str!("../../../docs/kinds.md");
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
