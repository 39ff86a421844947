//! `[hooks.NAME]`: legal settings, mistakes, and the effective text.

use super::{Folder, LEAST, parse};
use crate::http::ProofSettings;

/// The least configuration with a hook of these lines; SECRET is a file.
fn with_hook(folder: &Folder, lines: &str) -> String {
    let secret = folder.file("hook", "whsec-of-the-hook");
    let hook = format!("[hooks.h]\n{lines}\n").replace("SECRET", &format!("{{ file = {secret:?} }}"));
    let listener = LEAST.replacen("[server]", "[server]\nhooks = \"127.0.0.1:0\"", 1);
    let listener =
        if listener == LEAST { format!("[server]\nhooks = \"127.0.0.1:0\"\n{LEAST}") } else { listener };
    format!("{listener}\n{hook}")
}

#[test]
fn a_hook_is_shown_with_its_defaults_and_without_its_secrets() {
    let folder = Folder::new();
    for (lines, shown) in [
        (
            r#"hmac = { header = "X-Signature", secret = SECRET }"#,
            r#"hmac = { header = "x-signature", prefix = "", key = "text", secret = "***", digest = "sha256", encoding = "hex", signed = "{body}", tolerance = "5m" }"#,
        ),
        (
            r#"basic = { user = "ntx", password = [SECRET, SECRET] }"#,
            r#"basic = { user = "ntx", password = ["***", "***"] }"#,
        ),
        (
            r#"header = [{ name = "X-A", secret = SECRET }, { name = "X-B", secret = SECRET }]"#,
            r#"header = [{ name = "x-a", secret = "***" }, { name = "x-b", secret = "***" }]"#,
        ),
    ] {
        let text = with_hook(&folder, &format!("accounts = [\"*\"]\n{lines}"));

        let config = parse(&text).unwrap_or_else(|errors| panic!("{errors}\n{text}"));

        assert!(config.masked().contains(shown), "{}", config.masked());
        assert!(config.masked().contains("settle = \"2s\"\nanswer = 200\n"), "{}", config.masked());
        assert!(!format!("{config:?}").contains("whsec"));
    }
}

#[test]
fn a_key_is_text_hex_or_base64() {
    let folder = Folder::new();
    folder.file("hex", "00ff");
    let file = folder.0.join("hex");
    let key = |form: &str| {
        let lines = format!(
            "accounts = [\"*\"]\nhmac = {{ header = \"x\", key = \"{form}\", secret = {{ file = {file:?} }} }}"
        );
        let config = parse(&with_hook(&folder, &lines)).unwrap();
        let ProofSettings::Hmac(hmac) = &config.hooks[0].proof else { panic!("no hmac") };
        secrecy::ExposeSecret::expose_secret(&hmac.keys[0]).to_vec()
    };

    assert_eq!(key("text"), b"00ff");
    assert_eq!(key("hex"), [0, 255]);
    assert_eq!(key("base64"), [0xd3, 0x47, 0xdf]);
}

#[test]
fn each_mistake_of_a_hook_is_named() {
    let folder = Folder::new();
    let legal = "accounts = [\"*\"]\nheader = { name = \"x\", secret = SECRET }";
    let hmac = |further: &str| {
        format!("accounts = [\"*\"]\nhmac = {{ header = \"x\", secret = SECRET, {further} }}")
    };
    for (lines, expected) in [
        (
            "accounts = [\"*\"]".to_owned(),
            "hooks.h: expected exactly one of header, basic and hmac, found none of them",
        ),
        (
            format!("{legal}\nbasic = {{ user = \"u\", password = SECRET }}"),
            "hooks.h: expected exactly one of header, basic and hmac, found header and basic",
        ),
        (legal.replace("[\"*\"]", "[]"), "hooks.h.accounts: expected at least one"),
        (
            legal.replace("\"x\"", "\"x y\""),
            "hooks.h.header.name: expected the name of a header, not \"x y\"",
        ),
        (legal.replace("SECRET", "\"plain\""), "hooks.h.header.secret: expected { file = "),
        (legal.replace("SECRET", "[]"), "hooks.h.header.secret: expected at least one"),
        (format!("{legal}\nsettle = \"61s\""), "hooks.h.settle: expected at most 1m, not \"61s\""),
        (format!("{legal}\nanswer = 404"), "hooks.h.answer: expected a status from 200 to 299, not 404"),
        (format!("{legal}\nevent_id = \"\""), "hooks.h.event_id: expected the name of a header, not \"\""),
        (
            format!("{legal}\nzzz = 1"),
            "hooks.h.zzz: unknown key, expected one of accounts, header, basic, hmac, event_id, settle, answer",
        ),
        (hmac("signed = \"{nonsense}\""), "hooks.h.hmac.signed: expected a text with {body}"),
        (hmac("signed = \"{timestamp}.{body}\""), "hooks.h.hmac.timestamp: missing"),
        (
            hmac("digest = \"md5\""),
            "hooks.h.hmac.digest: expected \"sha256\", \"sha512\" or \"sha1\", not \"md5\"",
        ),
        (hmac("encoding = \"text\""), "hooks.h.hmac.encoding: expected \"hex\" or \"base64\", not \"text\""),
        (hmac("key = \"hex\""), "hooks.h.hmac.secret: expected a key in the form that `key` names"),
    ] {
        let errors = parse(&with_hook(&folder, &lines)).unwrap_err().to_string();

        assert!(errors.contains(expected), "{expected}\n{errors}");
    }
}

#[test]
fn hooks_need_a_listener() {
    let folder = Folder::new();
    let text = with_hook(&folder, "accounts = [\"*\"]\nheader = { name = \"x\", secret = SECRET }");

    let errors = parse(&text.replace("hooks = \"127.0.0.1:0\"", "")).unwrap_err().to_string();

    assert!(errors.contains("hooks: expected server.hooks"), "{errors}");
}

#[test]
fn a_time_that_is_not_signed_is_a_warning() {
    let folder = Folder::new();
    for (signed, is_unwise) in [
        ("{body}", true),
        ("{header.x-other}.{body}", true),
        ("{timestamp}.{body}", false),
        ("{header.X-Time}.{body}", false),
    ] {
        let lines = format!(
            "accounts = [\"*\"]\nhmac = {{ header = \"x\", secret = SECRET, timestamp = \"x-time\", signed = \"{signed}\" }}"
        );

        let config = parse(&with_hook(&folder, &lines)).unwrap();

        let warnings: Vec<_> = config.warnings().iter().map(ToString::to_string).collect();
        let is_named = warnings
            .iter()
            .any(|warning| warning.contains("hooks.h.hmac.timestamp: signed does not contain the timestamp"));
        assert_eq!(is_named, is_unwise, "{signed} {warnings:?}");
    }
}
