//! The request to a provider, and the snapshot of a good answer.

use super::*;

#[tokio::test]
async fn a_call_names_its_user_agent_and_demands_no_cached_answer() {
    let account = Account::new(Kind::NtxpayBr).await;

    account.read(0).await.unwrap();

    let calls = account.provider.calls();
    let call = &calls[0];
    assert_eq!((call.method.as_str(), call.path_and_query.as_str()), ("GET", "/api/balance"));
    assert_eq!(call.header("accept"), Some("application/json"));
    assert_eq!(call.header("cache-control"), Some("no-cache"));
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(call.header("user-agent"), Some(format!("balance-gateway/{version}").as_str()));
    assert!(call.header("accept-encoding").is_none_or(|encoding| encoding == "identity"));
    for name in ["referer", "cookie"] {
        assert_eq!(call.header(name), None, "{name}");
    }
    assert!(call.header("authorization").unwrap().starts_with("Bearer "));
}

#[tokio::test]
async fn a_cookie_is_not_kept() {
    let account = Account::new(Kind::NtxpayBr).await;
    account.queue([Fault::on_balance(header("Set-Cookie", "route=7; Path=/"))]);
    account.read(0).await.unwrap();

    account.read(0).await.unwrap();

    assert_eq!(account.provider.calls()[1].header("cookie"), None);
}

#[tokio::test]
async fn each_pluggo_balance_is_requested_with_its_filters() {
    let account = Account::new(Kind::Pluggo).await;

    for index in 0..3 {
        account.read(index).await.unwrap();
    }

    let calls = account.provider.calls();
    let asked: Vec<&str> = calls.iter().map(|call| call.path_and_query.as_str()).collect();
    assert_eq!(
        asked,
        ["/api/balance?currency=BRL", "/api/balance?currency=USD", "/api/balance?currency=BTC&type=CRYPTO"]
    );
    let credentials = account.provider.credentials();
    assert_eq!(calls[0].header("x-api-key"), Some(credentials.api_key.as_str()));
    assert_eq!(calls[0].header("x-token"), Some(credentials.session_token.as_str()));
    assert_eq!(calls[0].header("authorization"), None);
}

#[tokio::test]
async fn a_token_request_carries_the_configured_certificate() {
    let kind = Kind::NtxpayBr;
    let provider = SimulatedProvider::start(kind).await.unwrap();
    provider.require_certificate(true);
    let credentials = provider.credentials();
    let credential = |certificate| {
        Credential::Client(ClientCredentials {
            id: credentials.client_id.clone().into(),
            secret: credentials.client_secret.clone().into(),
            certificate,
        })
    };
    let pem = "-----BEGIN CERTIFICATE-----\nMII+/=\n-----END CERTIFICATE-----\n";

    let (_, with) = Setup::new(kind).at(&provider.url(), credential(Some(pem.into())));
    let (_, without) = Setup::new(kind).at(&provider.url(), credential(None));

    assert!(with.read(0, ReadRequest::alone(Priority::Plain)).await.result.is_ok());
    assert_eq!(
        without.read(0, ReadRequest::alone(Priority::Plain)).await.result.unwrap_err().error,
        UpstreamError::Refused
    );
    let calls = provider.calls();
    assert_eq!((calls[0].method.as_str(), calls[0].path_and_query.as_str()), ("POST", "/api/auth/token"));
    assert_eq!(calls[0].header("accept"), Some("application/json"));
    assert_eq!(calls[0].header("content-type"), Some("application/json"));
}

