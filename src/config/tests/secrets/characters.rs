//! The characters of a secret: visible ASCII only, and a newline at the end of its file.

use secrecy::ExposeSecret;

use super::super::{Folder, LEAST, parse, with};
use super::TOKEN;
use crate::providers::Authorisation;
use crate::upstream::Credential;

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

#[test]
fn one_newline_at_the_end_of_a_file_is_dropped() {
    let folder = Folder::new();
    for (index, (contents, read)) in [
        ("t0k3n", Some("t0k3n")),
        ("t0k3n\n", Some("t0k3n")),
        ("t0k3n\r\n", Some("t0k3n")),
        ("t0k3n\n\n", None),
        ("t0k3n ", None),
        ("\tt0k3n\n", None),
        ("\n", None),
        ("", None),
    ]
    .into_iter()
    .enumerate()
    {
        let file = folder.file(&index.to_string(), contents);

        let config = parse(&LEAST.replace("env = \"TOKEN\"", &format!("file = {file:?}")));

        let token = config.ok().map(|config| match &config.accounts[0].credential {
            Credential::Static(Authorisation::Bearer(token)) => token.expose_secret().to_owned(),
            other => format!("{other:?}"),
        });
        assert_eq!(token.as_deref(), read, "{contents:?}");
    }
}
