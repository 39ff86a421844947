//! The pages for people, in a real browser and served by the real gateway.

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
    // More than a second has passed: at a boundary an age may show either second.
    assert!(first.iter().zip(&later).all(|(first, later)| later > first), "{first:?} {later:?}");
    assert_eq!(reports(&gateway).await, 0, "a live page does not poll");
    assert_silent(&page);
}

#[tokio::test]
async fn a_change_at_the_provider_appears_without_a_reload() {
    let gateway = Harness::usual().await;
    let page = signed_in(&gateway, DESKTOP).await;
    let course = "document.querySelector('#balances tr:nth-child(2) polyline').getAttribute('points')";
    let account = page.text("document.querySelector('#balances tr:nth-child(2) .account').textContent").await;
    let flat = page.text(course).await;
    gateway.provider(Kind::NtxpayBr).set_field("BRL", None, "netBalance", "7.01");

    gateway.new_balance(Kind::NtxpayBr).await;

    page.until("document.querySelector('#balances tr:nth-child(2) .available').textContent === '7.01'").await;
    assert!(account.starts_with("ntxpay-br-demo"), "{account}");
    let since = page.text("document.querySelector('#balances tr:nth-child(2) .since').textContent").await;
    assert!(since.starts_with("changed "), "{since}");
    assert_ne!(page.text(course).await, flat, "the course goes down");
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
    page.until("document.getElementById('clock').textContent.startsWith('Asked 0 s')").await;

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
    let failure = page.text("document.getElementById('failures').innerText").await;
    let summary = text_of(&page, "summary").await;
    page.screenshot("dashboard-failing").await;
    gateway.provider(Kind::NtxpayMx).clear_faults();
    page.until("document.getElementById('failures').hidden").await;

    for said in ["ntxpay-mx-demo · MXN", "provider_error", "The provider answered with an error", "500"] {
        assert!(failure.contains(said), "{failure} has not {said}");
    }
    assert_eq!(summary, "1 of 6 balances is missing.");
    page.until(&format!("{ROWS} === 6")).await;
    page.until("document.getElementById('summary').textContent === 'All 6 balances are available.'").await;
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
        "the browser notes the refusal: {complaints:?}"
    );
}

#[tokio::test]
async fn the_page_can_be_used_with_the_keyboard_alone() {
    let gateway = Harness::usual().await;
    let page = signed_in(&gateway, DESKTOP).await;
    let focused = "document.activeElement.id || document.activeElement.textContent";
    let outline = "getComputedStyle(document.activeElement).outlineStyle";
    page.until("document.activeElement.id === 'summary'").await;

    let mut reached = Vec::new();
    page.value("document.activeElement.blur()").await;
    for _ in 0..3 {
        page.press(Key::Tab).await;
        reached.push((page.text(focused).await, page.text(outline).await));
    }
    let solid = |name: &str| (name.to_owned(), "solid".to_owned());
    assert_eq!(reached, [solid("search"), solid("by-provider"), solid("by-currency")]);
    page.value("document.getElementById('forget').focus()").await;
    page.press(Key::Enter).await;

    page.until("document.activeElement.id === 'key' && document.getElementById('report').hidden").await;
    assert_eq!(page.value(ROWS).await, 0, "with the key its balances are gone");
    assert_silent(&page);
}

#[tokio::test]
async fn every_control_has_an_accessible_name() {
    let gateway = Harness::usual().await;
    let page = signed_in(&gateway, DESKTOP).await;
    page.value("document.getElementById('sign-in').hidden = false").await;

    let tree = page.call("Accessibility.getFullAXTree", serde_json::json!({})).await;

    let nodes = tree["nodes"].as_array().unwrap();
    let role = |node: &Value| node["role"]["value"].as_str().unwrap_or_default().to_owned();
    let of_role = |wanted: &str| nodes.iter().filter(|node| role(node) == wanted).collect::<Vec<_>>();
    for (wanted, count) in [
        ("button", 10),
        ("textbox", 1),
        ("searchbox", 1),
        ("combobox", 3),
        ("link", 1),
        ("table", 1),
        ("row", 7),
        ("rowheader", 6),
    ] {
        let found = of_role(wanted);
        assert_eq!(found.len(), count, "{wanted}");
        // A row takes its name from its cells.
        let is_named = |node: &&Value| node["name"]["value"].as_str().is_some_and(|name| !name.is_empty());
        assert!(wanted == "row" || found.iter().all(is_named), "{found:?}");
    }
}

