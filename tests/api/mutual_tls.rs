//! A provider that wants a client certificate: real mutual TLS, rotated while the gateway serves.

use std::fs;
use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::harness::{eventually, value_of};
use crate::process::{Gateway, Site};

const PATH: &str = "/v1/accounts/treasury/balance";

/// A certificate authority of the test.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Its certificate in PEM.
    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for this name and its key, both in PEM.
    pub(crate) fn issue(&self, name: &str) -> [String; 2] {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        [params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem()]
    }

    /// A TLS server in front of the provider, which accepts only clients with a certificate of this authority.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        let [certificate, key] = self.issue("localhost");
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier.build().unwrap())
            .with_single_cert(
                vec![der(&certificate)],
                PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
            );
        TlsAcceptor::from(Arc::new(config.unwrap()))
    }
}

pub(crate) fn der(certificate: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()
}

/// The certificates that clients presented, oldest first.
pub(crate) type Presented = Arc<Mutex<Vec<CertificateDer<'static>>>>;

/// Starts a server that terminates TLS and forwards to the provider; returns its port.
pub(crate) async fn terminate(acceptor: TlsAcceptor, provider: String, presented: Presented) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, provider, presented) =
                (acceptor.clone(), provider.clone(), Arc::clone(&presented));
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let certificate = stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned();
                presented.lock().unwrap().push(certificate);
                let mut plain = TcpStream::connect(provider).await.unwrap();
                // The side that closes first ends it.
                let _ = tokio::io::copy_bidirectional(&mut stream, &mut plain).await;
            });
        }
    });
    port
}

async fn reloads(gateway: &Gateway) -> [Option<f64>; 2] {
    let page = gateway.get(&gateway.ops, "/metrics").await.unwrap().body;
    ["ok", "rejected"].map(|result| {
        value_of(&page, &format!("balance_gateway_config_reloads_total{{result=\"{result}\"}}"))
    })
}

async fn new_balance(gateway: &Gateway) -> u16 {
    let request = gateway.client.get(format!("http://{}{PATH}", gateway.api)).bearer_auth(gateway.key);
    request.header("cache-control", "no-cache").send().await.unwrap().status().as_u16()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_certificate_whose_files_are_replaced_one_by_one_is_rotated_without_a_failure() {
    let (authority, presented) = (Authority::new(), Presented::default());
    let [first, second] = [authority.issue("first"), authority.issue("second")];
    let site = Site::with_provider(
        "",
        "budget = { requests = 100000, per = \"1m\" }\nextra_ca = \"CA\"\n\
         client_identity = { certificate = { file = \"CERTIFICATE\" }, private_key = { file = \"KEY\" } }",
    )
    .await;
    let provider = site.provider.addr().to_string();
    let port = terminate(authority.acceptor(), provider, Arc::clone(&presented)).await;
    let ca = site.folder.write("ca.pem", &authority.pem());
    let files = [site.folder.write("client.pem", &first[0]), site.folder.write("client.key", &first[1])];
    let config = fs::read_to_string(&site.config).unwrap();
    let config = config
        .replace(&site.provider.url(), &format!("https://localhost:{port}"))
        .replace("\"CA\"", &format!("{ca:?}"))
        .replace("\"CERTIFICATE\"", &format!("{:?}", files[0]))
        .replace("\"KEY\"", &format!("{:?}", files[1]));
    site.folder.write("gateway.toml", &config);
    let gateway = site.serve().await;
    assert_eq!(new_balance(&gateway).await, 200);
    assert!(presented.lock().unwrap().iter().all(|seen| *seen == der(&first[0])));

    site.folder.write("client.pem", &second[0]);
    eventually("the reload with only one new file is counted", || async {
        reloads(&gateway).await[0] == Some(1.0)
    })
    .await;
    assert_eq!(new_balance(&gateway).await, 200, "the previous pair is still used");
    site.folder.write("client.key", &second[1]);
    eventually("the reload with both new files is counted", || async {
        reloads(&gateway).await[0] == Some(2.0)
    })
    .await;
    assert_eq!(new_balance(&gateway).await, 200);

    assert_eq!(presented.lock().unwrap().last(), Some(&der(&second[0])));
    assert_eq!(reloads(&gateway).await[1], Some(0.0));
    let told = "the new certificates cannot be used; the current ones stay in use";
    eventually("the log names it", || async { gateway.output().contains(told) }).await;
}
