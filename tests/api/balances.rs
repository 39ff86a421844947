//! Reading balances: the schema, its digits, the choice of a balance, batches, and every header of an answer.

use std::fmt::Write;
use std::time::Duration;

use balance_gateway::sandbox::{Fault, FaultKind, Kind, Operation};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::harness::{self, Harness, KEY, Reply, SWITCHED_OFF, Setup};

const PLUGGO: &str = "/v1/accounts/pluggo-demo/balance";
const BRAZIL: &str = "/v1/accounts/ntxpay-br-demo/balance";

/// A pluggo account whose balance is read without filters.
const UNFILTERED: &str = r#"
[accounts.unfiltered]
provider = "pluggo"
api_key = { env = "PLUGGO_API_KEY" }
session_token = { env = "PLUGGO_SESSION_TOKEN" }
"#;

async fn with_further(further: &str) -> Harness {
    Harness::start(Setup { further: further.to_owned(), ..Setup::default() }).await
}

fn text<'a>(body: &'a Value, field: &str) -> &'a str {
    body[field].as_str().unwrap_or_else(|| panic!("{field} is no text in {body}"))
}

#[track_caller]
fn assert_instant(text: &str) {
    let instant: jiff::Timestamp = text.parse().unwrap();
    assert!(text.ends_with('Z') && text.len() == "2025-11-19T20:18:29.384Z".len(), "{text}");
    assert!(jiff::Timestamp::now().duration_since(instant).unsigned_abs() < Duration::from_mins(1));
}

#[tokio::test]
async fn every_kind_is_served_in_one_schema() {
    let gateway = Harness::usual().await;
    let observed = r#""2025-11-19T17:18:29.384-03:00""#;
    for kind in [Kind::NtxpayBr, Kind::Avista, Kind::Pluggo] {
        gateway.provider(kind).set_timestamp(Some(observed.to_owned()));
    }
    for (kind, expected) in [
        (
            Kind::NtxpayBr,
            r#"{"account":"ntxpay-br-demo","provider":"ntxpay-br","currency":"BRL","type":null,"available":"48734.90","blocked":"0.00","reserved":null,"processing":null,"total":"48734.90","reported":{"grossBalance":"48734.90","blockedBalance":"0.00","netBalance":"48734.90"},"observed_at":"2025-11-19T20:18:29.384Z","fetched_at":"FETCHED"}"#,
        ),
        (
            Kind::Avista,
            r#"{"account":"avista-demo","provider":"avista","currency":"BRL","type":null,"available":"20000.25","blocked":"150.10","reserved":null,"processing":null,"total":"20150.35","reported":{"grossBalance":"20150.35","blockedBalance":"150.10","netBalance":"20000.25"},"observed_at":"2025-11-19T20:18:29.384Z","fetched_at":"FETCHED"}"#,
        ),
        (
            Kind::Pluggo,
            r#"{"account":"pluggo-demo","provider":"pluggo","currency":"BRL","type":null,"available":"1250.75","blocked":"120.00","reserved":"80.00","processing":"45.50","total":null,"reported":{"balance":"1250.75","blocked":"120.0","reserve":"80.0","processing":"45.5"},"observed_at":"2025-11-19T20:18:29.384Z","fetched_at":"FETCHED"}"#,
        ),
        (
            Kind::NtxpayMx,
            r#"{"account":"ntxpay-mx-demo","provider":"ntxpay-mx","currency":"MXN","type":null,"available":"48734.90","blocked":"0.00","reserved":null,"processing":null,"total":null,"reported":{"availableCentavos":"4873490","pendingCentavos":"0"},"observed_at":null,"fetched_at":"FETCHED"}"#,
        ),
    ] {
        let reply = gateway.balance(kind).await;

        let body = reply.json();
        let fetched = text(&body, "fetched_at");
        assert_instant(fetched);
        assert_eq!(reply.body.replace(fetched, "FETCHED"), expected);
        assert_eq!((reply.status, reply.header("content-type")), (200, "application/json"));
    }
}

