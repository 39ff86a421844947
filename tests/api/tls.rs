//! TLS for callers: both protocols, client certificates, and configuration errors.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;

use crate::harness::{Harness, KEY, Reply, Setup, eventually, record};
use crate::process::{self, Folder, Site};

/// A certificate authority.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for this machine and its key, in PEM.
    pub(crate) fn sign(&self) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        let key_pem = key.serialize_pem();
        record("secrets", key_pem.lines().nth(1).unwrap());
        (params.signed_by(&key, &self.0).unwrap().pem(), key_pem)
    }

    /// An acceptor for a server on this machine.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        let (chain, key) = read(&self.sign());
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }

    /// A client that trusts only this authority, and presents this certificate.
    pub(crate) fn client(&self, identity: Option<(String, String)>, protocols: &[&str]) -> reqwest::Client {
        let tls = self.client_tls(identity, protocols);
        reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy().build().unwrap()
    }

    /// The TLS configuration of such a client.
    pub(crate) fn client_tls(&self, identity: Option<(String, String)>, protocols: &[&str]) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.pem().as_bytes()).unwrap()).unwrap();
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let mut tls = match identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let (chain, key) = read(&identity);
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        };
        tls.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        tls
    }
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn read((certificate, key): &(String, String)) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
    (chain, PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap())
}

/// The lines of `[server]` for a certificate of this authority and, optionally, the authority of client certificates.
pub(crate) fn lines(folder: &Folder, authority: &Authority, client_ca: Option<&Authority>) -> String {
    let (certificate, key) = authority.sign();
    let (certificate, key) = (folder.write("tls.crt", &certificate), folder.write("tls.key", &key));
    let ca = client_ca.map(|ca| format!(", client_ca = {:?}", folder.write("ca.crt", &ca.pem())));
    format!("tls = {{ certificate = {certificate:?}, private_key = {key:?}{} }}", ca.unwrap_or_default())
}

async fn ask(
    gateway: &Harness,
    client: &reqwest::Client,
) -> Result<(reqwest::Version, Reply), reqwest::Error> {
    let url = format!("https://localhost:{}/v1/accounts/ntxpay-br-demo/balance", gateway.api.port());
    let response = client.get(url).bearer_auth(KEY).send().await?;
    Ok((response.version(), Reply::read(response).await))
}

#[tokio::test]
async fn callers_are_served_in_both_protocols() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let server = lines(&folder, &authority, None);
    let gateway = Harness::start(Setup { server, ..Setup::default() }).await;
    for (protocols, version) in [
        (&["h2", "http/1.1"][..], reqwest::Version::HTTP_2),
        (&["http/1.1"], reqwest::Version::HTTP_11),
        (&[], reqwest::Version::HTTP_11),
    ] {
        let (spoken, reply) = ask(&gateway, &authority.client(None, protocols)).await.unwrap();

        assert_eq!((spoken, reply.status), (version, 200), "{protocols:?}");
        assert_eq!(reply.json()["available"], "48734.90");
    }
    // The operations port stays plain text.
    assert_eq!(gateway.operations("/readyz").await.status, 200);
    assert_eq!(gateway.count("connections_refused_total{reason=\"tls\"}").await, 0);
}

#[tokio::test]
async fn with_client_ca_a_client_without_its_certificate_fails_the_handshake() {
    let (folder, authority, clients) = (Folder::new(), Authority::new(), Authority::new());
    let server = lines(&folder, &authority, Some(&clients));
    let gateway = Harness::start(Setup { server, ..Setup::default() }).await;

    for identity in [None, Some(authority.sign()), Some(Authority::new().sign())] {
        assert!(ask(&gateway, &authority.client(identity, &["h2"])).await.is_err());
    }
    let (_, reply) = ask(&gateway, &authority.client(Some(clients.sign()), &["h2"])).await.unwrap();

    assert_eq!(reply.status, 200);
    // A client may retry before it gives up.
    assert!(gateway.count("connections_refused_total{reason=\"tls\"}").await >= 3);
    assert_eq!(gateway.count("auth_failures_total{reason=\"missing\"}").await, 0);
}

#[tokio::test]
async fn plain_text_is_refused_and_counted() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let server = lines(&folder, &authority, None);
    let gateway = Harness::start(Setup { server, ..Setup::default() }).await;

    let refused = gateway.request("GET", "/v1/accounts", Some(KEY)).send().await;

    assert!(refused.is_err());
    let is_counted = || async { gateway.count("connections_refused_total{reason=\"tls\"}").await >= 1 };
    eventually("the refusal is counted", is_counted).await;
}

#[tokio::test]
async fn check_shows_the_tls_files_and_names_those_that_do_not_match() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let site = Site::new(&lines(&folder, &authority, Some(&authority))).await;

    let (code, shown, complaints) = process::run_on_record(&["check", "--config", &site.config]);
    assert_eq!((code, complaints.as_str()), (Some(0), ""));
    let path = |name: &str| folder.0.join(name).to_str().unwrap().to_owned();
    let expected = format!(
        "\ntls = {{ certificate = {:?}, private_key = {:?}, client_ca = {:?} }}\n",
        path("tls.crt"),
        path("tls.key"),
        path("ca.crt")
    );
    assert!(shown.contains(&expected), "{shown}");

    folder.write("tls.key", &authority.sign().1);
    for command in ["check", "serve"] {
        let (code, _, complaints) = process::run_on_record(&[command, "--config", &site.config]);

        assert_eq!(code, Some(2), "{complaints}");
        let place =
            format!("{}: server.tls.private_key: expected the certificate's private key", site.config);
        assert!(complaints.contains(&place) && complaints.contains(&path("tls.key")), "{complaints}");
    }
}

#[tokio::test]
async fn a_new_certificate_is_used_without_a_restart() {
    let (folder, authority, next) = (Folder::new(), Authority::new(), Authority::new());
    let site = Site::new(&lines(&folder, &authority, None)).await;
    let gateway = site.serve().await;
    let url = format!("https://localhost:{}/v1/accounts", gateway.api.rsplit_once(':').unwrap().1);
    let ask = async |client: &reqwest::Client| client.get(&url).bearer_auth(KEY).send().await.is_ok();
    let (trusts_old, trusts_new) = (authority.client(None, &["http/1.1"]), next.client(None, &["http/1.1"]));
    assert!(ask(&trusts_old).await && !ask(&trusts_new).await);

    // The new key arrives first and does not match the certificate yet: both stay unchanged.
    let (certificate, key) = next.sign();
    folder.write("tls.key", &key);
    eventually("the key is rejected", || async { gateway.lines_of("config_unread").len() == 1 }).await;
    let line = &gateway.logged("config_unread").await[0];
    assert_eq!(
        (line["key"].as_str(), line["level"].as_str()),
        (Some("server.tls.private_key"), Some("WARN"))
    );
    assert_eq!(line["file"].as_str(), folder.0.join("tls.key").to_str());
    assert!(ask(&authority.client(None, &["http/1.1"])).await);

    folder.write("tls.crt", &certificate);
    eventually("the new certificate is in use", || async { ask(&trusts_new).await }).await;
    assert!(!ask(&authority.client(None, &["http/1.1"])).await);
    // Its old connection is still open.
    assert!(ask(&trusts_old).await);
    assert_eq!(gateway.lines_of("config_rejected").len(), 0);
}
