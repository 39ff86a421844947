//! `new-key`: a new caller key, and its digest for the configuration.

use std::process::ExitCode;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

/// A caller key: 256 random bits in 43 characters, with a prefix that secret scanners can look for.
pub(super) fn fresh() -> Result<String, getrandom::Error> {
    let mut bits = [0; 32];
    getrandom::fill(&mut bits)?;
    Ok(format!("bgk_{}", URL_SAFE_NO_PAD.encode(bits)))
}

/// SHA-256 of the whole key string, in hexadecimal.
pub(super) fn digest(key: &str) -> String {
    use std::fmt::Write as _;
    Sha256::digest(key).iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

pub(super) fn run() -> ExitCode {
    match fresh() {
        Ok(key) => super::print(&format!("key     {key}\nsha256  {}\n", digest(&key))),
        Err(error) => super::report_error(&error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_bgk_and_43_characters_and_never_repeats() {
        let (one, other) = (fresh().unwrap(), fresh().unwrap());

        assert!(one.starts_with("bgk_") && one.len() == 4 + 43, "{one}");
        assert_ne!(one, other);
    }

    #[test]
    fn the_digest_covers_the_whole_key() {
        assert_eq!(digest("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