#[tokio::test]
async fn every_digit_of_a_provider_is_served() {
    let gateway = Harness::usual().await;
    for (sent, centavos, fiat, crypto) in [
        ("48734.90", Some("4873490"), "48734.90", "48734.90"),
        ("48734.9", Some("4873490"), "48734.90", "48734.9"),
        ("0", Some("0"), "0.00", "0"),
        ("-12.30", Some("-1230"), "-12.30", "-12.30"),
        ("9007199254740993.01", Some("900719925474099301"), "9007199254740993.01", "9007199254740993.01"),
        ("0.00000001", None, "0.00000001", "0.00000001"),
        (
            "792281625142643375935439503.35",
            Some("79228162514264337593543950335"),
            "792281625142643375935439503.35",
            "792281625142643375935439503.35",
        ),
        ("1e2", None, "100.00", "100"),
        ("-0.00", Some("-0"), "0.00", "0.00"),
        ("\"48734.9\"", None, "48734.90", "48734.9"),
    ] {
        let verbatim = sent.trim_matches('"');
        for (kind, field, currency, r#type, raw, expected) in [
            (Kind::NtxpayBr, "netBalance", "BRL", None, Some(sent), fiat),
            (Kind::Avista, "netBalance", "BRL", None, Some(sent), fiat),
            (Kind::Pluggo, "balance", "USD", None, Some(sent), fiat),
            (Kind::Pluggo, "balance", "BTC", Some("CRYPTO"), Some(sent), crypto),
            (Kind::NtxpayMx, "availableCentavos", "MXN", None, centavos, fiat),
        ] {
            let Some(raw) = raw else { continue };
            gateway.provider(kind).set_field(currency, r#type, field, raw);
            let path = format!("/v1/accounts/{kind}-demo/balance?currency={currency}");

            let reply = gateway.get_with(&path, &[("cache-control", "no-cache")]).await;

            let body = reply.json();
            assert_eq!(body["available"], expected, "{kind} {currency} {raw}: {reply:?}");
            let reported = if kind == Kind::NtxpayMx { raw } else { verbatim };
            assert_eq!(body["reported"][field], reported, "{kind} {currency} {raw}");
        }
    }
}

#[tokio::test]
async fn an_amount_that_cannot_be_stored_exactly_is_an_invalid_answer() {
    let gateway = Harness::usual().await;
    for (kind, field, raw) in [
        (Kind::NtxpayBr, "netBalance", "79228162514264337593543950336.1"),
        (Kind::Avista, "netBalance", "0.00000000000000000000000000001"),
        (Kind::Pluggo, "balance", "79228162514264337593543950336"),
        (Kind::NtxpayMx, "availableCentavos", "48734.90"),
    ] {
        gateway.provider(kind).set_field("BRL", None, field, raw);

        gateway.balance(kind).await.assert_problem(502, "provider_invalid_response");
    }
}

#[tokio::test]
async fn currency_and_type_choose_the_first_balance_that_matches() {
    let gateway = Harness::usual().await;
    for (query, currency, r#type) in [
        ("", "BRL", Value::Null),
        ("?currency=USD", "USD", Value::Null),
        ("?currency=BTC", "BTC", json!("CRYPTO")),
        ("?type=CRYPTO", "BTC", json!("CRYPTO")),
        ("?currency=BTC&type=CRYPTO", "BTC", json!("CRYPTO")),
    ] {
        let body = gateway.get(&format!("{PLUGGO}{query}")).await.json();

        assert_eq!((&body["currency"], &body["type"]), (&json!(currency), &r#type), "{query}");
    }
    assert_eq!(gateway.get(&format!("{BRAZIL}?currency=BRL")).await.status, 200);
}

#[tokio::test]
async fn an_unknown_balance_of_an_account_is_400_without_a_call() {
    let gateway = with_further(UNFILTERED).await;
    for (path, code) in [
        (format!("{PLUGGO}?currency=EUR"), "unsupported_currency"),
        (format!("{PLUGGO}?currency=usd"), "unsupported_currency"),
        (format!("{PLUGGO}?currency="), "unsupported_currency"),
        (format!("{PLUGGO}?currency=EUR&type=CRYPTO"), "unsupported_currency"),
        (format!("{PLUGGO}?currency=USD&type=CRYPTO"), "unsupported_type"),
        (format!("{PLUGGO}?type=FIAT"), "unsupported_type"),
        (format!("{PLUGGO}?type=crypto"), "unsupported_type"),
        (format!("{BRAZIL}?currency=MXN"), "unsupported_currency"),
        (format!("{BRAZIL}?type=FIAT"), "unsupported_type"),
        ("/v1/accounts/unfiltered/balance?currency=BRL".to_owned(), "unsupported_currency"),
        ("/v1/accounts/unfiltered/balance?type=FIAT".to_owned(), "unsupported_type"),
    ] {
        gateway.get(&path).await.assert_problem(400, code);
    }
    assert_eq!(gateway.provider(Kind::Pluggo).calls().len(), 0);
    assert_eq!(gateway.provider(Kind::NtxpayBr).calls().len(), 0);
}

#[tokio::test]
async fn a_balance_without_filters_keeps_its_first_currency() {
    let gateway = with_further(UNFILTERED).await;
    let path = "/v1/accounts/unfiltered/balance";
    let first = gateway.get(path).await;
    gateway.provider(Kind::Pluggo).set_field("BRL", None, "currency", "\"USD\"");

    let other = gateway.get_with(path, &[("cache-control", "no-cache")]).await;

    assert_eq!(first.json()["currency"], "BRL");
    other.assert_problem(502, "provider_invalid_response");
    assert_eq!(gateway.get(path).await.body, first.body);
    assert!(gateway.provider(Kind::Pluggo).calls().iter().all(|call| call.path_and_query == "/api/balance"));
}

#[tokio::test]
async fn unknown_and_repeated_query_parameters_are_400() {
    let gateway = Harness::usual().await;
    for path in [
        format!("{BRAZIL}?x=1"),
        format!("{BRAZIL}?Currency=BRL"),
        format!("{BRAZIL}?currency=BRL&currency=BRL"),
        format!("{BRAZIL}?type=A&type=A"),
        format!("{BRAZIL}?not_before=yesterday"),
        format!("{BRAZIL}?not_before=2026-11-21T07:00:00Z&not_before=2026-11-21T07:00:00Z"),
        format!("{BRAZIL}?account=ntxpay-br-demo"),
        "/v1/accounts?x=1".to_owned(),
        "/v1/balances?x=1".to_owned(),
        "/v1/balances?currency=BRL".to_owned(),
        "/v1/balances?provider=pluggo&provider=pluggo".to_owned(),
        "/v1/balances?not_before=1".to_owned(),
    ] {
        gateway.get(&path).await.assert_problem(400, "invalid_request");
    }
    assert!(Kind::ALL.iter().all(|kind| gateway.provider(*kind).calls().is_empty()));
}

fn names(balances: &Value) -> Vec<(String, Option<String>, Option<String>)> {
    let field = |item: &Value, name: &str| item[name].as_str().map(str::to_owned);
    let items = balances.as_array().unwrap().iter();
    items
        .map(|item| (field(item, "account").unwrap(), field(item, "currency"), field(item, "type")))
        .collect()
}

fn named(items: &[(&str, &str, Option<&str>)]) -> Vec<(String, Option<String>, Option<String>)> {
    let owned = |(account, currency, r#type): &(&str, &str, Option<&str>)| {
        ((*account).to_owned(), Some((*currency).to_owned()), r#type.map(str::to_owned))
    };
    items.iter().map(owned).collect()
}

#[tokio::test]
async fn a_batch_has_every_balance_sorted_and_equal_to_the_single_one() {
    let gateway = with_further(SWITCHED_OFF).await;

    let reply = gateway.get("/v1/balances").await;

    let body = reply.json();
    assert_eq!(reply.status, 200);
    assert_eq!((&body["complete"], &body["errors"]), (&json!(true), &json!([])));
    let sorted = named(&[
        ("avista-demo", "BRL", None),
        ("ntxpay-br-demo", "BRL", None),
        ("ntxpay-mx-demo", "MXN", None),
        ("pluggo-demo", "BRL", None),
        ("pluggo-demo", "BTC", Some("CRYPTO")),
        ("pluggo-demo", "USD", None),
    ]);
    assert_eq!(names(&body["balances"]), sorted);
    for path in
        [BRAZIL.to_owned(), format!("{PLUGGO}?currency=BTC"), "/v1/accounts/avista-demo/balance".to_owned()]
    {
        assert!(reply.body.contains(&gateway.get(&path).await.body), "{path}");
    }
    assert_eq!((reply.header("age"), reply.header("cache-control")), ("1", "no-store"));
    assert_eq!(reply.header("content-type"), "application/json");
    for absent in ["etag", "cache-status"] {
        assert_eq!(reply.header(absent), "", "{absent}");
    }
    assert!(
        reply.body.starts_with(r#"{"balances":["#)
            && reply.body.ends_with(r#"],"errors":[],"complete":true}"#)
    );
}

#[tokio::test]
async fn filters_of_a_batch_combine_and_repeats_count_once() {
    let gateway = Harness::usual().await;
    let brazil = ("ntxpay-br-demo", "BRL", None);
    let avista = ("avista-demo", "BRL", None);
    for (query, expected) in [
        ("account=ntxpay-br-demo&account=ntxpay-br-demo", vec![brazil]),
        ("account=ntxpay-br-demo&account=avista-demo", vec![avista, brazil]),
        ("provider=avista", vec![avista]),
        ("provider=avista&account=avista-demo&account=ntxpay-br-demo", vec![avista]),
        ("provider=avista&account=ntxpay-br-demo", vec![]),
        ("provider=nobody", vec![]),
        ("provider=nobody&account=ntxpay-br-demo", vec![]),
        ("provider=", vec![]),
    ] {
        let reply = gateway.get(&format!("/v1/balances?{query}")).await;

        let body = reply.json();
        assert_eq!(names(&body["balances"]), named(&expected), "{query}");
        assert_eq!((&body["errors"], &body["complete"]), (&json!([]), &json!(true)), "{query}");
        assert_eq!(reply.headers.get("age").is_some(), !expected.is_empty(), "{query}");
    }
}

#[tokio::test]
async fn an_unknown_named_account_is_an_error_item_whatever_the_filter() {
    let gateway = Harness::usual().await;
    for query in
        ["account=nobody", "account=nobody&account=nobody&provider=avista", "account=nobody&provider=x"]
    {
        let reply = gateway.get(&format!("/v1/balances?{query}")).await;

        let body = reply.json();
        assert_eq!((reply.status, &body["complete"], &body["balances"]), (200, &json!(false), &json!([])));
        let [item] = body["errors"].as_array().unwrap().as_slice() else { panic!("{query}: {body}") };
        let known = (&item["account"], &item["currency"], &item["type"]);
        assert_eq!(known, (&json!("nobody"), &Value::Null, &Value::Null));
        let problem = &item["problem"];
        assert_eq!((&problem["code"], &problem["status"]), (&json!("account_not_found"), &json!(404)));
        assert_eq!(problem["request_id"], reply.header("x-request-id"));
        assert_eq!(problem.get("provider"), None);
    }
}

#[tokio::test]
async fn a_failed_read_is_an_error_item_and_the_others_are_served() {
    let gateway = Harness::usual().await;
    gateway.provider(Kind::Avista).queue(Fault::on_balance(FaultKind::status(500)));
    gateway.provider(Kind::Pluggo).set_field("BTC", Some("CRYPTO"), "balance", "null");

    let reply = gateway.get("/v1/balances?account=avista-demo&account=pluggo-demo&account=b").await;

    let body = reply.json();
    assert_eq!((reply.status, &body["complete"]), (200, &json!(false)));
    assert_eq!(
        names(&body["balances"]),
        named(&[("pluggo-demo", "BRL", None), ("pluggo-demo", "USD", None)])
    );
    let errors = body["errors"].as_array().unwrap();
    let codes: Vec<_> = errors.iter().map(|item| text(&item["problem"], "code").to_owned()).collect();
    assert_eq!(codes, ["provider_error", "account_not_found", "provider_invalid_response"]);
    let mut expected =
        named(&[("avista-demo", "BRL", None), ("b", "", None), ("pluggo-demo", "BTC", Some("CRYPTO"))]);
    expected[1].1 = None;
    assert_eq!(names(&body["errors"]), expected);
    assert_eq!(errors[0]["problem"]["provider"], "avista");
    assert_eq!(errors[0]["problem"]["account"], "avista-demo");
}

#[tokio::test]
async fn disabled_accounts_are_in_a_batch_only_when_named() {
    let gateway = with_further(SWITCHED_OFF).await;

    let all = gateway.get("/v1/balances?provider=ntxpay-br").await.json();
    let named = gateway.get("/v1/balances?account=off-itself&account=off-with-its-provider").await.json();

    assert_eq!(names(&all["balances"]).len(), 1);
    assert_eq!((&all["errors"], &all["complete"]), (&json!([]), &json!(true)));
    assert_eq!((&named["balances"], &named["complete"]), (&json!([]), &json!(false)));
    for item in named["errors"].as_array().unwrap() {
        assert_eq!(item["problem"]["code"], "disabled");
        assert_eq!(item["problem"]["retry_after"], 60);
    }
    assert_eq!(named["errors"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn the_age_of_a_batch_is_the_age_of_its_oldest_balance() {
    let gateway = Harness::usual().await;
    gateway.until(BRAZIL, "a balance over one second old", |reply| reply.header("age") == "2").await;

    let reply = gateway.get("/v1/balances").await;

    assert!(["2", "3"].contains(&reply.header("age")), "{reply:?}");
}

#[tokio::test]
async fn accounts_are_listed_as_configured() {
    let gateway = with_further(&format!("{SWITCHED_OFF}{UNFILTERED}")).await;

    let reply = gateway.get("/v1/accounts").await;

    let one = |currency: &str| json!([{"currency": currency, "type": null}]);
    let account = |account: &str, provider: &str, kind: &str, balances: Value, enabled: bool| {
        json!({"account": account, "provider": provider, "kind": kind, "balances": balances,
               "fresh_for_seconds": 10, "max_age_seconds": 60, "enabled": enabled})
    };
    let three = json!([{"currency": "BRL", "type": null}, {"currency": "USD", "type": null},
                       {"currency": "BTC", "type": "CRYPTO"}]);
    let expected = json!({"accounts": [
        account("avista-demo", "avista", "avista", one("BRL"), true),
        account("ntxpay-br-demo", "ntxpay-br", "ntxpay-br", one("BRL"), true),
        account("ntxpay-mx-demo", "ntxpay-mx", "ntxpay-mx", one("MXN"), true),
        account("off-itself", "ntxpay-br", "ntxpay-br", one("BRL"), false),
        account("off-with-its-provider", "off", "ntxpay-br", one("BRL"), false),
        account("pluggo-demo", "pluggo", "pluggo", three, true),
        account("unfiltered", "pluggo", "pluggo", json!([{"currency": null, "type": null}]), true),
    ]});
    assert_eq!(reply.json(), expected);
    assert_eq!((reply.status, reply.header("cache-control")), (200, "no-store"));
    assert_eq!(reply.header("content-type"), "application/json");
    assert_eq!(reply.header("etag"), "");
}

/// All headers, except those that differ between two answers.
fn lasting(reply: &Reply) -> Vec<(String, String)> {
    let own = ["date", "x-request-id", "ratelimit"];
    let mut headers: Vec<_> = reply
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .filter(|(name, _)| !own.contains(&name.as_str()))
        .collect();
    headers.sort();
    headers
}

#[tokio::test]
async fn head_answers_like_get_without_a_body() {
    let gateway = Harness::usual().await;
    gateway.get("/v1/balances").await;
    for path in [BRAZIL, "/v1/accounts", "/v1/balances", "/v1/accounts/nobody/balance", "/v1/nothing"] {
        let get = gateway.get(path).await;

        let head = gateway.send("HEAD", path, Some(KEY), &[]).await;

        assert_eq!((head.status, head.body.as_str()), (get.status, ""), "{path}");
        // A request id has a fixed length, so Content-Length is equal, too.
        assert_eq!(lasting(&head), lasting(&get), "{path}");
    }
}

#[tokio::test]
async fn a_matching_etag_is_304_with_the_same_headers() {
    let gateway = Harness::usual().await;
    gateway.balance(Kind::NtxpayBr).await;
    let full = gateway.balance(Kind::NtxpayBr).await;
    let etag = full.header("etag").to_owned();
    assert!(etag.starts_with('"') && etag.ends_with('"') && etag.len() > 2, "{etag}");
    for given in [
        etag.clone(),
        format!("W/{etag}"),
        format!("\"x\", {etag}"),
        format!("\"x\",W/{etag}"),
        "*".to_owned(),
    ] {
        let reply = gateway.get_with(BRAZIL, &[("if-none-match", &given)]).await;

        assert_eq!((reply.status, reply.body.as_str()), (304, ""), "{given}");
        let described = ["content-type", "content-length"];
        let mut expected = lasting(&full);
        expected.retain(|(name, _)| !described.contains(&name.as_str()));
        let mut present = lasting(&reply);
        present.retain(|(name, _)| !described.contains(&name.as_str()));
        assert_eq!(present, expected, "{given}");
        assert!(!reply.header("ratelimit").is_empty());
    }
    for given in ["\"x\"", "x", etag.trim_matches('"')] {
        assert_eq!(gateway.get_with(BRAZIL, &[("if-none-match", given)]).await.status, 200, "{given}");
    }
    let problem = gateway.get_with("/v1/accounts/nobody/balance", &[("if-none-match", "*")]).await;
    problem.assert_problem(404, "account_not_found");
}

#[tokio::test]
async fn a_changed_balance_has_another_etag() {
    let gateway = Harness::usual().await;
    let before = gateway.balance(Kind::NtxpayBr).await;
    gateway.provider(Kind::NtxpayBr).set_field("BRL", None, "netBalance", "1.00");

    let after = gateway
        .get_with(BRAZIL, &[("if-none-match", before.header("etag")), ("cache-control", "no-cache")])
        .await;

    assert_eq!(after.status, 200);
    assert_ne!(after.header("etag"), before.header("etag"));
}

#[tokio::test]
async fn cache_status_says_how_a_balance_was_found() {
    let gateway = Harness::usual().await;

    let miss = gateway.balance(Kind::NtxpayBr).await;
    let hit = gateway.balance(Kind::NtxpayBr).await;
    let refresh = gateway.new_balance(Kind::NtxpayBr).await;

    assert_eq!(miss.header("cache-status"), "balance-gateway; fwd=uri-miss; fwd-status=200; stored");
    assert_eq!(hit.header("cache-status"), "balance-gateway; hit; ttl=9");
    assert_eq!(refresh.header("cache-status"), "balance-gateway; fwd=request; fwd-status=200; stored");
    assert_eq!(hit.body, miss.body);
    for reply in [miss, hit, refresh] {
        assert_eq!(reply.header("age"), "1");
        assert_eq!(reply.header("cache-control"), "private, max-age=10, must-revalidate");
        sfv::Parser::new(reply.header("cache-status")).parse::<sfv::List>().unwrap();
    }
    for (outcome, expected) in [("miss", 1), ("hit", 1), ("refresh", 1), ("stale", 0), ("error", 0)] {
        let series = format!("cache_lookups_total{{provider=\"ntxpay-br\",outcome=\"{outcome}\"}}");
        assert_eq!(gateway.count(&series).await, expected, "{outcome}");
    }
}

#[tokio::test]
async fn a_waiter_gets_collapsed_in_cache_status() {
    let gateway = Harness::usual().await;
    gateway.provider(Kind::NtxpayBr).queue(Fault::on_balance(FaultKind::Delay { ms: 300 }));

    let (one, other) = tokio::join!(gateway.balance(Kind::NtxpayBr), gateway.balance(Kind::NtxpayBr));

    let mut statuses = [one.header("cache-status"), other.header("cache-status")];
    statuses.sort_unstable();
    let miss = "balance-gateway; fwd=uri-miss; fwd-status=200; stored";
    assert_eq!(statuses, [miss, &format!("{miss}; collapsed")]);
    assert_eq!(one.body, other.body);
}

#[tokio::test]
async fn a_stale_balance_is_served_at_once_and_refreshed_in_the_background() {
    let gateway =
        Harness::start(Setup { freshness: "fresh_for = \"1s\"\n".to_owned(), ..Setup::default() }).await;
    let first = gateway.balance(Kind::NtxpayBr).await;
    let is_stale =
        |reply: &Reply| reply.header("cache-status") == "balance-gateway; hit; ttl=-1; detail=stale";

    let stale = gateway.until(BRAZIL, "a stale balance", is_stale).await;
    let renewed = gateway.until(BRAZIL, "a refreshed balance", |reply| reply.body != first.body).await;

    assert_eq!((stale.body.as_str(), stale.header("age")), (first.body.as_str(), "2"));
    assert_eq!(stale.header("cache-control"), "private, max-age=0, must-revalidate");
    assert!(renewed.header("cache-status").starts_with("balance-gateway; hit; ttl="), "{renewed:?}");
    assert_eq!(gateway.calls(Kind::NtxpayBr, Operation::Balance).len(), 2);
}

#[tokio::test]
async fn an_expired_balance_is_read_again() {
    let freshness = "fresh_for = \"1s\"\nmax_age = \"1s\"\n".to_owned();
    let gateway = Harness::start(Setup { freshness, ..Setup::default() }).await;
    let first = gateway.balance(Kind::NtxpayBr).await;

    let next = gateway.until(BRAZIL, "a balance over the ceiling", |reply| reply.body != first.body).await;

    assert_eq!(next.header("cache-status"), "balance-gateway; fwd=stale; fwd-status=200; stored");
    assert_eq!(next.header("age"), "1");
}

#[tokio::test]
async fn only_if_cached_never_calls_the_provider() {
    let gateway = Harness::usual().await;

    let cold = gateway.get_with(BRAZIL, &[("cache-control", "only-if-cached")]).await;
    let calls = gateway.provider(Kind::NtxpayBr).calls().len();
    gateway.balance(Kind::NtxpayBr).await;
    let warm = gateway.get_with(BRAZIL, &[("cache-control", "only-if-cached")]).await;

    cold.assert_problem(504, "not_cached");
    assert_eq!((calls, warm.status), (0, 200));
    let series = "cache_lookups_total{provider=\"ntxpay-br\",outcome=\"not_cached\"}";
    assert_eq!(gateway.count(series).await, 1);
}

#[tokio::test]
async fn every_answer_confirms_prefer_wait() {
    let gateway = Harness::usual().await;
    for (method, path, key) in [
        ("GET", BRAZIL, Some(KEY)),
        ("GET", "/v1/balances", Some(KEY)),
        ("GET", "/v1/accounts", Some(KEY)),
        ("GET", "/v1/balances?x=1", Some(KEY)),
        ("GET", "/v1/accounts/nobody/balance", Some(KEY)),
        ("DELETE", BRAZIL, Some(KEY)),
        ("GET", BRAZIL, None),
    ] {
        let reply = gateway.send(method, path, key, &[("prefer", "respond-async, wait=5")]).await;

        assert_eq!(reply.header("preference-applied"), "wait=5", "{method} {path}");
    }
    assert_eq!(gateway.get(BRAZIL).await.header("preference-applied"), "");
    assert_eq!(gateway.get_with(BRAZIL, &[("prefer", "wait=soon")]).await.header("preference-applied"), "");
}

#[tokio::test]
async fn prefer_wait_0_answers_from_the_cache_and_the_read_continues() {
    let gateway = Harness::usual().await;
    gateway.provider(Kind::NtxpayBr).queue(Fault::on_balance(FaultKind::Delay { ms: 200 }));

    let impatient = gateway.get_with(BRAZIL, &[("prefer", "wait=0")]).await;
    let later = gateway.until(BRAZIL, "the read's balance", |reply| reply.status == 200).await;

    impatient.assert_problem(504, "deadline_exceeded");
    assert_eq!(impatient.header("preference-applied"), "wait=0");
    assert_eq!(later.status, 200);
    assert_eq!(gateway.calls(Kind::NtxpayBr, Operation::Balance).len(), 1);
}

#[tokio::test]
async fn above_max_in_flight_a_request_is_shed_with_retry_after() {
    let server = "max_in_flight = 1\n".to_owned();
    let gateway = Harness::start(Setup { server, ..Setup::default() }).await;
    gateway.provider(Kind::NtxpayBr).queue(Fault::on_balance(FaultKind::Delay { ms: 300 }));

    let (first, refused) = tokio::join!(gateway.balance(Kind::NtxpayBr), async {
        gateway.provider(Kind::NtxpayBr).wait_for_calls(2).await;
        gateway.get_with(BRAZIL, &[("prefer", "wait=5")]).await
    });

    assert_eq!(first.status, 200);
    refused.assert_problem(503, "overloaded");
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(refused.header("preference-applied"), "wait=5", "every answer says so");
    assert_eq!(gateway.balance(Kind::NtxpayBr).await.status, 200);
}

#[tokio::test]
async fn a_valid_request_id_is_kept_and_any_other_is_replaced() {
    let gateway = Harness::usual().await;
    let longest = "x".repeat(64);
    for id in ["a", "A-1._z", &longest] {
        for (path, key) in [(BRAZIL, Some(KEY)), ("/v1/nothing", Some(KEY)), (BRAZIL, None)] {
            let reply = gateway.send("GET", path, key, &[("x-request-id", id)]).await;

            assert_eq!(reply.header("x-request-id"), id, "{path}");
            if reply.status != 200 {
                assert_eq!(reply.json()["request_id"], id);
            }
        }
    }
    let too_long = "x".repeat(65);
    for id in ["", "a b", "a/b", "a\"", &too_long] {
        let headers = [("x-request-id", id)];
        let (one, other) =
            tokio::join!(gateway.get_with(BRAZIL, &headers), gateway.get_with(BRAZIL, &headers));

        let (one, other) = (one.header("x-request-id"), other.header("x-request-id"));
        assert!(!one.is_empty() && one != id && one != other, "{id:?} {one:?} {other:?}");
    }
}

#[tokio::test]
async fn an_unsupported_method_is_405_with_allow() {
    let gateway = Harness::usual().await;
    for (method, path, allowed) in [
        ("POST", "/v1/accounts", vec!["GET", "HEAD"]),
        ("DELETE", BRAZIL, vec!["GET", "HEAD"]),
        ("PUT", "/v1/balances", vec!["GET", "HEAD"]),
        ("OPTIONS", "/v1/balances", vec!["GET", "HEAD"]),
        ("GET", "/v1/accounts/ntxpay-br-demo/invalidate", vec!["POST"]),
    ] {
        let reply = gateway.send(method, path, Some(KEY), &[]).await;

        reply.assert_problem(405, "method_not_allowed");
        let mut given: Vec<_> = reply.header("allow").split(',').map(str::trim).collect();
        given.sort_unstable();
        assert_eq!(given, allowed, "{method} {path}");
    }
    assert!(gateway.provider(Kind::NtxpayBr).calls().is_empty());
}

#[tokio::test]
async fn an_unknown_path_is_404() {
    let gateway = Harness::usual().await;
    for path in [
        "/v1",
        "/v1/",
        "/v1/nothing",
        "/v1/accounts/",
        "/v1/accounts/ntxpay-br-demo",
        "/v1/accounts/ntxpay-br-demo/",
        "/v1/accounts/ntxpay-br-demo/nothing",
        "/v1/accounts/ntxpay-br-demo/balance/",
        "/v1/balances/",
    ] {
        gateway.get(path).await.assert_problem(404, "not_found");
    }
    for path in ["/v10", "/nothing"] {
        gateway.send("GET", path, None, &[]).await.assert_problem(404, "not_found");
    }
}

#[tokio::test]
async fn a_small_body_is_ignored_and_a_large_one_is_413_before_404() {
    let gateway = Harness::usual().await;
    let send = async |method: &str, path: &str, size: usize| {
        let request = gateway.request(method, path, Some(KEY)).body("x".repeat(size));
        Reply::read(request.send().await.unwrap()).await
    };

    let small = send("GET", BRAZIL, 4096).await;
    let mut large = Vec::new();
    for (method, path) in
        [("GET", BRAZIL), ("POST", BRAZIL), ("POST", "/v1/nothing"), ("GET", "/v1/balances?x=1")]
    {
        large.push(send(method, path, 4097).await);
    }
    large.push(send("GET", BRAZIL, 1024 * 1024).await);

    assert_eq!(small.status, 200);
    for reply in large {
        reply.assert_problem(413, "content_too_large");
    }
}

/// The beginning of the answer to a request whose body never comes.
async fn without_its_body(gateway: &Harness, method: &str, path: &str, fields: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(gateway.api).await.unwrap();
    let key =
        if path.starts_with("/v1") { format!("Authorization: Bearer {KEY}\r\n") } else { String::new() };
    let head = format!("{method} {path} HTTP/1.1\r\nHost: x\r\n{key}{fields}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut status = [0; 12];
    let read = stream.read_exact(&mut status);
    // Well before `request_timeout`, which would end the wait for a body.
    tokio::time::timeout(std::time::Duration::from_secs(5), read).await.expect("is not waited for").unwrap();
    String::from_utf8(status.to_vec()).unwrap()
}

#[tokio::test]
async fn a_body_that_is_announced_too_large_is_refused_at_once_and_not_invited() {
    let gateway = Harness::usual().await;
    for fields in [
        "Content-Length: 50000000",
        "Content-Length: 4097",
        "Content-Length: 50000000\r\nExpect: 100-continue",
    ] {
        assert_eq!(without_its_body(&gateway, "GET", BRAZIL, fields).await, "HTTP/1.1 413", "{fields}");
        assert_eq!(without_its_body(&gateway, "POST", "/v1/x", fields).await, "HTTP/1.1 413", "{fields}");
    }
    let expecting = "Content-Length: 4\r\nExpect: 100-continue";
    assert_eq!(without_its_body(&gateway, "GET", BRAZIL, expecting).await, "HTTP/1.1 100");
}

#[tokio::test]
async fn outside_v1_a_body_is_never_waited_for() {
    let gateway = Harness::usual().await;
    for fields in [
        "Content-Length: 10",
        "Content-Length: 50000000",
        "Transfer-Encoding: chunked",
        "Content-Length: 9\r\nExpect: 100-continue",
    ] {
        for (method, path, status) in
            [("GET", "/docs", 200), ("POST", "/dashboard", 405), ("POST", "/nothing", 404)]
        {
            let answer = without_its_body(&gateway, method, path, fields).await;

            assert_eq!(answer, format!("HTTP/1.1 {status}"), "{method} {path} {fields}");
        }
    }
}

/// Sends a text on a new connection and reads to the end.
async fn raw(gateway: &Harness, text: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(gateway.api).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    harness::record("seen", &answer);
    answer
}

fn head_with(fields: usize, filler: &str) -> String {
    let mut head =
        format!("GET {BRAZIL} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {KEY}\r\n");
    for number in 3..fields {
        write!(head, "X-{number}: {filler}\r\n").unwrap();
    }
    head + "\r\n"
}

#[tokio::test]
async fn a_head_has_at_most_100_fields_and_64_kib() {
    let gateway = Harness::usual().await;
    for (head, status) in [
        (head_with(100, "x"), "200 OK"),
        (head_with(90, &"x".repeat(600)), "200 OK"),
        (head_with(101, "x"), "431 "),
        (head_with(90, &"x".repeat(900)), "431 "),
    ] {
        let answer = raw(&gateway, &head).await;

        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
        assert_eq!(body.is_empty(), status.starts_with("431"), "{answer}");
    }
}

#[tokio::test]
async fn a_malformed_request_is_400_without_a_body_and_counted() {
    let gateway = Harness::usual().await;

    let answer = raw(&gateway, "RUBBISH\r\n\r\n").await;

    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.ends_with("\r\n\r\n"), "{answer}");
    harness::eventually("the refusal is counted", || async {
        gateway.count("connections_refused_total{reason=\"head\"}").await == 1
    })
    .await;
}

#[tokio::test]
async fn http_2_works_by_prior_knowledge() {
    let gateway = Harness::usual().await;
    let client = harness::client().http2_prior_knowledge().build().unwrap();

    let response =
        client.get(format!("http://{}{BRAZIL}", gateway.api)).bearer_auth(KEY).send().await.unwrap();

    assert_eq!(response.version(), reqwest::Version::HTTP_2);
    let reply = Reply::read(response).await;
    assert_eq!(reply.status, 200);
    assert_eq!(gateway.balance(Kind::NtxpayBr).await.body, reply.body);
}
