//! Effective values with a shared store: its own settings, and the shares of each replica.

use std::time::Duration;

use secrecy::ExposeSecret;

use super::super::{Folder, LEAST, parse, with};

#[test]
fn with_a_shared_store_shares_apply_only_while_it_is_unavailable() {
    let shared = "[shared]\nurl = { env = \"STORE\" }\nkey = { env = \"SHARED_KEY\" }";
    let text = with("[server]", "replicas = 7").replace("[log]", shared);

    let config = parse(&text).unwrap();

    let shared = config.shared.as_ref().unwrap();
    assert_eq!(shared.replicas.get(), 7);
    assert_eq!((shared.prefix.as_str(), shared.timeout), ("balance-gateway", Duration::from_millis(30)));
    assert_eq!((shared.keys.len(), shared.ca.is_none()), (1, true));
    assert_eq!(shared.url.to_string(), "rediss://store:6380/2");
    assert_eq!((config.providers[0].settings.budget.requests, config.callers[0].limit.burst), (300, 100));
    let shown = "\n[shared]\nurl = \"***\"\n# ca: not set\nkey = \"***\"\nprefix = \"balance-gateway\"\n\
                 timeout = \"30ms\"\n";
    assert!(config.masked().contains(shown), "{}", config.masked());
    for timeout in ["1ms", "1s"] {
        assert!(parse(&format!("{text}\ntimeout = {timeout:?}")).is_ok(), "{timeout}");
    }
    assert!(parse(LEAST).unwrap().shared.is_none());
    assert!(!parse(LEAST).unwrap().masked().contains("shared"));
}

#[test]
fn a_store_url_without_a_password_may_be_text_and_keys_may_use_either_alphabet() {
    let folder = Folder::new();
    let (standard, url_safe) = (format!("{}/+8=", "A".repeat(40)), format!("{}_-8", "A".repeat(40)));
    for (file, key) in [("1", standard), ("2", url_safe)] {
        let file = folder.file(file, key);
        std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let keys = format!("[{{ file = {file:?} }}, {{ env = \"SHARED_KEY\" }}]");
        let shared = format!("[shared]\nurl = \"valkey-sentinel://a,b/main\"\nkey = {keys}");

        let config = parse(&with("[server]", "replicas = 2").replace("[log]", &shared)).unwrap();

        let keys = &config.shared.as_ref().unwrap().keys;
        assert_eq!(keys[0].expose_secret()[30..], [255, 239]);
        assert_eq!((keys.len(), &keys[1].expose_secret()[..6]), (2, &b"shared"[..]));
        let shown = "url = \"valkey-sentinel://a,b/main\"\n# ca: not set\nkey = [\"***\", \"***\"]\n";
        assert!(config.masked().contains(shown), "{}", config.masked());
    }
}
