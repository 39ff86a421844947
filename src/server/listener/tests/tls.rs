//! TLS: which clients are accepted, which failures are counted, and that every limit holds as in plain text.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject};
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::*;

/// An authority that signs certificates.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// A certificate for this machine and its key, in PEM.
    fn sign(&self) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    /// The TLS settings of a server with a certificate of this authority.
    fn settings(&self, client_ca: Option<&Self>) -> TlsSettings {
        let (certificate, key) = self.sign();
        let client_ca = client_ca.map(Self::pem);
        TlsSettings::new(certificate.as_bytes(), key.as_bytes(), client_ca.as_deref().map(str::as_bytes))
            .unwrap()
    }

    /// A client that trusts this authority, speaks these protocols, and shows this certificate.
    fn client(&self, protocols: &[&[u8]], identity: Option<(String, String)>) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.pem().as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
                builder
                    .with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap())
                    .unwrap()
            }
        };
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        TlsConnector::from(Arc::new(config))
    }
}

type TlsClient = Client<TlsStream<TcpStream>>;

fn start(tls: TlsSettings, change: impl FnOnce(&mut ListenerSettings)) -> (Server, Live<TlsSettings>) {
    let (shutdown, tls) = (Shutdown::default(), Live::new(tls));
    let listener = bind(([127, 0, 0, 1], 0).into()).unwrap();
    (Server::start_at(change, listener, Some(tls.clone()), shutdown.clone(), shutdown), tls)
}

/// Performs the handshake, and sends no request yet.
async fn connect(server: &Server, connector: &TlsConnector) -> io::Result<TlsClient> {
    let name = ServerName::try_from("localhost").unwrap();
    Ok(Client(soon(connector.connect(name, server.connect().await.0)).await?))
}

/// A server and one connection to it.
async fn connected(change: impl FnOnce(&mut ListenerSettings)) -> (Server, TlsClient) {
    let authority = Authority::new();
    let (server, _) = start(authority.settings(None), change);
    let client = connect(&server, &authority.client(&[b"http/1.1"], None)).await.unwrap();
    (server, client)
}

/// Whether a client gets an answer. With TLS 1.3, the server refuses a client only after the client has finished its
/// handshake.
async fn is_served(server: &Server, connector: &TlsConnector) -> bool {
    let Ok(mut client) = connect(server, connector).await else { return false };
    // The answer shows whether the request arrived.
    let _ = soon(client.0.write_all(REQUEST.as_bytes())).await;
    soon(client.0.read_u8()).await.is_ok()
}

#[tokio::test]
async fn alpn_selects_the_protocol() {
    let authority = Authority::new();
    let (server, _) = start(authority.settings(None), |_| {});
    for (offered, agreed) in
        [(&[&b"h2"[..], b"http/1.1"][..], Some(&b"h2"[..])), (&[b"http/1.1"], Some(b"http/1.1")), (&[], None)]
    {
        let mut client = connect(&server, &authority.client(offered, None)).await.unwrap();

        assert_eq!(client.0.get_ref().1.alpn_protocol(), agreed);
        if agreed == Some(b"h2") {
            client.send(http2::first_request(&[], &http2::GET_ROOT)).await;
            assert_eq!(client.frame(http2::DATA).await, b"balance");
        } else {
            assert!(client.ask().await.ends_with("balance"));
        }
    }
    server.assert_refused("tls", 0);
}

#[tokio::test]
async fn with_a_client_ca_only_its_clients_are_accepted() {
    let (authority, clients, strangers) = (Authority::new(), Authority::new(), Authority::new());
    let (server, _) = start(authority.settings(Some(&clients)), |_| {});
    let client = |identity| authority.client(&[b"http/1.1"], identity);

    assert!(is_served(&server, &client(Some(clients.sign()))).await);
    assert!(!is_served(&server, &client(Some(strangers.sign()))).await);
    assert!(!is_served(&server, &client(Some(authority.sign()))).await);
    assert!(!is_served(&server, &client(None)).await);

    server.assert_refused("tls", 3);
}

#[tokio::test]
async fn replaced_tls_settings_apply_to_new_connections_only() {
    let (authority, next) = (Authority::new(), Authority::new());
    let (server, tls) = start(authority.settings(None), |_| {});
    let (trusts_old, trusts_new) =
        (authority.client(&[b"http/1.1"], None), next.client(&[b"http/1.1"], None));
    let mut open = connect(&server, &trusts_old).await.unwrap();
    open.ask().await;

    tls.replace(next.settings(None));

    assert!(!is_served(&server, &trusts_old).await);
    assert!(is_served(&server, &trusts_new).await);
    assert!(open.ask().await.ends_with("balance"));

    tls.replace(next.settings(Some(&next)));

    // A resumed session does not help either.
    assert!(!is_served(&server, &trusts_new).await);
    assert!(is_served(&server, &next.client(&[b"http/1.1"], Some(next.sign()))).await);
    assert!(open.ask().await.ends_with("balance"));
}

