//! No secret is ever shown, and none contains invisible characters.

use std::path::Path;

use secrecy::ExposeSecret;

use super::super::load::parse_as;
use super::super::reader::Purpose;
use super::{Folder, SHARED_KEY, certificate, parse, with};
use crate::upstream::Credential;

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

const TOKEN: &str = "token = { env = \"TOKEN\" }";

#[test]
fn a_secret_with_an_invisible_character_is_refused_with_its_name_and_place() {
    let folder = Folder::new();
    for (contents, found) in [
        ("\u{feff}t0k3n", "U+FEFF (a byte order mark) as character 1"),
        ("t0k3n\u{200b}", "U+200B (a zero-width space) as character 6"),
        ("t0\u{a0}k3n", "U+00A0 (a no-break space) as character 3"),
        ("t0 k3n", "U+0020 (a space) as character 3"),
        ("t0k3n\0", "U+0000 (NUL) as character 6"),
        ("t0k3n\n\n", "U+000A (a line feed) as character 6"),
        ("t0k3n\u{7f}", "U+007F (DEL) as character 6"),
        ("t0k3n\u{e9}", "U+00E9 (not ASCII) as character 6"),
    ] {
        let file = folder.file("token", contents);

        let errors = parse(&with(TOKEN, &format!("token = {{ file = {file:?} }}"))).unwrap_err().to_string();

        assert_eq!(
            errors,
            format!("g.toml: accounts.a.token: expected visible ASCII, not {found} of the file {file}")
        );
    }
    for (contents, mistake) in [
        ("Bearer abc", "expected the token alone, without `Bearer ` before it, in"),
        ("bearer abc", "expected the token alone, without `Bearer ` before it, in"),
    ] {
        let file = folder.file("token", contents);
        let errors = parse(&with(TOKEN, &format!("token = {{ file = {file:?} }}"))).unwrap_err().to_string();
        assert_eq!(errors, format!("g.toml: accounts.a.token: {mistake} the file {file}"));
    }
    let file = folder.file("token", b"t0k\xff3n");
    let errors = parse(&with(TOKEN, &format!("token = {{ file = {file:?} }}"))).unwrap_err().to_string();
    assert!(errors.ends_with(&format!("expected UTF-8, but byte 4 of the file {file} is not")), "{errors}");
}

/// Every kind of sent secret, not only the fixed token.
#[test]
fn client_ids_secrets_and_keys_are_visible_ascii_too() {
    let folder = Folder::new();
    let (good, bad) = (folder.file("good", "g00d"), folder.file("bad", "b4d\u{200b}"));
    for key in ["client_id", "client_secret"] {
        let other = if key == "client_id" { "client_secret" } else { "client_id" };
        let text = format!("{key} = {{ file = {bad:?} }}\n{other} = {{ file = {good:?} }}");

        let errors = parse(&with(TOKEN, &text)).unwrap_err().to_string();

        assert!(
            errors.starts_with(&format!("g.toml: accounts.a.{key}: expected visible ASCII, not U+200B")),
            "{errors}"
        );
    }
}

fn sent_certificate(file: &str) -> Result<String, String> {
    let text = format!(
        "client_id = {{ env = \"TOKEN\" }}\nclient_secret = {{ env = \"TOKEN\" }}\ncertificate = {{ file = {file:?} }}"
    );
    let config = parse(&with(TOKEN, &text)).map_err(|errors| errors.to_string())?;
    let Credential::Client(client) = &config.accounts[0].credential else { unreachable!() };
    Ok(client.certificate.as_ref().unwrap().expose_secret().to_owned())
}

/// `openssl pkcs12 -nodes` writes the key first, between bag attributes.
#[test]
fn a_certificate_file_with_a_private_key_is_refused() {
    let folder = Folder::new();
    let (certificate, key) = certificate();
    let attributes = "Bag Attributes\n    localKeyID: 01\nKey Attributes: <No Attributes>\n";
    for (name, combined) in [
        ("key first", format!("{attributes}{key}{attributes}{certificate}")),
        ("key last", format!("{certificate}{key}")),
        ("of another form", format!("{certificate}{}", key.replace("PRIVATE KEY", "RSA PRIVATE KEY"))),
        ("encrypted", format!("{certificate}{}", key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY"))),
        ("without an end", format!("{certificate}{}", key.split("-----END").next().unwrap())),
    ] {
        let file = folder.file("client.pem", &combined);

        let mistake = sent_certificate(&file).unwrap_err();

        let expected = format!(
            "g.toml: accounts.a.certificate: expected certificates alone, but the file {file} holds a private key, \
             and its contents are sent"
        );
        assert_eq!(mistake, expected, "{name}");
    }
}

/// Only the CERTIFICATE blocks are sent.
#[test]
fn only_the_certificates_of_a_certificate_file_are_sent() {
    let folder = Folder::new();
    let [(first, _), (second, _)] = [certificate(), certificate()];
    let [first, second] = [first, second].map(|pem| pem.replace("\r\n", "\n").trim().to_owned());
    let dump = "Certificate:\n    Data:\n        Version: 3 (0x2)\n";
    let file = folder.file("client.pem", format!("{dump}{first}\nsubject=CN = ca\n\n{second}\n"));

    assert_eq!(sent_certificate(&file), Ok(format!("{first}\n{second}")));

    let file = folder.file(
        "client.pem",
        format!("{first}\n-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
    );
    assert!(sent_certificate(&file).unwrap_err().contains("number 2"), "each must parse");
}

#[test]
fn pem_on_one_line_is_refused_with_a_hint() {
    let text = "client_id = { env = \"TOKEN\" }\nclient_secret = { env = \"TOKEN\" }\ncertificate = { env = \"ONE_LINE_PEM\" }";

    let errors = parse(&with(TOKEN, text)).unwrap_err().to_string();

    assert!(errors.contains("its line breaks are written as \\n; they must be real line breaks"), "{errors}");
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
