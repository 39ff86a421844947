//! The configuration as a whole: every mistake with its exact line, the example file, and secrets that stay secret.

mod effective;
mod example;
mod hooks;
mod kept;
mod kinds;
mod mistakes;
mod secrets;
mod unwise;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::{Config, ConfigErrors};

/// A minimal complete configuration, with every section to extend.
const LEAST: &str = r#"
[server]
[freshness]
[providers.p]
kind = "avista"
[accounts.a]
provider = "p"
token = { env = "TOKEN" }
[callers.c]
keys_sha256 = ["9F86D081884C7D659A2FEAA0C55AD015A3BF4F1B2B0B822CD15D6C15B0F00A08"]
accounts = ["*"]
[metrics]
[log]
"#;

/// 32 bytes.
const SHARED_KEY: &str = "c2hhcmVkLWtleS1vZi10aGUtdGVzdHMtMzItYnl0ZXM=";

fn parse(text: &str) -> Result<Config, ConfigErrors> {
    super::parse(text, Path::new("g.toml"), &|name| match name {
        "TOKEN" => Some("t0k3n".to_owned()),
        "API_KEY" => Some("4p1-k3y".to_owned()),
        "SESSION" => Some("s3ss10n".to_owned()),
        "EMPTY" => Some(String::new()),
        "SPACED" => Some(" sp4c3d".to_owned()),
        "STORE" => Some("rediss://g4tew4y:st0r3-p4ss@store:6380/2".to_owned()),
        "SHARED_KEY" => Some(SHARED_KEY.to_owned()),
        "ONE_LINE_PEM" => Some(r"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n".to_owned()),
        "SHORT_KEY" => Some("c2hvcnQta2V5".to_owned()),
        "TWO_LINES" => Some("l1n3\nl1n3".to_owned()),
        _ => None,
    })
}

/// [`LEAST`] with a text inserted below a header, or in place of another text.
#[track_caller]
fn with(place: &str, text: &str) -> String {
    assert!(LEAST.contains(place), "{place}");
    let kept = if place.ends_with(']') && place.starts_with('[') { place } else { "" };
    LEAST.replacen(place, &format!("{kept}\n{text}"), 1)
}

/// [`LEAST`] for a kind with several balances.
fn pluggo(account: &str) -> String {
    let provider = "kind = \"pluggo\"\nbase_url = \"https://pluggo.example\"";
    let keys = "api_key = { env = \"API_KEY\" }\nsession_token = { env = \"SESSION\" }";
    LEAST
        .replace("kind = \"avista\"", provider)
        .replace("token = { env = \"TOKEN\" }", &format!("{keys}\n{account}"))
}

/// A temporary folder, removed on drop.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("config-test-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// Writes a file and returns its path as text.
    fn file(&self, name: &str, contents: impl AsRef<[u8]>) -> String {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, contents).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A key set with one key for ES256.
const JWKS: &str = r#"{"keys": [{"kty": "EC", "crv": "P-256", "kid": "1", "alg": "ES256", "use": "sig",
    "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}"#;

/// A certificate and its key in PEM.
fn certificate() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}
