//! The pages for people, in a real browser and served by the real gateway.

mod live;
mod readable;
mod thousand;

use balance_gateway::sandbox::{Fault, FaultKind, Kind};
use serde_json::Value;

use crate::browser::{Browser, Key};
use crate::events::reader::Events;
use crate::harness::{Harness, KEY, Setup, digest};

const DESKTOP: u32 = 1280;
const PHONE: u32 = 360;
const ROWS: &str = "document.querySelectorAll('#balances tr').length";
/// Balances become stale and expire soon.
const SHORT: &str = "fresh_for = \"1s\"\nmax_age = \"2s\"\n";
const LEVELS: &str = "alerts = { critical = \"500.00\", warning = \"90000.00\", high = \"48000.00\" }\n";

async fn open(gateway: &Harness, width: u32) -> Browser {
    Browser::open(&format!("http://{}/dashboard", gateway.api), width).await
}

/// Types a key into the focused field, then Enter.
async fn enter(page: &Browser, key: &str) {
    page.until("document.activeElement.id === 'key'").await;
    page.r#type(key).await;
    page.press(Key::Enter).await;
}

async fn signed_in(gateway: &Harness, width: u32) -> Browser {
    let page = open(gateway, width).await;
    enter(&page, KEY).await;
    page.until(&format!("{ROWS} === 6")).await;
    page
}

/// A gateway whose caller has no stream left: the page polls.
async fn without_streams(setup: Setup) -> (Harness, Events) {
    let caller = format!("streams = 1\n{}", setup.caller);
    let gateway = Harness::start(Setup { caller, ..setup }).await;
    let taken = Events::open(&gateway, "?account=pluggo-demo").await;
    (gateway, taken)
}

async fn text_of(page: &Browser, id: &str) -> String {
    page.text(&format!("document.getElementById('{id}').textContent")).await
}

/// The texts of one column.
async fn column(page: &Browser, class: &str) -> Vec<String> {
    let cells = format!("[...document.querySelectorAll('#balances .{class}')].map(cell => cell.textContent)");
    page.value(&cells).await.as_array().unwrap().iter().map(|text| text.as_str().unwrap().into()).collect()
}

async fn ages(page: &Browser) -> Vec<u64> {
    let read = |text: &String| text.strip_suffix(" s").unwrap().parse().unwrap();
    column(page, "age").await.iter().map(read).collect()
}

/// How many times the page requested the report.
async fn reports(gateway: &Harness) -> u64 {
    let answered = gateway.metric("http_requests_total{route=\"/v1/reconciliation\",status=\"200\"}").await;
    answered.map_or(0, |count| count.to_string().parse().unwrap())
}

/// Advances the page's wall clock by this many seconds.
async fn pass(page: &Browser, seconds: u32) {
    let change = format!("{{ const now = Date.now; Date.now = () => now() + {seconds}000; }} true");
    page.until(&change).await;
}

#[track_caller]
fn assert_silent(page: &Browser) {
    assert_eq!(page.complaints(), [""; 0]);
}

#[tokio::test]
async fn every_balance_is_shown_digit_for_digit() {
    let gateway = Harness::usual().await;
    let long = "12345678901234567890.12345678";
    gateway.provider(Kind::Pluggo).set_field("BTC", Some("CRYPTO"), "balance", long);
    let report = gateway.get_with("/v1/reconciliation", &[("cache-control", "max-age=60")]).await.json();

    let page = signed_in(&gateway, DESKTOP).await;

    let balances = report["balances"].as_array().unwrap();
    let texts = |field: &str| -> Vec<String> {
        balances.iter().map(|balance| balance[field].as_str().unwrap_or("–").to_owned()).collect()
    };
    assert_eq!(balances.len(), 6);
    assert_eq!(column(&page, "available .amount").await, texts("available"));
    assert!(texts("available").contains(&long.to_owned()));
    assert_eq!(column(&page, "blocked > :first-child").await, texts("blocked"));
    assert_eq!(column(&page, "total > :first-child").await, texts("total"));
    for (account, shown) in texts("account").iter().zip(column(&page, "account").await) {
        assert!(shown.starts_with(account.as_str()), "{shown}");
    }
    for (currency, shown) in texts("currency").iter().zip(column(&page, "currency").await) {
        assert!(shown.starts_with(currency.as_str()), "{shown}");
    }
    let shares = balances.iter().filter_map(|balance| balance["blocked_percentage"].as_str());
    assert_eq!(column(&page, "share").await, shares.map(|share| format!("{share} %")).collect::<Vec<_>>());
    let sums = page.text("document.getElementById('sums').textContent").await;
    for sum in report["sums"].as_array().unwrap() {
        assert!(sums.contains(sum["available"].as_str().unwrap()), "{sums} has not {sum}");
    }
    page.until("document.getElementById('summary').textContent === 'All 6 balances are available.'").await;
    assert_eq!(text_of(&page, "mode").await, "Live.");
    assert_silent(&page);
}

#[tokio::test]
async fn ages_count_up_every_second() {
    let gateway = Harness::usual().await;
    let page = signed_in(&gateway, DESKTOP).await;
    let first = ages(&page).await;

    page.until(&format!("parseInt(document.querySelector('.age').textContent) >= {}", first[0] + 2)).await;

    let later = ages(&page).await;
    assert!(first.iter().all(|age| *age <= 5), "{first:?}");
    // A second boundary may lie between the two readings, so an age may show either second.
    assert!(first.iter().zip(&later).all(|(first, later)| later > first), "{first:?} {later:?}");
    assert_eq!(reports(&gateway).await, 0, "a live page does not poll");
    assert_silent(&page);
}

#[tokio::test]
async fn a_wrong_key_is_refused_and_a_right_one_stays_in_memory_only() {
    let gateway = Harness::usual().await;
    let page = open(&gateway, DESKTOP).await;
    let notice = "document.getElementById('notice').textContent";

    enter(&page, "bgk_wrong").await;
    page.until(&format!("{notice}.includes('not known')")).await;
    let is_report_hidden = page.value("document.getElementById('report').hidden").await;
    enter(&page, "schlüssel").await;
    enter(&page, KEY).await;
    page.until(&format!("{ROWS} === 6")).await;

    assert_eq!(is_report_hidden, true);
    assert_eq!(page.text(notice).await, "");
    let kept = "JSON.stringify([location.href, document.cookie, {...localStorage}, {...sessionStorage}, \
                document.getElementById('key').value, history.state])";
    let nothing = format!("[\"http://{}/dashboard\",\"\",{{}},{{}},\"\",null]", gateway.api);
    assert_eq!(page.text(kept).await, nothing);
    let complaints = page.complaints();
    assert!(
        complaints.len() == 1 && complaints[0].contains("401"),
        "the browser logs the refusal: {complaints:?}"
    );
}

#[tokio::test]
async fn alerts_are_shown_by_name() {
    let gateway = Harness::start(Setup {
        further: format!(
            "[accounts.watched]\nprovider = \"ntxpay-br\"\nclient_id = {{ env = \"NTXPAY_BR_CLIENT_ID\" }}\n\
             client_secret = {{ env = \"NTXPAY_BR_CLIENT_SECRET\" }}\n{LEVELS}\
             [callers.watcher]\nkeys_sha256 = [\"{}\"]\naccounts = [\"watched\"]\n",
            digest("watcher")
        ),
        ..Setup::default()
    })
    .await;
    let page = open(&gateway, DESKTOP).await;

    enter(&page, "watcher").await;
    page.until(&format!("{ROWS} === 1")).await;

    assert_eq!(column(&page, "state").await, ["below warningabove high"]);
    assert_silent(&page);
}
