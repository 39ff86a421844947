//! The commands besides `serve`, and wrong command lines and configurations.

use super::*;

#[test]
fn configuration_errors_are_all_listed_with_file_and_key() {
    let folder = Folder::new();
    let config = folder.write(
        "gateway.toml",
        "[server]\nrequest_timeout = 10\nunheard_of = 1\n[freshness]\nmax_age = \"61s\"\n\
         [providers.p]\nkind = \"bank\"\n[accounts.a]\nprovider = \"q\"\ntoken = { file = \"/nonexistent/token\" }\n\
         [callers.c]\nkeys_sha256 = [\"abc\"]\naccounts = [\"*\"]\n",
    );
    for command in ["serve", "check"] {
        let (code, stdout, stderr) = run_on_record(&[command, "--config", &config]);

        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{command}: {stderr}");
        for key in [
            "server.request_timeout",
            "server.unheard_of",
            "freshness.max_age",
            "providers.p.kind",
            "accounts.a.provider",
            "accounts.a.token",
            "callers.c.keys_sha256",
        ] {
            let line = stderr.lines().find(|line| line.contains(key));
            let line = line.unwrap_or_else(|| panic!("{command}: {key} is not in {stderr}"));
            assert!(line.contains(&config), "{line}");
        }
    }
}

