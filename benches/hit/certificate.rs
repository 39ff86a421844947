//! The gateway's certificate, and a client that trusts it.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};

/// A certificate for the loopback address.
pub(crate) struct Certificate(rcgen::CertifiedKey<rcgen::KeyPair>);

impl Certificate {
    pub(crate) fn new() -> io::Result<Self> {
        rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).map(Self).map_err(io::Error::other)
    }

    /// Writes its files, and returns the configuration that names them.
    pub(crate) fn write(&self, folder: &Path) -> io::Result<String> {
        let (certificate, key) = (folder.join("tls.crt"), folder.join("tls.key"));
        std::fs::write(&certificate, self.0.cert.pem())?;
        std::fs::write(&key, self.0.signing_key.serialize_pem())?;
        let (certificate, key) = (certificate.display(), key.display());
        Ok(format!("tls = {{ certificate = \"{certificate}\", private_key = \"{key}\" }}\n"))
    }

    /// A client's configuration.
    pub(crate) fn client(&self) -> io::Result<Arc<ClientConfig>> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(self.0.cert.der().to_vec())).map_err(io::Error::other)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?;
        Ok(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
    }
}
