//! The page on the operations port, as a person with a port-forward sees it, and the redirect from `/` on the api port.

use std::time::Duration;

use balance_gateway::sandbox::{Fault, FaultKind, Kind};
use serde_json::Value;

use crate::browser::Browser;
use crate::harness::{Harness, Setup, eventually_within};

const DESKTOP: u32 = 1280;
const PHONE: u32 = 360;

async fn open(gateway: &Harness, width: u32) -> Browser {
    Browser::open(&format!("http://{}/", gateway.ops), width).await
}

/// The content of the page at one moment. It may refresh itself before the next query.
const SNAPSHOT: &str = "(() => {
    const texts = cells => [...cells].map(cell => cell.textContent);
    if (document.readyState !== 'complete' || !document.querySelector('main')) return null;
    const tables = [...document.querySelectorAll('h2')].map(title => [
        title.textContent,
        Object.fromEntries([...title.nextElementSibling.tBodies[0].rows]
            .map(row => texts(row.cells)).map(([name, ...cells]) => [name, cells])),
    ]);
    const root = document.documentElement;
    return {
        notice: document.querySelector('.notice').innerText,
        tables: Object.fromEntries(tables),
        overflow: root.scrollWidth - root.clientWidth,
        html: root.outerHTML,
    };
})()";

async fn snapshot(page: &Browser) -> Value {
    page.until(&format!("{SNAPSHOT} !== null")).await;
    loop {
        let snapshot = page.value(SNAPSHOT).await;
        if snapshot.is_object() {
            return snapshot;
        }
    }
}

/// The cells of the row with this heading.
fn row<'a>(snapshot: &'a Value, title: &str, name: &str) -> Vec<&'a str> {
    let cells = snapshot["tables"][title][name].as_array();
    cells
        .unwrap_or_else(|| panic!("no {name} in {snapshot}"))
        .iter()
        .map(|text| text.as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn the_api_port_redirects_to_the_dashboard() {
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
async fn a_working_gateway_shows_every_provider_account_and_age_and_no_amount() {
    let gateway = Harness::usual().await;
    gateway.get("/v1/balances").await;

    let page = open(&gateway, DESKTOP).await;
    let shown = snapshot(&page).await;

    assert_eq!(shown["notice"], "No problems.");
    let provider = row(&shown, "Providers", "avista");
    assert_eq!([provider[0], provider[1], provider[3]], ["closed", "0", "–"]);
    assert!(provider[2].ends_with(" ago"), "{provider:?}");
    let account = row(&shown, "Accounts", "ntxpay-br-demo");
    assert_eq!([account[0], account[1], account[4]], ["ntxpay-br", "on", "current"]);
    assert_eq!(account[2], "298 of 300", "a token and a balance");
    assert!(account[3].starts_with("in "), "{account:?}");
    let balance = row(&shown, "Balances in the cache", "ntxpay-mx-demo");
    assert_eq!([balance[0], balance[1], balance[3]], ["MXN", "–", "–"]);
    assert!(balance[2].ends_with(" s"), "{balance:?}");
    let text = shown["html"].as_str().unwrap();
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
async fn problems_come_first_and_fit_a_phone() {
    let provider = "breaker = { failures = 1, cooldown = \"1m\" }\nretries = 0\n".to_owned();
    let gateway = Harness::start(Setup { provider, ..Setup::default() }).await;
    gateway.provider(Kind::Avista).queue(Fault::on_any(FaultKind::status(500)).times(2));
    gateway.get("/v1/balances").await;

    let page = open(&gateway, PHONE).await;
    let shown = snapshot(&page).await;

    let notice = shown["notice"].as_str().unwrap();
    assert!(notice.contains("avista: the breaker is open."), "{notice}");
    let provider = row(&shown, "Providers", "avista");
    assert_eq!(provider[0], "open");
    assert!(provider[3].contains(" ago: ") && provider[3].contains("500"), "{provider:?}");
    assert_eq!(shown["overflow"], 0, "no scrolling sideways");
    assert_eq!(page.complaints(), [""; 0]);
    page.screenshot("operations-phone").await;
}

#[tokio::test]
async fn the_page_refreshes_itself_in_the_browser() {
    let gateway = Harness::usual().await;
    let page = open(&gateway, DESKTOP).await;
    let loads = || async { page.requested().iter().filter(|url| url.ends_with('/')).count() >= 2 };

    eventually_within(Duration::from_mins(1), "the page is loaded again", loads).await;
}
