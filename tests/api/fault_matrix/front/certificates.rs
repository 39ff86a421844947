//! The certificates of a front, made once per process, because making keys takes time.

use std::sync::{Arc, OnceLock};

use rcgen::{CertificateParams, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;

/// The certificates, each with its key.
pub(super) struct Certificates {
    pub(super) valid: Identity,
    pub(super) stranger: Identity,
    pub(super) another_host: Identity,
    pub(super) expired: Identity,
    /// The path of a file with all certificates that clients trust: all but the one of the unknown authority.
    pub(super) trusted: String,
}

pub(super) struct Identity {
    certificate: rcgen::Certificate,
    key: KeyPair,
}

impl Identity {
    fn new(host: &str, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut params = CertificateParams::new([host.to_owned()]).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        Self { certificate: params.self_signed(&key).unwrap(), key }
    }

    /// The TLS configuration of a server with this certificate.
    pub(super) fn config(&self, protocol: &[u8]) -> Arc<ServerConfig> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let key = PrivateKeyDer::try_from(self.key.serialize_der()).unwrap();
        let builder = ServerConfig::builder_with_provider(provider);
        let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let mut config = builder.with_single_cert(vec![self.certificate.der().clone()], key).unwrap();
        config.alpn_protocols = vec![protocol.to_vec()];
        Arc::new(config)
    }
}

/// The certificates of this process.
pub(super) fn certificates() -> &'static Certificates {
    static CERTIFICATES: OnceLock<Certificates> = OnceLock::new();
    CERTIFICATES.get_or_init(|| {
        let valid = Identity::new("127.0.0.1", |_| {});
        let another_host = Identity::new("elsewhere.example", |_| {});
        let expired = Identity::new("127.0.0.1", |params| {
            params.not_before = rcgen::date_time_ymd(2000, 1, 1);
            params.not_after = rcgen::date_time_ymd(2001, 1, 1);
        });
        let trusted = [&valid, &another_host, &expired].map(|identity| identity.certificate.pem()).concat();
        let name = format!("fault-matrix-{}.pem", std::process::id());
        let path = format!("{}/{name}", env!("CARGO_TARGET_TMPDIR"));
        std::fs::write(&path, trusted).unwrap();
        Certificates {
            valid,
            stranger: Identity::new("127.0.0.1", |_| {}),
            another_host,
            expired,
            trusted: path,
        }
    })
}
