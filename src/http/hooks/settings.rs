//! The settings of a hook.

use std::time::Duration;

use http::StatusCode;
use http::header::HeaderName;
use secrecy::{SecretSlice, SecretString};

use super::template::Template;
use crate::auth::AccountPattern;
use crate::domain::HookName;

/// One hook: `[hooks.NAME]`.
#[derive(Clone, Debug)]
pub struct HookSettings {
    /// The configured name, the last part of its path.
    pub name: HookName,
    /// The accounts whose balances may have changed.
    pub accounts: Vec<AccountPattern>,
    /// The proof that a notification comes from the provider.
    pub proof: ProofSettings,
    /// The header that identifies duplicates.
    pub event_id: Option<HeaderName>,
    /// The delay before the balances are read once more; zero means no second read.
    pub settle: Duration,
    /// The status that tells the provider that its notification was delivered.
    pub answer: StatusCode,
}

/// The proof that a notification comes from the provider.
#[derive(Clone, Debug)]
pub enum ProofSettings {
    /// Each of these headers holds one of its secrets.
    Headers(Vec<SecretHeader>),
    /// Basic authentication, with any of these passwords.
    Basic {
        /// The user.
        user: String,
        /// Several during a rotation.
        passwords: Vec<SecretString>,
    },
    /// A signature by HMAC.
    Hmac(HmacSettings),
}

/// A header that holds a secret.
#[derive(Clone, Debug)]
pub struct SecretHeader {
    /// Its name.
    pub name: HeaderName,
    /// Several during a rotation.
    pub secrets: Vec<SecretString>,
}

/// How a provider signs.
#[derive(Clone, Debug)]
pub struct HmacSettings {
    /// The header with the signatures.
    pub header: HeaderName,
    /// The prefix of each signature in it.
    pub prefix: String,
    /// The keys as bytes; several during a rotation.
    pub keys: Vec<SecretSlice<u8>>,
    /// The hash function.
    pub digest: Digest,
    /// The encoding of a signature.
    pub encoding: Encoding,
    /// The signed text.
    pub signed: Template,
    /// The header with the time of signing, or the name of the time within the signature header.
    pub timestamp: Option<String>,
    /// The largest accepted difference between the signing time and our clock.
    pub tolerance: Duration,
}

/// The hash function of an HMAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Digest {
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
    /// SHA-1, which only old schemes use.
    Sha1,
}

/// The encoding of bytes as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Two hexadecimal digits per byte, in upper or lower case.
    Hex,
    /// Base64 in the standard or the URL-safe alphabet, with or without padding.
    Base64,
}

impl Encoding {
    /// Decodes a text; `None` if it is not valid in this encoding.
    #[must_use]
    pub fn decode(self, text: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Hex => decode_hex(text),
            Self::Base64 => decode_base64(text),
        }
    }
}

fn decode_hex(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, rest) = text.as_chunks::<2>();
    let bytes = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect();
    if rest.is_empty() { bytes } else { None }
}

fn decode_base64(text: &[u8]) -> Option<Vec<u8>> {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

    let text = text.trim_ascii_end();
    let unpadded = text.strip_suffix(b"==").or_else(|| text.strip_suffix(b"=")).unwrap_or(text);
    [STANDARD_NO_PAD, URL_SAFE_NO_PAD].iter().find_map(|alphabet| alphabet.decode(unpadded).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_decoded_from_hex_and_base64() {
        for (encoding, text, bytes) in [
            (Encoding::Hex, "", Some(vec![])),
            (Encoding::Hex, "00fF", Some(vec![0, 255])),
            (Encoding::Hex, "0", None),
            (Encoding::Hex, "0g", None),
            (Encoding::Base64, "+/8=", Some(vec![251, 255])),
            (Encoding::Base64, "-_8", Some(vec![251, 255])),
            (Encoding::Base64, "AA==", Some(vec![0])),
            (Encoding::Base64, "A", None),
            (Encoding::Base64, "A A=", None),
        ] {
            assert_eq!(encoding.decode(text.as_bytes()), bytes, "{text}");
        }
    }
}
