//! Reloads with unreadable secrets and certificates: when the old ones are kept, and when they must not be.

use std::path::Path;

use super::super::Config;
use super::super::load::parse_as;
use super::super::reader::Purpose;
use super::{Folder, SHARED_KEY, certificate};
use crate::upstream::Credential;

const KEYS: &str = "keys_sha256 = [\"9F86D081884C7D659A2FEAA0C55AD015A3BF4F1B2B0B822CD15D6C15B0F00A08\"]";

/// Two providers, and an account with client credentials at the first.
fn text(folder: &Folder) -> String {
    let path = folder.0.display();
    format!(
        r#"
        [providers.one]
        kind = "ntxpay-br"
        base_url = "https://one.example"
        [providers.two]
        kind = "ntxpay-br"
        base_url = "https://two.example"
        [accounts.a]
        provider = "one"
        client_id = {{ file = "{path}/id" }}
        client_secret = {{ file = "{path}/secret" }}
        [callers.c]
        {KEYS}
        accounts = ["*"]
        "#
    )
}

fn reload(text: &str, before: Option<&Config>) -> Result<Config, String> {
    let purpose = before.map_or(Purpose::Start, |before| Purpose::Reload(&before.sources));
    parse_as(text, Path::new("g.toml"), &|_| None, purpose).map_err(|(errors, _)| errors.to_string())
}

fn unread(config: &Config) -> Vec<String> {
    config.unread().iter().map(|unread| format!("{}: {}", unread.key, unread.problem)).collect()
}

fn has_client(config: &Config) -> bool {
    config.accounts[0].settings.is_enabled && matches!(config.accounts[0].credential, Credential::Client(_))
}

/// The account moves while its new secret is not readable yet.
#[test]
fn an_old_secret_is_not_sent_to_another_provider_address_or_client() {
    let folder = Folder::new();
    folder.file("id", "cl13nt-1d");
    folder.file("secret", "cl13nt-s3cr3t");
    folder.file("other_id", "0th3r-1d");
    let text = text(&folder);
    let before = reload(&text, None).unwrap();
    let without_secret = text.replace("/secret\"", "/not-there-yet\"");
    let kept = reload(&without_secret, Some(&before)).unwrap();
    assert!(has_client(&kept), "the same provider, address and client");

    for (what, from, to) in [
        ("provider", "provider = \"one\"", "provider = \"two\""),
        ("address", "https://one.example", "https://elsewhere.example"),
        (
            "kind",
            "kind = \"ntxpay-br\"\n        base_url = \"https://one",
            "kind = \"avista\"\n        base_url = \"https://one",
        ),
        (
            "token path",
            "base_url = \"https://one.example\"",
            "base_url = \"https://one.example\"\n        token_path = \"/t\"",
        ),
        ("client", "/id\"", "/other_id\""),
    ] {
        assert!(without_secret.contains(from), "{what}");
        let moved = without_secret.replacen(from, to, 1);

        let config = reload(&moved, Some(&before)).unwrap();

        assert!(!config.accounts[0].settings.is_enabled, "{what}: switched off");
        assert_eq!(config.accounts[0].credential, Credential::none(), "{what}");
        assert!(
            unread(&config)[0].ends_with("the account is switched off until it can be read"),
            "{what}: {:?}",
            unread(&config)
        );
        let again = reload(&moved, Some(&config)).unwrap();
        assert!(!again.accounts[0].settings.is_enabled, "{what}: also after the next reload");
        let arrived = reload(&moved.replace("/not-there-yet\"", "/secret\""), Some(&again)).unwrap();
        assert!(has_client(&arrived), "{what}: its secret is readable now");
    }
}

/// The same for the token that fetches an issuer's keys.
#[test]
fn an_old_token_is_not_sent_to_another_issuer() {
    let folder = Folder::new();
    for name in ["id", "secret", "jwks_token"] {
        folder.file(name, "s3cr3t");
    }
    let path = folder.0.display();
    let issuer = format!(
        "[auth.kubernetes]\nissuer = \"i\"\naudience = \"a\"\n\
         jwks = {{ url = \"https://one.example/jwks\", token = {{ file = \"{path}/jwks_token\" }} }}\n"
    );
    let text = [text(&folder), issuer].concat();
    let before = reload(&text, None).unwrap();
    let gone = text.replace("/jwks_token", "/not-there");

    let kept = reload(&gone, Some(&before)).unwrap();
    assert!(unread(&kept)[0].ends_with("the old contents stay in use"), "{:?}", unread(&kept));
    let moved = reload(&gone.replace("https://one.example/jwks", "https://two.example/jwks"), Some(&before));

    assert!(moved.unwrap_err().contains("auth.kubernetes.jwks.token: expected a readable file"));
}

/// A leaked caller key can be revoked even if other files are malformed.
#[test]
fn a_malformed_source_keeps_its_old_contents_and_blocks_nothing() {
    let folder = Folder::new();
    let (pem, key) = certificate();
    let path = folder.0.display().to_string();
    let good = [
        ("id", "cl13nt-1d"),
        ("secret", "cl13nt-s3cr3t"),
        ("certificate", &*pem),
        ("identity", &*pem),
        ("identity_key", &*key),
        ("ca", &*pem),
        ("jwks", super::JWKS),
        ("url", "redis://:st0r3-p4ss@store"),
        ("key", SHARED_KEY),
        ("tls", &*pem),
        ("tls_key", &*key),
    ];
    for (name, contents) in good {
        folder.file(name, contents);
    }
    let text = text(&folder)
        .replace("[callers.c]", &format!("certificate = {{ file = \"{path}/certificate\" }}\n[callers.c]"))
        .replace(
            "[providers.two]",
            &format!(
                "extra_ca = \"{path}/ca\"\nclient_identity = {{ certificate = {{ file = \"{path}/identity\" }}, \
                 private_key = {{ file = \"{path}/identity_key\" }} }}\n[providers.two]"
            ),
        );
    let text = format!(
        "{text}\n[server]\ntls = {{ certificate = \"{path}/tls\", private_key = \"{path}/tls_key\" }}\n\
         [shared]\nurl = {{ file = \"{path}/url\" }}\nkey = {{ file = \"{path}/key\" }}\n\
         [auth.kubernetes]\nissuer = \"i\"\naudience = \"a\"\njwks = {{ file = \"{path}/jwks\" }}\n"
    );
    let before = reload(&text, None).unwrap();
    let revoked = text.replace(KEYS, &KEYS.replace("9F86", "AAAA"));

    for (name, contents) in good {
        let cut = format!("\u{feff}{}", &contents[..contents.len() / 2]);
        folder.file(name, cut);
        let config = reload(&revoked, Some(&before)).unwrap_or_else(|errors| panic!("{name}: {errors}"));
        folder.file(name, contents);

        assert!(
            unread(&config).iter().all(|line| line.ends_with("the old contents stay in use")),
            "{name}: {:?}",
            unread(&config)
        );
        assert_eq!(unread(&config).len(), 1, "{name}: {:?}", unread(&config));
        assert!(has_client(&config), "{name}");
        assert!(
            format!("{:?}", config.callers[0]) != format!("{:?}", before.callers[0]),
            "{name}: the leaked key is revoked"
        );
    }
}
