//! The dashboard with a thousand balances: how long each action takes until it is drawn.

use balance_gateway::sandbox::Kind;

use super::{DESKTOP, KEY, ROWS, column, enter, open, text_of};
use crate::browser::Browser;
use crate::harness::{Harness, Setup, is_long};

/// The promised time of each action, in milliseconds. It applies to the median of a long run on an idle machine.
const LONGEST: f64 = 200.0;
/// While other tests keep the machine busy, the fastest time must be below this.
const LONGEST_UNDER_LOAD: f64 = 500.0;
/// How often each action is repeated.
const TIMES: usize = 5;

/// A gateway with this many balances, in twenty currencies beside the usual ones.
async fn gateway(count: usize) -> Harness {
    let name = |n: usize| (format!("X{:02}", n % 20), format!("T{:02}", n / 20));
    let balances = |n| {
        let (currency, r#type) = name(n);
        format!("{{ currency = \"{currency}\", type = \"{type}\" }}")
    };
    let balances: Vec<String> = (0..count - 6).map(balances).collect();
    let further = format!(
        "[accounts.many]\nprovider = \"pluggo\"\napi_key = {{ env = \"PLUGGO_API_KEY\" }}\n\
         session_token = {{ env = \"PLUGGO_SESSION_TOKEN\" }}\nbalances = [{}]\n",
        balances.join(", ")
    );
    let provider = "budget = { requests = 100000, per = \"1m\" }\n".to_owned();
    let gateway = Harness::start(Setup { provider, further, ..Setup::default() }).await;
    for n in 0..count - 6 {
        let ((currency, r#type), amount) = (name(n), format!("{}.5", n * 7 % count));
        gateway.provider(Kind::Pluggo).set_field(&currency, Some(&r#type), "balance", &amount);
    }
    gateway
}

/// The milliseconds from an action until the page is laid out and drawn, shortest first. `before` runs before each.
async fn timed(page: &Browser, before: &str, action: &str) -> Vec<f64> {
    let script = format!(
        "(async () => {{
             const drawn = () => new Promise((drawn) => requestAnimationFrame(() => setTimeout(drawn)));
             const choose = (id, value) => {{
                 const field = document.getElementById(id);
                 field.value = value;
                 field.dispatchEvent(new Event('input', {{ bubbles: true }}));
             }};
             const sort = (column) => document.querySelector(`[data-sort=${{column}}]`).click();
             const took = [];
             for (let time = 0; time < {TIMES}; time += 1) {{
                 {before};
                 await drawn();
                 const began = performance.now();
                 {action};
                 document.body.getBoundingClientRect();
                 await drawn();
                 took.push(performance.now() - began);
             }}
             return took.sort((a, b) => a - b);
         }})()"
    );
    page.value(&script).await.as_array().unwrap().iter().map(|took| took.as_f64().unwrap()).collect()
}

#[tokio::test]
async fn a_thousand_balances_are_shown_searched_filtered_and_sorted_quickly() {
    let gateway = gateway(1000).await;
    gateway.get("/v1/balances").await;
    let page = open(&gateway, DESKTOP).await;
    enter(&page, KEY).await;
    page.until("document.getElementById('summary').textContent === 'All 1000 balances are available.'").await;
    page.screenshot("dashboard-thousand").await;

    let shown = "document.getElementById('count').textContent";
    let mut figures = Vec::new();
    for (name, before, action, left) in [
        ("show all", "choose('search', 'nothing')", "choose('search', '')", ""),
        ("search", "choose('search', '')", "choose('search', 'many t07')", "20 of 1000 shown"),
        ("filter", "choose('search', '')", "choose('by-currency', 'X03')", "50 of 1000 shown"),
        ("sort", "choose('by-currency', ''); sort('account')", "sort('available')", ""),
        ("reverse", "sort('account'); sort('available')", "sort('available')", ""),
    ] {
        let took = timed(&page, before, action).await;
        assert_eq!(page.text(shown).await, left, "{name}");
        figures.push((name, took));
    }

    println!("milliseconds of each action, shortest first: {figures:.0?}");
    let (place, bound) = if is_long() { (TIMES / 2, LONGEST) } else { (0, LONGEST_UNDER_LOAD) };
    for (name, took) in figures {
        assert!(took[place] < bound, "{name}: {took:?}");
    }
    let amounts = column(&page, "available .amount").await;
    let numbers: Vec<f64> = amounts.iter().map(|text| text.parse().unwrap()).collect();
    assert!(numbers.len() >= 60 && numbers.is_sorted_by(|a, b| a >= b), "{numbers:?}");
}

#[tokio::test]
async fn the_table_grows_as_the_person_scrolls_and_says_how_many_rows_are_not_listed() {
    let gateway = gateway(150).await;
    gateway.get("/v1/balances").await;
    let page = open(&gateway, DESKTOP).await;
    enter(&page, KEY).await;
    page.until("document.getElementById('summary').textContent === 'All 150 balances are available.'").await;

    let at_first = page.value(ROWS).await;
    let told = text_of(&page, "more").await;
    page.value("document.getElementById('more').scrollIntoView()").await;
    page.until(&format!("{ROWS} === 120")).await;
    let rows = page.value("document.querySelector('table').getAttribute('aria-rowcount')").await;
    let last =
        page.value("document.querySelector('#balances tr:last-child').getAttribute('aria-rowindex')").await;
    // The heads of the columns are at the top of the table.
    page.value("scrollTo(0, 0); document.querySelector('[data-sort=available]').click()").await;

    assert_eq!(at_first, 60);
    assert_eq!(told, "Show more: 90 balances are not listed yet");
    assert_eq!((rows, last), ("151".into(), "121".into()));
    page.until(&format!("{ROWS} === 60")).await;
}