#[tokio::test]
async fn every_kind_of_provider_is_read() {
    for (kind, available) in [
        (Kind::NtxpayBr, "48734.90"),
        (Kind::Avista, "20000.25"),
        (Kind::NtxpayMx, "48734.90"),
        (Kind::Pluggo, "1250.75"),
    ] {
        let account = Account::new(kind).await;

        let snapshot = account.read(0).await.unwrap();

        let body = std::str::from_utf8(snapshot.body()).unwrap();
        assert!(body.contains(&format!(r#""available":"{available}""#)), "{kind}: {body}");
        assert!(body.starts_with(r#"{"account":"a","provider":"p","#), "{kind}: {body}");
    }
}

#[tokio::test]
async fn an_age_counts_from_before_the_request() {
    let account = Account::new(Kind::NtxpayBr).await;
    account.queue([Fault::on_balance(FaultKind::Delay { ms: 100 })]);
    let before = clock::now();

    let answer = account.upstream.read(0, ReadRequest::alone(Priority::Plain)).await;

    let requested_at = answer.result.unwrap().requested_at();
    let received = account.provider.calls()[0].instant;
    assert!((before.monotonic..=received).contains(&requested_at.monotonic));
    assert_eq!(answer.sent_at, requested_at.monotonic);
    assert_eq!(answer.priority, Priority::Plain);
}

#[tokio::test]
async fn an_age_of_the_answer_makes_the_snapshot_older_and_not_the_read() {
    let account = Account::new(Kind::NtxpayBr).await;
    account.queue([Fault::on_balance(header("Age", "7"))]);

    let answer = account.upstream.read(0, ReadRequest::alone(Priority::Plain)).await;

    let requested_at = answer.result.unwrap().requested_at();
    assert_eq!(answer.sent_at - requested_at.monotonic, SECOND * 7);
    let wall = clock::now().wall.duration_since(requested_at.wall).as_secs();
    assert!((7..60).contains(&wall), "{wall}");
}

#[tokio::test]
async fn an_age_is_valid_up_to_max_age() {
    let account = Account::new(Kind::NtxpayBr).await;
    let ages = ["60", "61"].map(|age| Fault::on_balance(header("Age", age)));
    account.queue(ages);

    assert!(account.read(0).await.is_ok());
    let failure = account.read(0).await.unwrap_err();

    assert!(matches!(failure.error, UpstreamError::Invalid(error) if error.field == "Age"));
    assert_eq!(wait_seconds(&failure), 5);
}

#[tokio::test]
async fn an_unreadable_age_is_ignored() {
    let account = Account::new(Kind::NtxpayBr).await;
    account.queue([Fault::on_balance(header("Age", "soon"))]);

    let answer = account.upstream.read(0, ReadRequest::alone(Priority::Plain)).await;

    assert_eq!(answer.result.unwrap().requested_at().monotonic, answer.sent_at);
}

#[tokio::test]
async fn a_balance_without_filters_keeps_its_first_currency() {
    let kind = Kind::Pluggo;
    let unfiltered = Setup { selectors: vec![Selector::default(); 2], ..Setup::new(kind) };
    let account = unfiltered.start(kind).await;
    let first = account.read(0).await.unwrap();
    account.provider.set_field("BRL", None, "currency", "\"EUR\"");

    let failure = account.read(0).await.unwrap_err();

    assert_eq!(first.currency(), Currency::BRL);
    assert_eq!(account.provider.calls()[0].path_and_query, "/api/balance");
    assert!(matches!(failure.error, UpstreamError::Invalid(error) if error.field == "currency"));
    assert_eq!(wait_seconds(&failure), 5);
    let other = account.read(1).await.unwrap();
    assert_eq!(other.currency().as_str(), "EUR", "another balance has a first currency of its own");
}

#[tokio::test]
async fn an_invalid_answer_does_not_fix_the_currency() {
    let kind = Kind::Pluggo;
    let setup = Setup { selectors: vec![Selector::default()], ..Setup::new(kind) };
    let account = setup.start(kind).await;
    account.provider.remove_field("BRL", None, "balance");
    account.read(0).await.unwrap_err();
    account.upstream.balances[0].holds.end(clock::now().monotonic);
    account.provider.set_field("BRL", None, "balance", "1.00");
    account.provider.set_field("BRL", None, "currency", "\"EUR\"");

    let snapshot = account.read(0).await.unwrap();

    assert_eq!(snapshot.currency().as_str(), "EUR");
}

#[tokio::test]
async fn an_oddity_is_counted_and_served() {
    let account = Account::new(Kind::Avista).await;
    account.provider.set_field("BRL", None, "grossBalance", "1.00");
    account.provider.set_timestamp(Some("\"yesterday\"".to_owned()));

    let snapshot = account.read(0).await.unwrap();

    assert!(snapshot.reading().is_mismatched());
    assert_eq!(account.counted("balance_mismatch_total"), ["{provider=\"p\"} 1"]);
    assert_eq!(account.counted("observed_at_unreadable_total"), ["{provider=\"p\"} 1"]);
}

#[tokio::test]
async fn any_content_type_is_read() {
    let account = Account::new(Kind::NtxpayBr).await;
    account.queue([Fault::on_balance(FaultKind::ContentType { value: "text/html".to_owned() })]);

    assert!(account.read(0).await.is_ok());
}

#[tokio::test]
async fn any_success_status_is_read() {
    let account = Account::new(Kind::NtxpayMx).await;
    let body = r#"{"availableCentavos":1,"pendingCentavos":0,"currency":"MXN"}"#;
    let fault = FaultKind::Status { status: 202, retry_after: None, body: Some(body.to_owned()) };
    account.queue([Fault::on_balance(fault)]);

    assert!(account.read(0).await.is_ok());
}
