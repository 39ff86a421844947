//! The page for people: keyboard, names of controls, contrast, a phone, the dark.

use super::*;

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
    assert_eq!(page.value(ROWS).await, 0, "without the key, no balance is shown");
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
/// How many pixels the page, or its widest element, exceeds the width of the window.
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
    let fault = FaultKind::Status { status: 429, retry_after: Some("600".into()), body: None };
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
