//! A certificate file whose contents are sent: certificates alone.

use secrecy::ExposeSecret;

use super::super::{Folder, certificate, parse, with};
use super::TOKEN;
use crate::upstream::Credential;

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
