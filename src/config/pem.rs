//! Certificates and private keys in PEM. The parser's own errors quote lines, so they are not passed on.

use rustls::RootCertStore;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use secrecy::SecretString;

use super::reading::Read;
use super::secret::{MASK, Secret, text};
use super::section::{Setting, Value};
use super::source::{FilePath, Source};

/// A certificate, perhaps with its chain.
#[derive(Clone, Debug)]
pub(super) struct Certificate(pub(super) SecretString);

impl Setting for Certificate {
    const EXPECTED: &'static str = Secret::EXPECTED;

    fn read(value: &Value<'_>) -> Read<Self> {
        let pem = Source::read(value)?.understood(value, |contents, source| {
            if holds_certificates(contents) {
                return Ok(text(contents, source)?.into());
            }
            Err(format!("expected a certificate in PEM in {source}"))
        })?;
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
        let pem = source.understood(value, |contents, source| {
            if PrivateKeyDer::from_pem_slice(contents).is_ok() {
                return Ok(text(contents, source)?.into());
            }
            Err(format!("expected a private key in PEM in {source}"))
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
pub(super) struct Identity {
    certificate: Certificate,
    private_key: PrivateKey,
}

impl Identity {
    /// The certificate's PEM and the key's.
    pub(super) fn into_pem(self) -> (SecretString, SecretString) {
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

/// Certificates to trust; no secret, so the file is named directly.
#[derive(Clone, Debug)]
pub(super) struct Authority {
    pub(super) file: FilePath,
    pub(super) pem: Vec<u8>,
}

impl Setting for Authority {
    const EXPECTED: &'static str = FilePath::EXPECTED;

    fn read(value: &Value<'_>) -> Read<Self> {
        let file = FilePath::read(value)?;
        let pem = Source::File(file.0.clone()).understood(value, |contents, source| {
            if holds_usable_certificates(contents) {
                return Ok(contents.to_vec());
            }
            Err(format!("expected a certificate in PEM in {source}"))
        })?;
        Ok(Self { file, pem })
    }

    fn show(&self) -> String {
        self.file.show()
    }
}

/// Whether there is at least one certificate, and none that cannot be read.
fn holds_certificates(pem: &[u8]) -> bool {
    let mut certificates = CertificateDer::pem_slice_iter(pem).peekable();
    certificates.peek().is_some() && certificates.all(|certificate| certificate.is_ok())
}

/// Likewise, and none whose contents TLS does not understand.
fn holds_usable_certificates(pem: &[u8]) -> bool {
    let mut roots = RootCertStore::empty();
    let is_usable = |certificate| roots.add(certificate).is_ok();
    holds_certificates(pem) && CertificateDer::pem_slice_iter(pem).flatten().all(is_usable)
}
