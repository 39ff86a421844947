//! Files that the configuration names.

use super::*;

#[test]
fn pem_is_checked_when_it_is_read() {
    let folder = Folder::new();
    let (certificate, key) = certificate();
    let certificate = folder.file("tls.crt", certificate);
    let key = folder.file("tls.key", key);
    let secret = folder.file("secret", "-----BEGIN s3cr3t");
    let identity = |certificate: &str, key: &str| {
        let text = format!(
            "client_identity = {{ certificate = {{ file = {certificate:?} }}, private_key = {{ file = {key:?} }} }}"
        );
        with("[providers.p]", &text)
    };
    let path = "providers.p.client_identity";

    assert!(parse(&identity(&certificate, &key)).is_ok());
    assert_mistakes(
        &identity(&key, &certificate),
        &[
            &format!("{path}.certificate: expected a certificate in PEM in the file {key}"),
            &format!("{path}.private_key: expected a private key in PEM in the file {certificate}"),
        ],
    );
    assert_mistakes(
        &identity(&secret, &secret),
        &[
            &format!(
                "{path}.certificate: expected certificates in PEM, but number 1 in the file {secret} cannot be read: it is a single line; PEM has line breaks"
            ),
            &format!(
                "{path}.private_key: expected a private key in PEM in the file {secret}: it is a single line; PEM has line breaks"
            ),
        ],
    );
    let broken = folder.file("broken", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    assert_mistakes(
        &with("[providers.p]", &format!("extra_ca = {broken:?}")),
        &[&format!(
            "providers.p.extra_ca: expected certificates in PEM, but number 1 in the file {broken} cannot be read"
        )],
    );
    let other = folder.file("other.key", self::certificate().1);
    let reason = "not usable for TLS: keys may not be consistent: KeyMismatch";
    assert_mistakes(
        &identity(&certificate, &other),
        &[&format!("{path}: expected a certificate and its own private key, but: {reason}")],
    );
    assert_mistakes(
        &with("[providers.p]", &format!("extra_ca = {key:?}")),
        &[&format!("providers.p.extra_ca: expected a certificate in PEM in the file {key}")],
    );
}

#[test]
fn the_listeners_certificate_key_and_client_ca_are_checked() {
    let folder = Folder::new();
    let (certificate, key) = certificate();
    let (_, other_key) = super::certificate();
    let certificate = folder.file("tls.crt", certificate);
    let (key, other_key) = (folder.file("tls.key", key), folder.file("other.key", other_key));
    let empty = folder.file("empty", "");
    let tls = |certificate: &str, key: &str, further: &str| {
        with(
            "[server]",
            &format!("tls = {{ certificate = {certificate:?}, private_key = {key:?}{further} }}"),
        )
    };

    assert!(parse(&tls(&certificate, &key, &format!(", client_ca = {certificate:?}"))).is_ok());
    for (text, mistakes) in [
        (
            tls(&certificate, &other_key, ""),
            vec![format!(
                "server.tls.private_key: expected the certificate's private key in PEM in the file {other_key}, \
                 but: keys may not be consistent: KeyMismatch"
            )],
        ),
        (
            tls(&certificate, &certificate, ""),
            vec![format!(
                "server.tls.private_key: expected the certificate's private key in PEM in the file {certificate}, \
                 but: not readable as PEM"
            )],
        ),
        (
            tls(&key, "/nowhere/tls.key", ", ca = 1"),
            vec![
                "server.tls.certificate: expected a certificate in PEM in the file {KEY}".replace("{KEY}", &key),
                "server.tls.private_key: expected a readable file, but /nowhere/tls.key: No such file or directory (os error 2)".to_owned(),
                "server.tls.ca: unknown key, expected one of certificate, private_key, client_ca".to_owned(),
            ],
        ),
        (
            tls(&certificate, &key, &format!(", client_ca = {empty:?}")),
            vec![format!("server.tls.client_ca: expected contents, but the file {empty} is empty")],
        ),
    ] {
        let mistakes: Vec<&str> = mistakes.iter().map(String::as_str).collect();
        assert_mistakes(&text, &mistakes);
    }
    assert_mistakes(
        &with("[server]", "tls = true"),
        &[
            "server.tls: expected { certificate = \"/path/tls.crt\", private_key = \"/path/tls.key\" }, optionally with client_ca, not a boolean",
        ],
    );
}

#[test]
fn a_missing_file_is_a_mistake() {
    let error = crate::config::load(Path::new("/nowhere/g.toml")).unwrap_err();

    let expected = "/nowhere/g.toml: expected a readable file: No such file or directory (os error 2)";
    assert_eq!(error.to_string(), expected);
}
