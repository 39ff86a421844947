//! Failures of TLS, and what a proxy gets to see.

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::RootCertStore;
use rustls::server::WebPkiClientVerifier;
use tokio_rustls::TlsAcceptor;

use super::*;

/// A server whose certificate is the CA at the same time, and that wants one of ours, too.
async fn serve_tls() -> (String, Vec<u8>) {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).unwrap();
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build().unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let acceptor = TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move { acceptor.accept(stream).await.map(drop) });
        }
    });
    (url, cert.pem().into_bytes())
}

/// TLS 1.3 tells the client of it only after the handshake seemed complete.
#[tokio::test]
async fn a_certificate_that_is_missing_is_no_connection() {
    let (url, ca) = serve_tls().await;
    let setup = Setup::with(Kind::NtxpayBr, |settings| {
        settings.client.extra_ca = Some(ca);
        settings.client.connect_timeout = PATIENCE;
    });
    let (_, upstream) = setup.at(&url, Credential::Static(Authorisation::Bearer("t".into())));

    let answer = upstream.read(0, Priority::Plain).await;

    assert_eq!(answer.result.unwrap_err().error, UpstreamError::Unreachable);
}

#[tokio::test]
async fn a_server_that_nobody_vouches_for_is_no_connection() {
    let (url, _) = serve_tls().await;
    let setup = Setup::with(Kind::NtxpayBr, |settings| settings.client.connect_timeout = PATIENCE);
    let (_, upstream) = setup.at(&url, Credential::Static(Authorisation::Bearer("t".into())));

    let answer = upstream.read(0, Priority::Plain).await;

    assert_eq!(answer.result.unwrap_err().error, UpstreamError::Unreachable);
}

#[tokio::test]
async fn a_proxy_is_asked_to_connect_and_sees_no_secret() {
    let proxy = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", proxy.local_addr().unwrap());
    let setup = Setup::with(Kind::NtxpayBr, |settings| {
        settings.client.proxy = Some(address.parse().unwrap());
        settings.client.connect_timeout = PATIENCE;
    });
    let (_, upstream) =
        setup.at("https://provider.example", Credential::Static(Authorisation::Bearer("s3cr3t".into())));
    let read = tokio::spawn(async move { upstream.read(0, Priority::Plain).await });

    let (mut stream, _) = proxy.accept().await.unwrap();
    let mut seen = vec![0; 4096];
    let length = stream.read(&mut seen).await.unwrap();
    drop(stream);

    let seen = String::from_utf8_lossy(&seen[..length]);
    assert!(seen.starts_with("CONNECT provider.example:443 HTTP/1.1\r\n"), "{seen}");
    assert!(!seen.contains("s3cr3t"));
    assert_eq!(read.await.unwrap().result.unwrap_err().error, UpstreamError::Unreachable);
}

/// Only a provider on this machine may be asked without TLS, and that leads through no proxy.
#[tokio::test]
async fn a_provider_on_this_machine_is_asked_directly() {
    let proxy = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", proxy.local_addr().unwrap());
    let setup =
        Setup::with(Kind::NtxpayBr, |settings| settings.client.proxy = Some(address.parse().unwrap()));

    let account = setup.start(Kind::NtxpayBr).await;

    assert!(account.read(0).await.is_ok());
}
