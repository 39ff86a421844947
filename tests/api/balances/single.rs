//! One balance: schema, digits, and which balance of an account a request names.

use super::*;

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