#[test]
fn a_missing_or_malformed_configuration_file_is_a_configuration_error() {
    let folder = Folder::new();
    let broken = folder.write("gateway.toml", "[server\n");
    for config in ["/nonexistent/gateway.toml", &broken] {
        let (code, _, stderr) = run_on_record(&["serve", "--config", config]);

        assert_eq!(code, Some(2));
        assert!(stderr.contains(config), "{stderr}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_in_use_is_a_run_time_failure() {
    let site = Site::new("").await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let _taken = std::net::TcpListener::bind(taken).unwrap();
    let config = fs::read_to_string(&site.config).unwrap();
    let config = site
        .folder
        .write("taken.toml", &config.replacen("api = \"127.0.0.1:0\"", &format!("api = \"{taken}\""), 1));

    let (code, _, stderr) = run_on_record(&["serve", "--config", &config]);

    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains(&taken.to_string()), "{stderr}");
    assert_eq!(stderr.matches("Address already in use").count(), 1, "{stderr}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_shows_the_effective_configuration_and_no_secret() {
    let site = Site::new("").await;

    let (code, stdout, stderr) = run_on_record(&["check", "--config", &site.config]);

    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    for shown in [
        "[providers.ntxpay-br]",
        "[accounts.treasury]",
        "[callers.all]",
        "attempt_timeout = \"2500ms\"",
        "***",
    ] {
        assert!(stdout.contains(shown), "{shown} is not in {stdout}");
    }
    for secret in &site.secrets {
        assert!(!stdout.contains(secret));
    }
    assert!(site.provider.calls().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_warns_of_a_secret_readable_by_others() {
    let site = Site::new("").await;
    let path = site.folder.0.join("client_secret");
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();

    let (code, _, stderr) = run_on_record(&["check", "--config", &site.config]);

    assert_eq!(code, Some(0));
    assert!(stderr.contains("accounts.treasury.client_secret"), "{stderr}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_live_reads_each_balance_once_and_shows_no_amount() {
    let site = Site::new("").await;
    let arguments = ["check", "--config", &site.config, "--live"];

    let good = tokio::task::block_in_place(|| run_on_record(&arguments));
    let calls = site.provider.calls().len();
    site.provider.queue(Fault::on_balance(FaultKind::status(500)));
    let bad = tokio::task::block_in_place(|| run_on_record(&arguments));

    assert_eq!((good.0, calls, bad.0), (Some(0), 2, Some(1)), "{good:?} {bad:?}");
    let line = good.1.lines().last().unwrap();
    assert!(line.contains("treasury") && line.contains("BRL") && line.contains("ms"), "{line}");
    for output in [&good.1, &bad.1] {
        assert!(!output.contains("48734"), "{output}");
        assert!(site.secrets.iter().all(|secret| !output.contains(secret)));
    }
}

#[test]
fn new_key_prints_the_digest_for_the_configuration() {
    let (code, stdout, _) = run(&["new-key"]);
    let (_, other, _) = run(&["new-key"]);

    let words: Vec<_> = stdout.split_whitespace().collect();
    let key = words.iter().find(|word| word.starts_with("bgk_")).unwrap();
    assert_eq!((code, key.len()), (Some(0), 4 + 43));
    assert!(words.contains(&digest(key).as_str()), "{stdout}");
    assert!(!other.contains(key));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sandbox_serves_the_five_demo_accounts() {
    // A separate key, not recorded as a secret, because this command prints it.
    let key = "bgk_key-of-the-sandbox";
    let arguments = ["sandbox", "--api", "127.0.0.1:0", "--ops", "127.0.0.1:0", "--key", key, "--json"];

    let mut gateway = Gateway::start(&arguments).await;

    let line = gateway.find("api").unwrap();
    assert_eq!(line["key"], key);
    gateway.key = key;
    let mut members: Vec<_> = line.as_object().unwrap().keys().map(String::as_str).collect();
    members.sort_unstable();
    assert_eq!(members, ["api", "key", "ops", "providers"]);
    for kind in Kind::ALL {
        let reply = gateway.get(&gateway.api, &format!("/v1/accounts/{kind}-demo/balance")).await.unwrap();
        assert_eq!((reply.status, &reply.json()["provider"]), (200, &kind.as_str().into()), "{reply:?}");
        let url = line["providers"][kind.as_str()].as_str().unwrap();
        let held = gateway.client.get(format!("{url}/_sandbox/balance")).send().await.unwrap();
        assert_eq!(held.status(), 200);
    }
    let declared = gateway.get(&gateway.api, "/v1/accounts/sample-demo/balance").await.unwrap();
    assert_eq!((declared.status, &declared.json()["available"]), (200, &"48734.91".into()), "{declared:?}");
    assert!(line["providers"]["sample"].as_str().unwrap().starts_with("http://127.0.0.1:"));
    let batch = gateway.get(&gateway.api, "/v1/balances").await.unwrap().json();
    assert_eq!((&batch["complete"], batch["balances"].as_array().unwrap().len()), (&true.into(), 8));
    gateway.signal("TERM");
    assert_eq!(gateway.ended().await.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sandbox_simulates_the_provider_of_any_kind() {
    for (kind, available) in [("stripe", "48734.91"), ("xendit", "4873490.12"), ("efi", "48734.91")] {
        let file = format!("config/kinds/{kind}.toml");
        let key = "bgk_key-of-the-sandbox";
        let addresses = ["--api", "127.0.0.1:0", "--ops", "127.0.0.1:0", "--json"];
        let arguments = [&["sandbox", "--key", key, "--kind", &file], addresses.as_slice()].concat();

        let mut gateway = Gateway::start(&arguments).await;
        gateway.key = key;
        let path = format!("/v1/accounts/{kind}-demo/balance");
        let reply = gateway.get(&gateway.api, &path).await.unwrap();

        assert_eq!((reply.status, &reply.json()["available"]), (200, &available.into()), "{reply:?}");
        assert!(gateway.find("api").unwrap()["providers"][kind].is_string());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sandbox_prints_curl_lines_that_work() {
    let mut child = command(&["sandbox", "--api", "127.0.0.1:0", "--ops", "127.0.0.1:0"]).spawn().unwrap();
    let lines = Arc::new(Mutex::new(Vec::new()));
    // Not recorded: the output contains a key, as intended.
    let output = BufReader::new(child.stdout.take().unwrap());
    let lines_of_output = Arc::clone(&lines);
    std::thread::spawn(move || {
        output.lines().map_while(Result::ok).for_each(|line| lines_of_output.lock().unwrap().push(line));
    });
    let printed = || lines.lock().unwrap().iter().any(|line: &String| line.contains("pluggo-demo/balance"));
    eventually("the lines to paste are printed", || async { printed() }).await;
    let curl =
        lines.lock().unwrap().iter().find(|line| line.contains("ntxpay-br-demo/balance")).unwrap().clone();
    let quoted: Vec<_> = curl.split('\'').collect();
    let url = curl.split_whitespace().find(|word| word.starts_with("http://")).unwrap();
    let (name, value) = quoted[1].split_once(": ").unwrap();

    let sent = harness::client().build().unwrap().get(url).header(name, value).send().await;
    child.kill().unwrap();
    child.wait().unwrap();

    assert_eq!(sent.unwrap().status(), 200, "{curl}");
}

#[test]
fn the_command_line_explains_itself() {
    let (code, version, _) = run(&["--version"]);
    assert_eq!((code, version.trim()), (Some(0), concat!("balance-gateway ", env!("CARGO_PKG_VERSION"))));

    let (code, help, _) = run(&["--help"]);
    assert_eq!(code, Some(0));
    for command in ["serve", "sandbox", "check", "new-key", "try"] {
        assert!(help.contains(command), "{help}");
        assert_eq!(run(&[command, "--help"]).0, Some(0));
    }
}

#[test]
fn a_wrong_command_line_is_a_usage_error() {
    for arguments in [vec![], vec!["nothing"], vec!["serve", "--nothing"], vec!["sandbox", "--api", "x"]] {
        let (code, stdout, stderr) = run(&arguments);

        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(!stderr.is_empty());
    }
}
