//! The stream behind the page: changes, lost streams, failing providers.

use super::*;

#[tokio::test]
async fn a_change_at_the_provider_appears_without_a_reload() {
    let gateway = Harness::usual().await;
    let page = signed_in(&gateway, DESKTOP).await;
    let trend = "document.querySelector('#balances tr:nth-child(2) polyline').getAttribute('points')";
    let account = page.text("document.querySelector('#balances tr:nth-child(2) .account').textContent").await;
    let flat = page.text(trend).await;
    gateway.provider(Kind::NtxpayBr).set_field("BRL", None, "netBalance", "7.01");

    gateway.new_balance(Kind::NtxpayBr).await;

    page.until("document.querySelector('#balances tr:nth-child(2) .available').textContent === '7.01'").await;
    assert!(account.starts_with("ntxpay-br-demo"), "{account}");
    let since = page.text("document.querySelector('#balances tr:nth-child(2) .since').textContent").await;
    assert!(since.starts_with("changed "), "{since}");
    assert_ne!(page.text(trend).await, flat, "the graph shows the lower amount");
    let others = column(&page, "since").await;
    assert_eq!(others.iter().filter(|since| since.starts_with("unchanged since")).count(), 5, "{others:?}");
    let sums = text_of(&page, "sums").await;
    // 7.01 + 20000.25 + 1250.75
    assert!(sums.contains("BRL21258.01"), "{sums}");
    assert_eq!(reports(&gateway).await, 0);
    assert_silent(&page);
}

#[tokio::test]
async fn a_lost_stream_is_shown_and_opened_again() {
    let mut gateway = Harness::usual().await;
    let page = signed_in(&gateway, DESKTOP).await;
    gateway.begin_shutdown();
    gateway.ended().await;

    page.until("document.getElementById('mode').textContent === 'The connection is lost.'").await;
    page.screenshot("dashboard-lost").await;
    let still = column(&page, "available .amount").await;
    pass(&page, 61).await;
    page.until("document.querySelectorAll('#balances tr.expired').length === 6").await;
    page.screenshot("dashboard-expired").await;

    assert_eq!(still.len(), 6);
    assert_eq!(column(&page, "available").await, ["–"; 6]);
    assert_eq!(text_of(&page, "sums").await, "", "nothing is left to add");
    page.until("document.getElementById('mode').textContent === 'Not live.'").await;
}

#[tokio::test]
async fn the_page_opens_its_stream_again_after_a_goodbye() {
    let server = "max_connection_age = \"2s\"".to_owned();
    let gateway = Harness::start(Setup { server, ..Setup::default() }).await;
    let page = signed_in(&gateway, DESKTOP).await;

    page.until("document.getElementById('mode').textContent === 'The connection is lost.'").await;
    page.until("document.getElementById('mode').textContent === 'Live.'").await;

    let opened = gateway.count("http_requests_total{route=\"/v1/events\",status=\"200\"}").await;
    assert!(opened >= 2, "{opened}");
    assert_eq!(reports(&gateway).await, 0);
}

#[tokio::test]
async fn without_a_stream_the_gateway_is_asked_every_30_seconds() {
    let (gateway, _taken) = without_streams(Setup::default()).await;
    let page = signed_in(&gateway, DESKTOP).await;

    pass(&page, 25).await;
    page.until("document.getElementById('clock').textContent.match(/next in [1-5] s/) !== null").await;
    let early = reports(&gateway).await;
    pass(&page, 5).await;
    page.until("document.getElementById('clock').textContent.startsWith('Report received 0 s')").await;

    assert_eq!(early, 1);
    assert_eq!(reports(&gateway).await, 2);
    assert_eq!(text_of(&page, "mode").await, "Not live.");
}

#[tokio::test]
async fn a_failed_provider_is_marked_and_recovers() {
    let setup = Setup { freshness: SHORT.into(), provider: "retries = 0".into(), ..Setup::default() };
    let gateway = Harness::start(setup).await;
    let page = signed_in(&gateway, DESKTOP).await;
    let fault = FaultKind::Status { status: 500, retry_after: None, body: None };
    gateway.provider(Kind::NtxpayMx).queue(Fault { times: 1000, ..Fault::on_balance(fault) });

    page.until("!document.getElementById('failures').hidden").await;
    page.until(&format!("{ROWS} === 5")).await;
    // On a busy machine, other reads may fail for a moment, too.
    page.until("document.getElementById('summary').textContent === '1 of 6 balances is missing.'").await;
    let failure = page.text("document.getElementById('failures').innerText").await;
    page.screenshot("dashboard-failing").await;
    gateway.provider(Kind::NtxpayMx).clear_faults();
    page.until("document.getElementById('failures').hidden").await;

    for said in ["ntxpay-mx-demo · MXN", "provider_error", "The provider answered with an error", "500"] {
        assert!(failure.contains(said), "{failure} does not contain {said}");
    }
    page.until(&format!("{ROWS} === 6")).await;
    page.until("document.getElementById('summary').textContent === 'All 6 balances are available.'").await;
    assert_silent(&page);
}

#[tokio::test]
async fn the_page_obeys_retry_after() {
    // Three units for the open stream, six for the report, and one for each refused stream or list of accounts.
    let limit = "limit = { requests = 1, per = \"1m\", burst = 12 }\n";
    let (gateway, _taken) = without_streams(Setup { caller: limit.into(), ..Setup::default() }).await;
    let page = signed_in(&gateway, DESKTOP).await;
    let refused = "http_requests_total{route=\"/v1/reconciliation\",status=\"429\"}";

    page.until("document.getElementById('refresh').click() || true").await;
    page.until("document.getElementById('notice').textContent.startsWith('Too many requests')").await;
    let wait =
        page.value("parseInt(document.getElementById('clock').textContent.split('next in ')[1])").await;
    let is_disabled = page.value("document.getElementById('refresh').disabled").await;
    pass(&page, 31).await;
    page.until("document.getElementById('clock').textContent.startsWith('Report received 3')").await;

    assert!(wait.as_u64().unwrap() > 50, "{wait}");
    assert_eq!(is_disabled, true);
    assert_eq!(gateway.count(refused).await, 1);
}
