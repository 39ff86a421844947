//! Certificates and private keys in PEM. The parser's own errors quote lines, so they are never shown.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::RootCertStore;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use secrecy::SecretString;

use super::secret::{MASK, Secret, text};
use super::source::{FilePath, Source};
use crate::config::reader::{Read, Setting, Value};
use crate::upstream::CertificateFacts;

/// Base64 characters per line of PEM (RFC 7468).
const LINE: usize = 64;

/// A certificate that is sent to the provider as text: only the CERTIFICATE blocks of a file.
#[derive(Clone, Debug)]
pub(in crate::config) struct SentCertificate(pub(in crate::config) SecretString);

impl Setting for SentCertificate {
    const EXPECTED: &'static str = Secret::EXPECTED;

    fn read(value: &Value<'_>) -> Read<Self> {
        let pem = Source::read(value)?.read_as(value, |contents, source| {
            if holds_private_key(contents) {
                return Err(format!(
                    "expected certificates alone, but {source} holds a private key, and its contents are sent"
                ));
            }
            Ok(pem(&certificates(value, contents, source)?).into())
        })?;
        Ok(Self(pem))
    }

    fn show(&self) -> String {
        MASK.to_owned()
    }
}

/// Our certificate with its chain, for mutual TLS. The file may also hold a private key, which is ignored.
#[derive(Clone, Debug)]
struct Certificate(SecretString);

impl Setting for Certificate {
    const EXPECTED: &'static str = Secret::EXPECTED;

    fn read(value: &Value<'_>) -> Read<Self> {
        let pem = Source::read(value)?
            .read_as(value, |contents, source| Ok(pem(&certificates(value, contents, source)?).into()))?;
        Ok(Self(pem))
    }

    fn show(&self) -> String {
        MASK.to_owned()
    }
}

/// The private key of a certificate.
#[derive(Clone, Debug)]
struct PrivateKey(SecretString);

impl Setting for PrivateKey {
    const EXPECTED: &'static str = Secret::EXPECTED;

    fn read(value: &Value<'_>) -> Read<Self> {
        let source = Source::read(value)?;
        let pem = source.read_as(value, |contents, source| {
            if PrivateKeyDer::from_pem_slice(contents).is_ok() {
                return Ok(text(contents, source)?.into());
            }
            Err(format!("expected a private key in PEM in {source}{}", hint(contents)))
        })?;
        source.warn_if_open(value);
        Ok(Self(pem))
    }

    fn show(&self) -> String {
        MASK.to_owned()
    }
}

/// Our certificate and its key, for mutual TLS.
#[derive(Clone, Debug)]
pub(in crate::config) struct Identity {
    certificate: Certificate,
    private_key: PrivateKey,
}

impl Identity {
    /// The certificate's PEM and the key's.
    pub(in crate::config) fn into_pem(self) -> (SecretString, SecretString) {
        (self.certificate.0, self.private_key.0)
    }
}

impl Setting for Identity {
    const EXPECTED: &'static str = "{ certificate = { file = \"…\" }, private_key = { file = \"…\" } }";

    fn read(value: &Value<'_>) -> Read<Self> {
        let mut section = value.section(Self::EXPECTED)?;
        let certificate = section.required("certificate");
        let private_key = section.required("private_key");
        section.close();
        Ok(Self { certificate: certificate?, private_key: private_key? })
    }

    fn show(&self) -> String {
        format!("{{ certificate = {}, private_key = {} }}", self.certificate.show(), self.private_key.show())
    }
}

/// Trusted certificates. They are not secret, so the key holds the file name directly.
#[derive(Clone, Debug)]
pub(in crate::config) struct Authority {
    pub(in crate::config) file: FilePath,
    pub(in crate::config) pem: Vec<u8>,
}

impl Setting for Authority {
    const EXPECTED: &'static str = FilePath::EXPECTED;

    fn read(value: &Value<'_>) -> Read<Self> {
        let file = FilePath::read(value)?;
        let pem = Source::File(file.0.clone()).read_as(value, |contents, source| {
            certificates(value, contents, source)?;
            Ok(contents.to_vec())
        })?;
        Ok(Self { file, pem })
    }

    fn show(&self) -> String {
        self.file.show()
    }
}

/// Parses the certificates. At least one is required, and TLS must accept each.
fn certificates(
    value: &Value<'_>,
    pem: &[u8],
    source: &Source,
) -> Result<Vec<CertificateDer<'static>>, String> {
    let mut roots = RootCertStore::empty();
    let mut certificates = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.ok().filter(|certificate| roots.add(certificate.clone()).is_ok());
        let number = certificates.len() + 1;
        certificates.push(certificate.ok_or_else(|| {
            format!(
                "expected certificates in PEM, but number {number} in {source} cannot be read{}",
                hint(pem)
            )
        })?);
    }
    if certificates.is_empty() {
        return Err(format!("expected a certificate in PEM in {source}{}", hint(pem)));
    }
    let expiries = certificates.iter().filter_map(|certificate| CertificateFacts::read(certificate));
    if let Some(first) = expiries.map(|facts| facts.not_after).min() {
        value.note_expiry(first);
    }
    Ok(certificates)
}

/// Whether the blocks include a private key of any form, readable or not.
fn holds_private_key(pem: &[u8]) -> bool {
    let text = String::from_utf8_lossy(pem);
    text.match_indices("-----BEGIN ").any(|(at, _)| {
        let label = text[at..].lines().next().unwrap_or_default();
        label.contains("PRIVATE KEY")
    })
}

/// Certificates as text. The text is rebuilt from the parsed certificates, so that it cannot contain anything else of
/// the file.
fn pem(certificates: &[CertificateDer<'_>]) -> String {
    let block = |certificate: &CertificateDer<'_>| {
        let base64 = STANDARD.encode(certificate);
        let lines: Vec<_> = base64.as_bytes().chunks(LINE).map(String::from_utf8_lossy).collect();
        format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----", lines.join("\n"))
    };
    certificates.iter().map(block).collect::<Vec<_>>().join("\n")
}

/// A hint for a common mistake with PEM in a variable.
fn hint(pem: &[u8]) -> &'static str {
    let is_one_line = !pem.trim_ascii_end().contains(&b'\n');
    if is_one_line && pem.windows(2).any(|pair| pair == br"\n") {
        ": its line breaks are written as \\n; they must be real line breaks"
    } else if is_one_line && pem.starts_with(b"-----BEGIN ") {
        ": it is a single line; PEM has line breaks"
    } else {
        ""
    }
}
