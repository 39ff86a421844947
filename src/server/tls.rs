//! TLS of a listener: its certificate, and the authority of client certificates. A reload replaces it as a whole; open
//! connections keep theirs.

use std::{fmt, io, sync::Arc};

use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::{handshake::HandshakeSocket, memory::MemoryShare};

/// The parser's own messages quote lines, which may belong to a key.
const UNREADABLE: &str = "not readable as PEM";

/// Bytes of an answer that a session encrypts ahead of a slow peer: one record.
const UNSENT: usize = 16 * 1024;

/// A checked certificate with its key and, optionally, the authority of client certificates.
#[derive(Clone)]
pub struct TlsSettings(Arc<ServerConfig>);

/// The part of the settings that TLS rejects, and why; never with its contents.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// No usable server certificate.
    #[error("{0}")]
    Certificate(String),
    /// No private key, or the key of another certificate.
    #[error("{0}")]
    PrivateKey(String),
    /// No usable authority for client certificates.
    #[error("{0}")]
    ClientCa(String),
}

impl TlsSettings {
    /// Checks a certificate chain, its private key and the authority of clients, each in PEM. With an authority, the
    /// handshake requires a client certificate that it signed.
    ///
    /// # Errors
    /// [`TlsError`] with the rejected part.
    pub fn new(certificate: &[u8], private_key: &[u8], client_ca: Option<&[u8]>) -> Result<Self, TlsError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let chain = certificates(certificate).map_err(TlsError::Certificate)?;
        let key = PrivateKeyDer::from_pem_slice(private_key);
        let key = key.map_err(|_| TlsError::PrivateKey(UNREADABLE.to_owned()))?;
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError::Certificate(error.to_string()))?;
        let builder = match client_ca {
            None => builder.with_no_client_auth(),
            Some(pem) => {
                let roots = Arc::new(roots(pem).map_err(TlsError::ClientCa)?);
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider).build();
                builder.with_client_cert_verifier(
                    verifier.map_err(|error| TlsError::ClientCa(error.to_string()))?,
                )
            }
        };
        let config = builder.with_single_cert(chain, key);
        let mut config = config.map_err(|error| TlsError::PrivateKey(error.to_string()))?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self(Arc::new(config)))
    }

    /// Performs the handshake. A large one takes its memory from this share.
    pub(super) async fn accept(
        &self,
        stream: TcpStream,
        memory: MemoryShare,
    ) -> io::Result<TlsStream<HandshakeSocket>> {
        let acceptor = TlsAcceptor::from(Arc::clone(&self.0));
        let socket = HandshakeSocket::new(stream, memory);
        let mut stream =
            acceptor.accept_with(socket, |session| session.set_buffer_limit(Some(UNSENT))).await?;
        stream.get_mut().0.end_handshake();
        Ok(stream)
    }
}

impl fmt::Debug for TlsSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsSettings")
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    read.map_err(|_| UNREADABLE.to_owned())
}

fn roots(pem: &[u8]) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem)? {
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    Ok(roots)
}
