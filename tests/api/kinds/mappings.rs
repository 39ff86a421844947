//! What a mapping makes of a body: hostile bodies, corrected mappings, examples, figures that lag.

use super::*;

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
        // A separate gateway for each body, because a failure is held.
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
    eventually("the configuration is reloaded", || async { !gateway.lines_of("config_reloaded").is_empty() })
        .await;
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
