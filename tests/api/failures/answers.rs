//! Odd, hostile and missing answers of a provider.

use super::*;

#[tokio::test]
async fn every_hostile_fixture_is_a_problem_that_leaves_the_last_snapshot_in_place() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    for kind in Kind::ALL {
        // An account for each fixture, so that the hold of one does not keep the next from being read.
        // Avista speaks the wire format of NTX Pay; its own folder holds only what differs.
        let folder = root.join(if kind == Kind::Avista { "ntxpay-br" } else { kind.as_str() });
        let expected: Value =
            serde_json::from_slice(&fs::read(folder.join("expected.json")).unwrap()).unwrap();
        let hostile = expected.as_object().unwrap().iter().filter(|(_, expected)| {
            expected.get("invalid").is_some()
                && expected.get("asked").is_none_or(|asked| asked == &serde_json::json!({}))
        });
        let bodies: Vec<_> = hostile
            .map(|(name, _)| (name, fs::read(folder.join(name)).unwrap()))
            // Fixtures with a placeholder for a long text are tested by tests/contract.rs.
            .filter(|(_, bytes)| !bytes.windows(2).any(|window| window == b"<<"))
            .collect();
        assert!(bodies.len() > 30, "{kind} has {} hostile fixtures", bodies.len());
        let gateway = with_accounts(kind, bodies.len()).await;
        for (index, (name, bytes)) in bodies.iter().enumerate() {
            let path = format!("/v1/accounts/hostile-{index}/balance");
            let before = gateway.get(&path).await;
            gateway.provider(kind).queue(Fault::on_balance(FaultKind::BodyBytes { bytes: bytes.clone() }));

            let failed = gateway.get_with(&path, &[("cache-control", "no-cache")]).await;

            assert_eq!(before.status, 200, "{kind} {name} {before:?}");
            assert_eq!(failed.json()["code"], "provider_invalid_response", "{kind} {name}: {failed:?}");
            assert_eq!(gateway.get(&path).await.body, before.body, "{kind} {name}");
        }
        assert_eq!(errors(&gateway, kind, "invalid").await, bodies.len() as u64);
        assert_eq!(all_errors(&gateway, kind).await, bodies.len() as u64);
    }
}

#[tokio::test]
async fn a_provider_without_a_listener_is_unreachable() {
    let further = r#"
[providers.down]
kind = "ntxpay-br"
base_url = "http://127.0.0.1:1"
[accounts.down]
provider = "down"
token = { env = "NTXPAY_BR_CLIENT_ID" }
"#;
    let gateway = Harness::start(Setup { further: further.to_owned(), ..Setup::default() }).await;

    let reply = gateway.get("/v1/accounts/down/balance").await;

    reply.assert_problem(502, "provider_unreachable");
    let series = "upstream_errors_total{provider=\"down\",operation=\"balance\",kind=\"connect\"}";
    assert_eq!(gateway.count(series).await, 2);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let gateway = with_static_tokens("retries = 0\n").await;
    let elsewhere = SimulatedProvider::start(KIND).await.unwrap();
    let location = format!("{}/api/balance", elsewhere.url());
    gateway.provider(KIND).queue(Fault::on_balance(FaultKind::Redirect { location }));

    let reply = gateway.balance(KIND).await;

    reply.assert_problem(502, "provider_error");
    assert_eq!(elsewhere.calls().len(), 0);
    assert_eq!(gateway.provider(KIND).calls().len(), 1);
}

#[tokio::test]
async fn a_success_is_read_whatever_its_content_type_and_2xx() {
    let gateway = with_static_tokens("").await;
    let documented = r#"{"grossBalance":2.00,"blockedBalance":0.00,"netBalance":2.00}"#;
    for fault in [
        FaultKind::ContentType { value: "text/html; charset=utf-16".to_owned() },
        FaultKind::Status { status: 201, retry_after: None, body: Some(documented.to_owned()) },
        FaultKind::Status { status: 203, retry_after: None, body: Some(documented.to_owned()) },
        headers("Content-Encoding", "identity"),
        headers("Retry-After", "100"),
        FaultKind::SlowBody { ms_per_byte: 1 },
        FaultKind::HugeBody { bytes: 60 * 1024 },
    ] {
        let name = fault.name();
        gateway.provider(KIND).queue(Fault::on_balance(fault));

        let reply = gateway.new_balance(KIND).await;

        assert_eq!(reply.status, 200, "{name} {reply:?}");
    }
}

#[tokio::test]
async fn the_age_header_of_a_provider_is_added() {
    let gateway = with_static_tokens("").await;
    gateway.provider(KIND).queue(Fault::on_balance(headers("Age", "5")));
    gateway.provider(Kind::Avista).queue(Fault::on_balance(headers("Age", "five")));

    let old = gateway.balance(KIND).await;
    let hit = gateway.balance(KIND).await;
    let unreadable = gateway.balance(Kind::Avista).await;

    assert_eq!((old.header("age"), hit.header("age")), ("6", "6"));
    assert_eq!(hit.header("cache-status"), "balance-gateway; hit; ttl=4");
    let body = old.json();
    let [observed, fetched] = ["observed_at", "fetched_at"]
        .map(|field| body[field].as_str().unwrap().parse::<jiff::Timestamp>().unwrap());
    let apart = observed.duration_since(fetched).unsigned_abs();
    assert!((Duration::from_millis(4900)..Duration::from_secs(6)).contains(&apart), "{body}");
    assert_eq!(unreadable.header("age"), "1");
}

#[tokio::test]
async fn an_answer_too_old_for_those_who_waited_is_invalid_for_them_and_stored_for_others() {
    let gateway = with_static_tokens("").await;
    gateway.provider(KIND).queue(Fault::on_balance(headers("Age", "5")));

    let forced = gateway.new_balance(KIND).await;
    let plain = gateway.balance(KIND).await;
    let again = gateway.new_balance(KIND).await;

    forced.assert_problem(502, "provider_invalid_response");
    assert_eq!((plain.status, plain.header("age")), (200, "6"));
    assert_eq!(again.status, 200, "not held: {again:?}");
    assert_eq!(gateway.provider(KIND).calls().len(), 2);
}

#[tokio::test]
async fn an_odd_answer_is_served_and_counted() {
    let gateway = with_static_tokens("").await;
    gateway.provider(KIND).set_field("BRL", None, "blockedBalance", "0.01");
    gateway.provider(KIND).set_timestamp(Some("\"yesterday\"".to_owned()));
    gateway.provider(Kind::Pluggo).remove_field("BRL", None, "timestamp");

    let (reply, pluggo) = (gateway.balance(KIND).await, gateway.balance(Kind::Pluggo).await);
    gateway.balance(Kind::NtxpayMx).await;

    assert_eq!((reply.status, &reply.json()["observed_at"]), (200, &Value::Null));
    assert_eq!((pluggo.status, &pluggo.json()["observed_at"]), (200, &Value::Null));
    for (series, expected) in [
        ("balance_mismatch_total{provider=\"ntxpay-br\"}", 1),
        ("balance_mismatch_total{provider=\"pluggo\"}", 0),
        ("observed_at_unreadable_total{provider=\"ntxpay-br\"}", 1),
        ("observed_at_unreadable_total{provider=\"pluggo\"}", 1),
        ("observed_at_unreadable_total{provider=\"ntxpay-mx\"}", 0),
    ] {
        assert_eq!(gateway.count(series).await, expected, "{series}");
    }
}
