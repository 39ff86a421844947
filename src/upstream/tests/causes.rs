//! Why a provider cannot be reached, down to the last cause.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;

/// A certificate and its key.
type Pair = (CertificateDer<'static>, KeyPair);

fn self_signed(change: impl FnOnce(&mut CertificateParams)) -> Pair {
    let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    (params.self_signed(&key).unwrap().der().clone(), key)
}

fn issued(change: impl FnOnce(&mut CertificateParams)) -> (Pair, Vec<u8>) {
    let mut authority = CertificateParams::new([]).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.distinguished_name.push(rcgen::DnType::CommonName, "an authority");
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, &authority).unwrap().der().clone();
    ((certificate, key), authority.pem().into_bytes())
}

fn pem(certificate: &CertificateDer<'_>) -> Vec<u8> {
    use base64::Engine;
    let text = base64::engine::general_purpose::STANDARD.encode(certificate);
    format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n").into_bytes()
}

/// A provider behind TLS that answers with a balance.
async fn serve_with((certificate, key): Pair) -> String {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let body = r#"{"availableCentavos":1,"pendingCentavos":0,"currency":"MXN"}"#;
                let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                let _ = stream.read(&mut [0; 4096]).await;
                let _ = stream.write_all(answer.as_bytes()).await;
                let _ = stream.shutdown().await;
            });
        }
    });
    url
}

/// A server that sends these bytes to every connection and then waits.
async fn say(bytes: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _ = stream.read(&mut [0; 4096]).await;
                let _ = stream.write_all(bytes).await;
                let _ = stream.read_to_end(&mut Vec::new()).await;
            });
        }
    });
    url
}

async fn read(url: &str, change: impl FnOnce(&mut ProviderSettings)) -> Result<(), UpstreamError> {
    let setup = Setup::with(Kind::NtxpayMx, |settings| {
        settings.client.connect_timeout = LONGEST_WAIT;
        change(settings);
    });
    let (_, upstream) = setup.at(url, Credential::Static(Authorisation::Bearer("t".into())));
    let answer = upstream.read(0, ReadRequest::alone(Priority::Plain)).await;
    answer.result.map(drop).map_err(|failure| failure.error)
}

async fn cause(url: &str, change: impl FnOnce(&mut ProviderSettings)) -> Cause {
    match read(url, change).await {
        Err(UpstreamError::Unreachable(cause)) => cause,
        other => panic!("{other:?}"),
    }
}

fn trusting(ca: Vec<u8>) -> impl FnOnce(&mut ProviderSettings) {
    move |settings| settings.client.extra_ca = Some(ca)
}

#[tokio::test]
async fn a_bad_certificate_is_named_as_the_cause() {
    let (pair, _) = issued(|_| {});
    assert_eq!(cause(&serve_with(pair).await, |_| {}).await, Cause::UnknownIssuer);

    let (pair, ca) = issued(|params| params.not_after = date_time_ymd(2020, 1, 1));
    assert_eq!(cause(&serve_with(pair).await, trusting(ca)).await, Cause::Expired);

    let (pair, ca) = issued(|params| params.not_before = date_time_ymd(2090, 1, 1));
    assert_eq!(cause(&serve_with(pair).await, trusting(ca)).await, Cause::NotYetValid);

    let (pair, ca) = issued(|params| *params = CertificateParams::new(["other.example".to_owned()]).unwrap());
    assert_eq!(cause(&serve_with(pair).await, trusting(ca)).await, Cause::OtherHost);

    assert_eq!(cause(&serve_with(self_signed(|_| {})).await, |_| {}).await, Cause::SelfSigned);
}

/// `openssl req -x509` makes a certificate that is also an authority. The usual verification refuses a server with one.
#[tokio::test]
async fn a_self_signed_certificate_in_extra_ca_is_trusted_as_it_is() {
    let authority = |params: &mut CertificateParams| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let pair = self_signed(authority);
    let ca = pem(&pair.0);
    let url = serve_with(pair).await;
    assert_eq!(cause(&url, |_| {}).await, Cause::SelfSigned);
    let other = pem(&self_signed(authority).0);
    assert_eq!(cause(&url, trusting(other)).await, Cause::SelfSigned, "only another certificate is trusted");

    assert_eq!(read(&url, trusting(ca)).await, Ok(()));

    let expired = self_signed(|params| {
        authority(params);
        params.not_after = date_time_ymd(2020, 1, 1);
    });
    let ca = pem(&expired.0);
    assert_eq!(cause(&serve_with(expired).await, trusting(ca)).await, Cause::Expired);
    let elsewhere = self_signed(|params| {
        *params = CertificateParams::new(["other.example".to_owned()]).unwrap();
        authority(params);
    });
    let ca = pem(&elsewhere.0);
    assert_eq!(cause(&serve_with(elsewhere).await, trusting(ca)).await, Cause::OtherHost);
}

#[tokio::test]
async fn a_server_without_usable_tls_is_named_as_the_cause() {
    assert_eq!(cause(&say(b"HTTP/1.1 400 Bad Request\r\n\r\n").await, |_| {}).await, Cause::NoTls);
    // An alert: protocol_version.
    assert_eq!(cause(&say(b"\x15\x03\x01\x00\x02\x02\x46").await, |_| {}).await, Cause::OldTls);
    let silent = say(b"").await;
    assert_eq!(
        cause(&silent, |settings| settings.client.connect_timeout = SHORT).await,
        Cause::HandshakeTimeout
    );

    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    assert_eq!(cause(&format!("https://{closed}"), |_| {}).await, Cause::ConnectionRefused);
}

/// The machine that runs the tests may have no name server.
#[tokio::test]
async fn an_unknown_host_is_named_as_the_cause() {
    let cause =
        cause("https://no-such-host.invalid", |settings| settings.client.connect_timeout = LONGEST_WAIT)
            .await;

    assert!(matches!(cause, Cause::UnknownHost | Cause::NameServer | Cause::NameServerTimeout), "{cause:?}");
}

#[tokio::test]
async fn a_proxy_that_refuses_is_named_with_its_status() {
    for (answer, expected) in [
        (&b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"[..], Cause::Proxy(407)),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", Cause::Proxy(502)),
        (b"SSH-2.0-OpenSSH\r\n\r\n", Cause::ProxyNotHttp),
    ] {
        let proxy = say(answer).await.replace("https", "http");

        let cause = cause("https://provider.example", |settings| {
            settings.client.proxy = Some(proxy.parse().unwrap());
        });

        assert_eq!(cause.await, expected);
    }
}
