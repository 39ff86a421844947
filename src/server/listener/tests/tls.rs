//! TLS: the protocol that is selected, and the clients that are accepted.

mod authority;
mod handshakes;
mod limits;

use rustls::pki_types::ServerName;
use tokio_rustls::{TlsConnector, client::TlsStream};

use self::authority::Authority;
use super::*;

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
