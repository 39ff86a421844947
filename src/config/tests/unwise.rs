//! Legal but unwise settings.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::{Folder, LEAST, parse, with};

#[track_caller]
fn assert_warnings(text: &str, expected: &[&str]) {
    let config = parse(text).unwrap();

    let warnings: Vec<String> = config.warnings().iter().map(ToString::to_string).collect();
    assert_eq!(warnings, expected, "{text}");
}

#[test]
fn each_unwise_setting_is_named() {
    let replicas =
        "below server.replicas: each replica gets at least 1, so all together allow more than configured";
    for (place, text, expected) in [
        (
            "[providers.p]",
            "fresh_for = \"31s\"",
            "providers.p.fresh_for: more than half of max_age, which leaves a slow provider little time",
        ),
        ("[freshness]", "fresh_for = \"4s\"\nmax_age = \"8s\"", ""),
        (
            "[freshness]",
            "fresh_for = \"2s\"\nmax_age = \"4s\"",
            "providers.p.deadline: not below max_age: the balance of a slow read could no longer be served",
        ),
        ("accounts = [\"*\"]", "accounts = [\"b*\"]", "accounts.a: no caller may see it"),
        (
            "[callers.c]",
            "forced = { requests = 301, per = \"1m\" }",
            "callers.c.forced: above the budget of accounts.a, which this caller may read",
        ),
        ("[callers.c]", "forced = { requests = 300, per = \"1m\" }", ""),
        (
            "[callers.c]",
            "forced = { requests = 11, per = \"2s\" }",
            "callers.c.forced: above the budget of accounts.a, which this caller may read",
        ),
        ("[server]", "replicas = 301", &format!("callers.c.limit: {replicas}")),
        ("[server]", "replicas = 100", ""),
    ] {
        let text = with(place, text);
        let text = if expected.contains("replicas") {
            text.replace("[providers.p]", "[providers.p]\nbudget = { requests = 301, per = \"1m\" }")
        } else {
            text
        };
        let expected: Vec<&str> = Some(expected).filter(|line| !line.is_empty()).into_iter().collect();

        assert_warnings(&text, &expected);
    }
    assert_warnings(
        &with("[server]", "replicas = 301"),
        &[&format!("providers.p.budget: {replicas}"), &format!("callers.c.limit: {replicas}")],
    );
}

#[test]
fn a_share_below_one_is_a_warning_also_with_a_shared_store() {
    let shared = "[shared]\nurl = \"redis://store\"\nkey = { env = \"SHARED_KEY\" }";
    let few = "below server.replicas: while the store is unavailable, each replica gets at least 1, so all together allow more than configured";
    let alone =
        "shared: server.replicas is 1: while the store is unavailable, each replica uses the whole budget";
    for (server, expected) in [
        ("", vec![alone.to_owned()]),
        ("replicas = 100", vec![]),
        ("replicas = 301", vec![format!("providers.p.budget: {few}"), format!("callers.c.limit: {few}")]),
    ] {
        let expected: Vec<&str> = expected.iter().map(String::as_str).collect();

        assert_warnings(&with("[server]", server).replace("[log]", shared), &expected);
    }
}

#[test]
fn two_accounts_with_one_credential_are_named() {
    let twin = "[accounts.b]\nprovider = \"p\"\ntoken = { env = \"TOKEN\" }\n[accounts.d]\nprovider = \"p\"\ntoken = { env = \"API_KEY\" }";

    assert_warnings(
        &LEAST.replace("[log]", twin),
        &["accounts.b: has the same credential as accounts.a; each counts its own budget"],
    );
}

#[test]
fn a_secret_readable_by_others_is_named() {
    let folder = Folder::new();
    let file = folder.file("token", "t0k3n");
    for (mode, is_open) in [(0o600, false), (0o640, false), (0o644, true)] {
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        let warning = format!("accounts.a.token: the file {file} can be read by every user of this machine");
        let expected: Vec<&str> = Some(&*warning).filter(|_| is_open).into_iter().collect();

        assert_warnings(&LEAST.replace("env = \"TOKEN\"", &format!("file = {file:?}")), &expected);
    }
}

#[test]
fn certificates_that_expire_soon_are_named() {
    let folder = Folder::new();
    let mut params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(2026, 3, 31);
    let pem = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().pem();
    let (certificate, ca) = (folder.file("client.pem", &pem), folder.file("ca.pem", &pem));
    let text = with(
        "token = { env = \"TOKEN\" }",
        &format!(
            "client_id = {{ env = \"TOKEN\" }}\nclient_secret = {{ env = \"TOKEN\" }}\n\
             certificate = {{ file = {certificate:?} }}"
        ),
    );
    let text = text.replace("[providers.p]", &format!("[providers.p]\nextra_ca = {ca:?}"));
    let config = parse(&text).unwrap();
    let expiring = |now: &str| {
        let remarks = config.expiring(now.parse().unwrap());
        remarks.iter().map(ToString::to_string).collect::<Vec<_>>()
    };

    assert!(expiring("2026-02-28T23:59:59Z").is_empty());
    let at = "2026-03-31T00:00:00Z";
    let soon = ["accounts.a.certificate", "providers.p.extra_ca"];
    assert_eq!(
        expiring("2026-03-01T00:00:00Z"),
        soon.map(|key| format!("{key}: the certificate expires at {at}"))
    );
    assert_eq!(
        expiring("2026-03-31T00:00:01Z"),
        soon.map(|key| format!("{key}: the certificate expired at {at}"))
    );
    let own: Vec<_> = config.own_expiries().map(|(key, at)| (key.to_owned(), at.to_string())).collect();
    assert_eq!(
        own,
        [("accounts.a.certificate".to_owned(), at.to_owned())],
        "trusted certificates are not ours"
    );
}
