//! Batches and the list of accounts: order, filters, and balances that failed.

use super::*;

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
