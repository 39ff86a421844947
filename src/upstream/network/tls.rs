//! TLS to providers: the trusted authorities, our certificate, and a verifier that recognises self-signed certificates.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme};
use secrecy::{ExposeSecret, SecretString};

use super::certificate::CertificateFacts;
use crate::upstream::failure::SelfSigned;

/// Why a client cannot be made from its settings.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// A certificate or key that cannot be read.
    #[error("not readable as PEM: {0}")]
    Pem(#[from] rustls::pki_types::pem::Error),
    /// A certificate or key that TLS does not accept.
    #[error("not usable for TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// No certificate to trust.
    #[error("no usable certificate authority: {0}")]
    Trust(#[from] rustls::client::VerifierBuilderError),
}

/// The trusted authorities.
#[derive(Clone, Copy, Debug)]
pub(super) enum Trust<'a> {
    /// The public authorities, and further ones in PEM.
    PublicAnd(Option<&'a [u8]>),
    /// Only the authorities in PEM.
    Only(&'a [u8]),
}

impl Trust<'_> {
    fn further(self) -> Result<Vec<CertificateDer<'static>>, ClientError> {
        let pem = match self {
            Self::PublicAnd(pem) => pem.unwrap_or_default(),
            Self::Only(pem) => pem,
        };
        Ok(CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>()?)
    }
}

/// The TLS configuration: the trusted authorities, and our certificate chain and key.
pub(in crate::upstream) fn config(
    trust: Trust<'_>,
    identity: Option<&(SecretString, SecretString)>,
) -> Result<Arc<rustls::ClientConfig>, ClientError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = Verifier::new(trust, Arc::clone(&provider))?;
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain: Result<Vec<_>, _> =
                CertificateDer::pem_slice_iter(certificate.expose_secret().as_bytes()).collect();
            let key = PrivateKeyDer::from_pem_slice(key.expose_secret().as_bytes())?;
            builder.with_client_auth_cert(chain?, key)?
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// The usual verification. In addition, a server's certificate that is itself in the configured file (`extra_ca`) is
/// trusted, for the host that it names and while it is valid, even if it is self-signed.
#[derive(Debug)]
struct Verifier {
    usual: Arc<WebPkiServerVerifier>,
    pinned: Vec<CertificateDer<'static>>,
}

impl Verifier {
    fn new(trust: Trust<'_>, provider: Arc<rustls::crypto::CryptoProvider>) -> Result<Self, ClientError> {
        let pinned = trust.further()?;
        let mut roots = rustls::RootCertStore::empty();
        if let Trust::PublicAnd(_) = trust {
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        for certificate in &pinned {
            roots.add(certificate.clone())?;
        }
        let usual = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build()?;
        Ok(Self { usual, pinned })
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified =
            self.usual.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        let Err(Error::InvalidCertificate(error)) = verified else { return verified };
        if self.pinned.iter().any(|pinned| pinned == end_entity) {
            return verify_pinned(end_entity, server_name, now);
        }
        let is_about_trust = matches!(error, CertificateError::UnknownIssuer | CertificateError::Other(_));
        let facts = CertificateFacts::read(end_entity).filter(|facts| facts.is_self_issued);
        let error = match facts {
            Some(_) if is_about_trust => CertificateError::Other(OtherError(Arc::new(SelfSigned))),
            _ => error,
        };
        Err(Error::InvalidCertificate(error))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.usual.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.usual.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.usual.supported_verify_schemes()
    }
}

/// Accepts a certificate from the configured file, if its host name and its validity are right.
fn verify_pinned(
    certificate: &CertificateDer<'_>,
    server_name: &ServerName<'_>,
    now: UnixTime,
) -> Result<ServerCertVerified, Error> {
    verify_server_name(&ParsedCertificate::try_from(certificate)?, server_name)?;
    let facts = CertificateFacts::read(certificate)
        .ok_or(Error::InvalidCertificate(CertificateError::BadEncoding))?;
    let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    if seconds < facts.not_before.as_second() {
        Err(Error::InvalidCertificate(CertificateError::NotValidYet))
    } else if seconds > facts.not_after.as_second() {
        Err(Error::InvalidCertificate(CertificateError::Expired))
    } else {
        Ok(ServerCertVerified::assertion())
    }
}