#[tokio::test]
async fn a_handshake_that_fails_is_counted() {
    let (server, _) = start(Authority::new().settings(None), |_| {});

    let mut plain = server.connect().await;
    plain.send(REQUEST).await;
    plain.rest().await;
    server.assert_refused("tls", 1);

    let stranger = Authority::new().client(&[], None);
    assert!(connect(&server, &stranger).await.is_err());
    let mut gone = server.connect().await;
    gone.send([0x16, 0x03]).await;
    gone.0.shutdown().await.unwrap();
    gone.rest().await;

    server.assert_refused("tls", 3);
    server.assert_refused("head", 0);
}

#[tokio::test]
async fn a_handshake_has_the_header_timeout_from_the_accept() {
    let (server, _) = start(Authority::new().settings(None), |settings| settings.header_timeout = SHORT);
    let connected = Instant::now();
    let (mut slow, mut silent) = (server.connect().await, server.connect().await);

    slow.send([0x16, 0x03, 0x01]).await;

    slow.rest().await;
    silent.rest().await;
    assert!(connected.elapsed() >= SHORT && connected.elapsed() < SHORT * 3);
    server.assert_refused("tls", 1);
    server.assert_refused("head", 0);
}

#[tokio::test]
async fn the_handshake_is_part_of_the_header_timeout() {
    let authority = Authority::new();
    let (server, _) = start(authority.settings(None), |settings| settings.header_timeout = SHORT * 3);
    let stream = server.connect().await.0;
    let connected = Instant::now();
    sleep(SHORT * 2).await;
    let name = ServerName::try_from("localhost").unwrap();
    let stream = soon(authority.client(&[], None).connect(name, stream)).await.unwrap();
    let mut client = Client(stream);

    client.send("GET / HT").await;

    client.rest().await;
    assert!(connected.elapsed() < SHORT * 5);
    server.assert_refused("head", 1);
    server.assert_refused("tls", 0);
}

#[tokio::test]
async fn a_half_sent_head_is_closed_and_an_idle_connection_is_not() {
    let (server, mut client) = connected(|settings| {
        settings.header_timeout = SHORT;
        settings.idle_timeout = SHORT * 4;
    })
    .await;
    client.ask().await;
    sleep(SHORT * 2).await;
    client.ask().await;
    let asked = Instant::now();

    client.send("GET / HT").await;

    client.rest().await;
    assert!(asked.elapsed() < SHORT * 3);
    server.assert_refused("head", 1);
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_its_time() {
    let (server, mut client) = connected(|settings| settings.idle_timeout = SHORT).await;

    client.ask().await;

    assert!(client.rest().await.is_empty());
    server.assert_refused("head", 0);
}

#[tokio::test]
async fn a_slow_reader_is_cut() {
    let (mut server, mut client) = connected(|settings| settings.request_timeout = SHORT).await;
    let asked = Instant::now();

    client.send("GET /large HTTP/1.1\r\nhost: gateway\r\n\r\n").await;

    assert_eq!(server.event().await, "dropped");
    assert!(asked.elapsed() >= SHORT && asked.elapsed() < SHORT * 5);
}

#[tokio::test]
async fn a_large_answer_arrives() {
    let (_server, mut client) = connected(|_| {}).await;

    client.send("GET /large HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\n\r\n").await;

    assert!(client.rest().await.len() > 16 * 1024 * 1024);
}

#[tokio::test]
async fn an_old_connection_and_one_that_drains_close_after_their_answer() {
    let (_server, mut old) = connected(|settings| settings.max_connection_age = Duration::ZERO).await;
    let (server, mut draining) = connected(|_| {}).await;
    server.shutdown.begin_drain();

    for client in [&mut old, &mut draining] {
        assert!(client.ask().await.contains("connection: close\r\n"));
        assert!(client.rest().await.is_empty());
    }
}

#[tokio::test]
async fn stopping_does_not_wait_for_a_handshake() {
    let (server, _) = start(Authority::new().settings(None), |_| {});
    let mut client = server.connect().await;
    client.send([0x16, 0x03, 0x01]).await;

    server.shutdown.begin_stop();

    client.rest().await;
    assert_eq!(server.drained().await, Drained { cut: 0 });
}

#[tokio::test]
async fn large_handshakes_share_a_bounded_memory_and_small_ones_need_none() {
    let authority = Authority::new();
    let (server, _) = start(authority.settings(None), |_| {});
    // A ClientHello that announces nearly 64 KiB, in records, of which 60 KiB are sent.
    let hello = [&[1, 0, 0xff, 0xf0][..], &vec![0; 60 * 1024]].concat();
    let record =
        |part: &[u8]| [&[22, 3, 1][..], &u16::try_from(part.len()).unwrap().to_be_bytes(), part].concat();
    let hello: Vec<u8> = hello.chunks(16 * 1024).flat_map(record).collect();
    let mut clients = Vec::new();
    for _ in 0..80 {
        let mut client = server.connect().await;
        // The server may have closed before it has read all.
        let _ = client.0.write_all(&hello).await;
        clients.push(client);
    }
    let is_full = || async {
        let mut one_more = server.connect().await;
        let _ = one_more.0.write_all(&hello).await;
        timeout(SHORT, one_more.rest()).await.is_ok()
    };
    soon(async { while !is_full().await {} }).await;

    assert!(is_served(&server, &authority.client(&[b"http/1.1"], None)).await);
    drop(clients);
    soon(async { while is_full().await {} }).await;
}
