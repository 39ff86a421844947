//! No secret is ever shown.

mod certificates;
mod characters;

use std::path::Path;

use super::super::load::parse_as;
use super::super::reader::Purpose;
use super::{Folder, SHARED_KEY, certificate, parse};

const TOKEN: &str = "token = { env = \"TOKEN\" }";

/// 32 other bytes.
const ANOTHER_KEY: &str = "YW5vdGhlci1zaGFyZWQta2V5LW9mLTMyLWJ5dGVzIDo=";

/// A configuration with every kind of secret, and the secrets.
fn full(folder: &Folder) -> (String, Vec<String>) {
    let (certificate, key) = certificate();
    let (certificate_file, key_file) = (folder.file("tls.crt", &certificate), folder.file("tls.key", &key));
    let text = format!(
        r#"
        [providers.br]
        kind = "ntxpay-br"
        client_identity = {{ certificate = {{ file = {certificate_file:?} }}, private_key = {{ file = {key_file:?} }} }}
        [providers.pluggo]
        kind = "pluggo"
        base_url = "https://pluggo.example"
        [accounts.static]
        provider = "br"
        token = {{ file = {:?} }}
        [accounts.client]
        provider = "br"
        client_id = {{ file = {:?} }}
        client_secret = {{ file = {:?} }}
        certificate = {{ file = {certificate_file:?} }}
        [accounts.pluggo]
        provider = "pluggo"
        api_key = {{ env = "API_KEY" }}
        session_token = {{ env = "SESSION" }}
        [shared]
        url = {{ env = "STORE" }}
        key = [{{ file = {:?} }}, {{ env = "SHARED_KEY" }}]
        [callers]
        "#,
        folder.file("1", "st4t1c-t0k3n"),
        folder.file("2", "cl13nt-1d"),
        folder.file("3", "cl13nt-s3cr3t"),
        folder.file("6", ANOTHER_KEY),
    );
    let mut secrets: Vec<String> =
        ["st4t1c-t0k3n", "cl13nt-1d", "cl13nt-s3cr3t", "4p1-k3y", "s3ss10n", "g4tew4y", "st0r3-p4ss"]
            .into_iter()
            .chain([SHARED_KEY, ANOTHER_KEY])
            .map(str::to_owned)
            .collect();
    secrets.extend(certificate.lines().chain(key.lines()).filter(|line| line.len() > 60).map(str::to_owned));
    (text, secrets)
}

#[track_caller]
fn assert_hidden(shown: &str, secrets: &[String]) {
    for secret in secrets {
        assert!(!shown.contains(secret.as_str()), "{secret} in {shown}");
    }
}

#[test]
fn a_configuration_shows_no_secret() {
    let folder = Folder::new();
    let (text, secrets) = full(&folder);

    let config = parse(&text).unwrap();

    let warnings: Vec<String> = config.warnings().iter().map(ToString::to_string).collect();
    assert!(secrets.len() > 5);
    assert_hidden(&format!("{config:?} {config:#?}"), &secrets);
    assert_hidden(&config.masked(), &secrets);
    assert_hidden(&warnings.join("\n"), &secrets);
    for key in ["token", "client_id", "client_secret", "certificate", "api_key", "session_token", "url"] {
        assert!(config.masked().contains(&format!("\n{key} = \"***\"\n")), "{key} in {}", config.masked());
    }
}

#[test]
fn mistakes_show_no_secret() {
    let folder = Folder::new();
    let (text, secrets) = full(&folder);
    let spoilt = folder.file("4", "st4t1c-t0k3n \u{e9}\n\n");
    let binary = folder.file("5", b"cl13nt-s3cr3t\xff");
    for (from, to) in [
        ("base_url = \"https://".to_owned(), "base_url = \"https://u:st4t1c-t0k3n@".to_owned()),
        ("[callers]".to_owned(), "[callers.c]\nkeys_sha256 = [\"st4t1c-t0k3n\"]".to_owned()),
        ("[callers]".to_owned(), "[callers.c]\naccounts = st4t1c-t0k3n".to_owned()),
        ("{ env = \"API_KEY\" }".to_owned(), "\"4p1-k3y\"".to_owned()),
        ("{ env = \"STORE\" }".to_owned(), "\"redis://g4tew4y:st0r3-p4ss@store\"".to_owned()),
        ("{ env = \"STORE\" }".to_owned(), "{ env = \"SHARED_KEY\" }".to_owned()),
        ("{ env = \"SHARED_KEY\" }".to_owned(), "{ env = \"STORE\" }".to_owned()),
        ("{ env = \"SHARED_KEY\" }".to_owned(), format!("{ANOTHER_KEY:?}")),
        ("{ env = \"API_KEY\" }".to_owned(), "{ env = \"4p1-k3y\" }".to_owned()),
        (format!("{:?}", folder.0.join("1")), format!("{spoilt:?}")),
        (format!("{:?}", folder.0.join("3")), format!("{binary:?}")),
        (format!("{:?}", folder.0.join("tls.crt")), format!("{:?}", folder.0.join("1"))),
    ] {
        assert!(text.contains(&from), "{from}");

        let errors = parse(&text.replace(&from, &to)).unwrap_err();

        assert_hidden(&format!("{errors} {errors:?}"), &secrets);
    }
}

/// For CI, which has neither the files nor the variables.
#[test]
fn a_configuration_is_checked_without_its_secrets() {
    let folder = Folder::new();
    let (text, _) = full(&folder);
    let path = folder.0.display();
    let text = text.replace(
        "[providers.br]",
        &format!(
            "[server]\ntls = {{ certificate = \"{path}/x\", private_key = \"{path}/y\" }}\n\
             [auth.kubernetes]\nissuer = \"i\"\naudience = \"a\"\njwks = {{ file = \"{path}/z\" }}\n\
             [providers.br]\nextra_ca = \"{path}/ca\""
        ),
    );
    for name in ["1", "2", "3", "6", "tls.crt", "tls.key"] {
        std::fs::remove_file(folder.0.join(name)).unwrap();
    }
    let check = |text: &str| parse_as(text, Path::new("g.toml"), &|_| None, Purpose::WithoutSecrets);

    let config = check(&text).unwrap();
    let warnings: Vec<String> = config.warnings().iter().map(ToString::to_string).collect();
    let (errors, _) = check(&text.replace("provider = \"br\"", "provider = \"zz\"")).unwrap_err();

    assert!(config.masked().contains("client_secret = \"***\""), "{}", config.masked());
    assert!(!warnings.iter().any(|warning| warning.contains("same credential")), "{warnings:?}");
    let expected = "expected the name of a provider, one of br, pluggo, not \"zz\"";
    assert!(errors.to_string().contains(expected), "{errors}");
}