#[tokio::test]
async fn the_page_obeys_retry_after() {
    // Three for the stream that is open, six for the report, one for each refused stream or list of accounts.
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
    page.until("document.getElementById('clock').textContent.startsWith('Asked 3')").await;

    assert!(wait.as_u64().unwrap() > 50, "{wait}");
    assert_eq!(is_disabled, true);
    assert_eq!(gateway.count(refused).await, 1);
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

/// The smallest contrast of a text with its background, by WCAG 2, and the text.
const CONTRAST: &str = r"(() => {
    const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
    const rgb = (color) => {
        canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
        return [...canvas.getImageData(0, 0, 1, 1).data];
    };
    const linear = (part) => part <= 10.31 ? part / 3294.6 : ((part / 255 + 0.055) / 1.055) ** 2.4;
    const luminance = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
    const behind = (node) => {
        for (; node; node = node.parentElement) {
            const color = rgb(getComputedStyle(node).backgroundColor);
            if (color[3] === 255) return color;
        }
        return [255, 255, 255, 255];
    };
    const ratios = [...document.querySelectorAll('body *')].filter(node => node.checkVisibility() &&
        [...node.childNodes].some(child => child.nodeType === 3 && child.textContent.trim())).map(node => {
        const [a, b] = [luminance(rgb(getComputedStyle(node).color)), luminance(behind(node))];
        return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), node.textContent];
    });
    return ratios.sort((a, b) => a[0] - b[0])[0];
})()";
/// By how many pixels the page, or any element, is wider than the window.
const OVERFLOW: &str =
    "Math.max(document.documentElement.scrollWidth, ...[...document.querySelectorAll('body *')]
    .filter(node => node.checkVisibility() && !node.closest('pre, thead'))
    .map(node => node.getBoundingClientRect().right)) - innerWidth";
/// The smallest letters, in pixels.
const LETTERS: &str =
    "Math.min(...[...document.querySelectorAll('body *')].filter(node => node.checkVisibility())
    .map(node => parseFloat(getComputedStyle(node).fontSize)))";

async fn assert_readable(page: &Browser, what: &str) {
    let contrast = page.value(CONTRAST).await;
    let overflow = page.value(OVERFLOW).await.as_f64().unwrap();
    let letters = page.value(LETTERS).await.as_f64().unwrap();
    assert!(contrast[0].as_f64().unwrap() >= 4.5, "{what}: {contrast}");
    assert!(overflow <= 0.5, "{what}: {overflow} pixels too wide");
    assert!(letters >= 12.0, "{what}: {letters} pixels");
}

#[tokio::test]
async fn it_is_readable_on_a_phone_and_in_the_dark() {
    let further = "[accounts.an-account-whose-name-has-as-many-signs-as-a-name-may-have-63-x]\n\
                   provider = \"ntxpay-br\"\nclient_id = { env = \"NTXPAY_BR_CLIENT_ID\" }\n\
                   client_secret = { env = \"NTXPAY_BR_CLIENT_SECRET\" }\n";
    let further = further.to_owned() + LEVELS;
    let gateway = Harness::start(Setup { further, ..Setup::default() }).await;
    let fault = FaultKind::Status { status: 429, retry_after: Some("20".into()), body: None };
    gateway.provider(Kind::Avista).queue(Fault::on_balance(fault));
    gateway.provider(Kind::Pluggo).set_field("USD", None, "balance", "-1234567890123456.78");
    gateway.provider(Kind::NtxpayBr).set_field("BRL", None, "blockedBalance", "20000.00");

    for (width, name) in [(DESKTOP, "desktop"), (PHONE, "phone")] {
        let page = open(&gateway, width).await;
        for scheme in ["light", "dark"] {
            page.prefer(scheme).await;
            assert_readable(&page, &format!("signing in, {name}, {scheme}")).await;
            page.screenshot(&format!("dashboard-sign-in-{name}-{scheme}")).await;
        }
        enter(&page, KEY).await;
        page.until(&format!("{ROWS} === 6")).await;
        for scheme in ["light", "dark"] {
            page.prefer(scheme).await;
            assert_readable(&page, &format!("{name}, {scheme}")).await;
            page.screenshot(&format!("dashboard-{name}-{scheme}")).await;
        }
        assert_silent(&page);
    }
}

#[tokio::test]
async fn the_documentation_page_is_readable_and_loads_nothing_from_other_hosts() {
    let gateway = Harness::usual().await;
    let origin = format!("http://{}/", gateway.api);

    for (width, name) in [(DESKTOP, "desktop"), (PHONE, "phone")] {
        let page = Browser::open(&format!("{origin}docs"), width).await;
        for scheme in ["light", "dark"] {
            page.prefer(scheme).await;
            assert_readable(&page, &format!("{name}, {scheme}")).await;
            page.screenshot(&format!("docs-{name}-{scheme}")).await;
        }

        assert_silent(&page);
        let foreign: Vec<_> =
            page.requested().into_iter().filter(|address| !address.starts_with(&origin)).collect();
        assert_eq!(foreign, ["about:blank"][..foreign.len().min(1)]);
    }
}
