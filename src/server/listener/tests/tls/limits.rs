//! Every limit holds with TLS as in plain text.

use super::*;

/// A server and one connection to it.
async fn connected(change: impl FnOnce(&mut ListenerSettings)) -> (Server, TlsClient) {
    let authority = Authority::new();
    let (server, _) = start(authority.settings(None), change);
    let client = connect(&server, &authority.client(&[b"http/1.1"], None)).await.unwrap();
    (server, client)
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
