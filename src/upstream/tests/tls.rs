//! Failures of TLS, and the bytes that a proxy sees.

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::RootCertStore;
use rustls::server::WebPkiClientVerifier;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;

#[track_caller]
fn unreachable(answer: &Answer) -> Cause {
    match answer.result.as_ref().unwrap_err().error {
        UpstreamError::Unreachable(cause) => cause,
        error => panic!("{error:?}"),
    }
}

/// The server side of TLS. Its certificate is also the CA, which is returned in PEM.
fn acceptor(wants_certificate: bool, protocol: &[u8]) -> (TlsAcceptor, Vec<u8>) {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    let key = rustls::pki_types::PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let builder =
        rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let builder = if wants_certificate {
        builder.with_client_cert_verifier(verifier.build().unwrap())
    } else {
        builder.with_no_client_auth()
    };
    let mut config = builder.with_single_cert(vec![cert.der().clone()], key).unwrap();
    config.alpn_protocols = vec![protocol.to_vec()];
    (TlsAcceptor::from(Arc::new(config)), cert.pem().into_bytes())
}

/// A server that demands a client certificate.
async fn serve_tls() -> (String, Vec<u8>) {
    let (acceptor, ca) = acceptor(true, b"http/1.1");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move { acceptor.accept(stream).await.map(drop) });
        }
    });
    (url, ca)
}

/// An HTTP/2 server whose first connection stays silent.
async fn serve_http2_after_silence(body: &'static str) -> (String, Vec<u8>) {
    let (acceptor, ca) = acceptor(false, b"h2");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    tokio::spawn(async move {
        let (silent, _) = listener.accept().await.unwrap();
        let _silent = acceptor.accept(silent).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let stream = acceptor.accept(stream).await.unwrap();
        let mut connection = h2::server::handshake(stream).await.unwrap();
        while let Some(Ok((_, mut answer))) = connection.accept().await {
            let mut sending = answer.send_response(http::Response::new(()), false).unwrap();
            sending.send_data(body.into(), true).unwrap();
        }
    });
    (url, ca)
}

/// HTTP/2 ends a call that times out, not the connection that carries it.
#[tokio::test]
async fn a_connection_that_has_gone_silent_is_not_used_again() {
    let body = r#"{"availableCentavos":1,"pendingCentavos":0,"currency":"MXN"}"#;
    let (url, ca) = serve_http2_after_silence(body).await;
    let setup = Setup::with(Kind::NtxpayMx, |settings| {
        settings.client.extra_ca = Some(ca);
        settings.client.connect_timeout = SECOND;
        settings.attempt_timeout = SECOND;
        settings.retries = 1;
    });
    let (_, upstream) = setup.at(&url, Credential::Static(Authorisation::Bearer("t".into())));

    let answer = upstream.read(0, ReadRequest::alone(Priority::Plain)).await;

    assert!(answer.result.is_ok(), "{answer:?}");
}

/// With TLS 1.3, the client learns of the missing certificate only after its handshake seems complete.
#[tokio::test]
async fn a_missing_client_certificate_fails_the_connection() {
    let (url, ca) = serve_tls().await;
    let setup = Setup::with(Kind::NtxpayBr, |settings| {
        settings.client.extra_ca = Some(ca);
        settings.client.connect_timeout = LONGEST_WAIT;
    });
    let (_, upstream) = setup.at(&url, Credential::Static(Authorisation::Bearer("t".into())));

    let answer = upstream.read(0, ReadRequest::alone(Priority::Plain)).await;

    assert_eq!(unreachable(&answer), Cause::ClientCertificateDemanded);
}

#[tokio::test]
async fn an_untrusted_server_is_unreachable() {
    let (url, _) = serve_tls().await;
    let setup = Setup::with(Kind::NtxpayBr, |settings| settings.client.connect_timeout = LONGEST_WAIT);
    let (_, upstream) = setup.at(&url, Credential::Static(Authorisation::Bearer("t".into())));

    let answer = upstream.read(0, ReadRequest::alone(Priority::Plain)).await;

    assert_eq!(unreachable(&answer), Cause::SelfSigned);
}

#[tokio::test]
async fn a_proxy_is_asked_to_connect_and_sees_no_secret() {
    let proxy = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", proxy.local_addr().unwrap());
    let setup = Setup::with(Kind::NtxpayBr, |settings| {
        settings.client.proxy = Some(address.parse().unwrap());
        settings.client.connect_timeout = LONGEST_WAIT;
    });
    let (_, upstream) =
        setup.at("https://provider.example", Credential::Static(Authorisation::Bearer("s3cr3t".into())));
    let read = tokio::spawn(async move { upstream.read(0, ReadRequest::alone(Priority::Plain)).await });

    let (mut stream, _) = proxy.accept().await.unwrap();
    let mut seen = vec![0; 4096];
    let length = stream.read(&mut seen).await.unwrap();
    drop(stream);

    let seen = String::from_utf8_lossy(&seen[..length]);
    assert!(seen.starts_with("CONNECT provider.example:443 HTTP/1.1\r\n"), "{seen}");
    assert!(!seen.contains("s3cr3t"));
    assert_eq!(unreachable(&read.await.unwrap()), Cause::Closed);
}

/// Only a provider on this machine may be called without TLS, and no proxy is used for it.
#[tokio::test]
async fn a_provider_on_this_machine_is_called_without_the_proxy() {
    let proxy = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", proxy.local_addr().unwrap());
    let setup =
        Setup::with(Kind::NtxpayBr, |settings| settings.client.proxy = Some(address.parse().unwrap()));

    let account = setup.start(Kind::NtxpayBr).await;

    assert!(account.read(0).await.is_ok());
}
