//! The page on the operations port, as a person with a port-forward sees it, and where `/` leads on the api port.

use balance_gateway::sandbox::{Fault, FaultKind, Kind};

use crate::browser::Browser;
use crate::harness::{Harness, Setup};

const DESKTOP: u32 = 1280;
const PHONE: u32 = 360;

async fn open(gateway: &Harness, width: u32) -> Browser {
    Browser::open(&format!("http://{}/", gateway.ops), width).await
}

/// The texts of the row with this heading in the table that follows a title.
async fn row(page: &Browser, title: &str, name: &str) -> Vec<String> {
    let table =
        format!("[...document.querySelectorAll('h2')].find(title => title.textContent === '{title}')");
    let rows = format!("[...{table}.nextElementSibling.querySelectorAll('tbody tr')]");
    let row = format!("{rows}.find(row => row.cells[0].textContent === '{name}')");
    let cells = page.value(&format!("[...{row}.cells].slice(1).map(cell => cell.textContent)")).await;
    cells.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn the_api_port_leads_to_the_dashboard() {
    let gateway = Harness::usual().await;

    let root = gateway.send("GET", "/", None, &[]).await;
    let posted = gateway.send("POST", "/", None, &[]).await;

    assert_eq!((root.status, root.header("location"), root.body.as_str()), (303, "/dashboard", ""));
    posted.assert_problem(405, "method_not_allowed");
    assert_eq!(gateway.count("http_requests_total{route=\"/\",status=\"303\"}").await, 1);
}

#[tokio::test]
async fn the_page_loads_nothing_runs_nothing_and_refreshes_itself() {
    let gateway = Harness::usual().await;

    let page = gateway.operations("/").await;

    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
    assert_eq!(page.header("cache-control"), "no-store");
    let policy = page.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
    assert!(!policy.contains("unsafe") && !policy.contains("script-src"), "{policy}");
    assert!(page.body.contains("<meta http-equiv=\"refresh\" content=\"5\">"));
    for absent in ["<script", " src=", "url(", "@import", " style=", " onload"] {
        assert!(!page.body.contains(absent), "{absent}");
    }
}

#[tokio::test]
async fn a_well_gateway_shows_every_provider_account_and_age_and_no_amount() {
    let gateway = Harness::usual().await;
    gateway.get("/v1/balances").await;

    let page = open(&gateway, DESKTOP).await;

    assert_eq!(page.text("document.querySelector('.notice').textContent").await, "No problems.");
    let provider = row(&page, "Providers", "avista").await;
    assert_eq!((&provider[0][..], &provider[1][..], &provider[3][..]), ("closed", "0", "–"));
    assert!(provider[2].ends_with(" ago"), "{provider:?}");
    let account = row(&page, "Accounts", "ntxpay-br-demo").await;
    assert_eq!((&account[0][..], &account[1][..], &account[4][..]), ("ntxpay-br", "on", "current"));
    assert_eq!(account[2], "298 of 300", "a token and a balance");
    assert!(account[3].starts_with("in "), "{account:?}");
    let balance = row(&page, "Balances in the cache", "ntxpay-mx-demo").await;
    assert_eq!((&balance[0][..], &balance[1][..], &balance[3][..]), ("MXN", "–", "–"));
    assert!(balance[2].ends_with(" s"), "{balance:?}");
    let text = page.text("document.documentElement.outerHTML").await;
    for report in gateway.get("/v1/balances").await.json()["balances"].as_array().unwrap() {
        let available = report["available"].as_str().unwrap();
        assert!(!text.contains(available), "{available} is on the page");
    }
    assert_eq!(page.complaints(), [""; 0]);
    page.screenshot("operations").await;
    page.prefer("dark").await;
    page.screenshot("operations-dark").await;
}

#[tokio::test]
async fn what_is_wrong_stands_first_and_fits_a_phone() {
    let provider = "breaker = { failures = 1, cooldown = \"1m\" }\nretries = 0\n".to_owned();
    let gateway = Harness::start(Setup { provider, ..Setup::default() }).await;
    gateway.provider(Kind::Avista).queue(Fault::on_any(FaultKind::status(500)).times(2));
    gateway.get("/v1/balances").await;

    let page = open(&gateway, PHONE).await;

    let notice = page.text("document.querySelector('.notice').innerText").await;
    assert!(notice.contains("avista: the breaker is open."), "{notice}");
    let provider = row(&page, "Providers", "avista").await;
    assert_eq!(provider[0], "open");
    assert!(provider[3].starts_with("status, ") && provider[3].ends_with(" ago"), "{provider:?}");
    let overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth";
    assert_eq!(page.value(overflow).await, 0, "no scrolling sideways");
    assert_eq!(page.complaints(), [""; 0]);
    page.screenshot("operations-phone").await;
}

#[tokio::test]
async fn the_page_refreshes_itself_in_the_browser() {
    let gateway = Harness::usual().await;
    let page = open(&gateway, DESKTOP).await;
    page.value("document.body.dataset.seen = 'before'").await;

    gateway.get("/v1/balances").await;

    page.until("document.body && !document.body.dataset.seen").await;
    let balance = row(&page, "Balances in the cache", "avista-demo").await;
    assert!(balance[2].ends_with(" s"), "{balance:?}");
}
