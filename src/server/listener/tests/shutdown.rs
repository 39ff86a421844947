//! When connections end: over the limit, by age, and while the listener drains and stops.

use super::*;

#[tokio::test]
async fn connections_over_the_limit_are_closed_and_counted() {
    let server = Server::start(|settings| settings.max_connections = 1);
    let mut first = server.connect().await;
    first.ask().await;

    assert!(server.connect().await.rest().await.is_empty());

    server.assert_refused("limit", 1);
    assert!(first.ask().await.starts_with("HTTP/1.1 200 "));
    drop(first);
    soon(async {
        let mut next = server.connect().await;
        while next.0.write_all(REQUEST.as_bytes()).await.is_err() || next.0.read_u8().await.is_err() {
            next = server.connect().await;
        }
    })
    .await;
}

#[tokio::test]
async fn an_old_connection_closes_after_its_answer() {
    let server = Server::start(|settings| settings.max_connection_age = Duration::ZERO);
    let mut client = server.connect().await;

    let answer = client.ask().await;

    assert!(answer.contains("connection: close\r\n"), "{answer}");
    assert!(client.rest().await.is_empty());
}

#[tokio::test]
async fn draining_leaves_idle_connections_open_until_their_next_answer() {
    let server = Server::start(|_| {});
    let mut client = server.connect().await;
    assert!(!client.ask().await.contains("connection: close"));

    server.shutdown.begin_drain();

    assert!(client.ask().await.contains("connection: close\r\n"));
    assert!(client.rest().await.is_empty());
    assert!(server.connect().await.ask().await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn stopping_closes_idle_connections() {
    let server = Server::start(|_| {});
    let mut client = server.connect().await;
    client.ask().await;

    server.shutdown.begin_stop();

    assert!(client.rest().await.is_empty());
    assert_eq!(server.drained().await, Drained { cut: 0 });
}

#[tokio::test]
async fn stopping_waits_for_a_head_that_has_begun() {
    let server = Server::start(|_| {});
    let (mut fresh, mut used) = (server.connect().await, server.connect().await);
    used.ask().await;
    fresh.send(&REQUEST[..10]).await;
    used.send(&REQUEST[..10]).await;
    // The runtime has one thread: once this request is answered, the server has read the bytes that were sent before
    // it.
    server.connect().await.ask().await;

    server.shutdown.begin_stop();
    while TcpStream::connect(server.address).await.is_ok() {}
    for mut client in [fresh, used] {
        client.send(&REQUEST[10..]).await;

        assert!(client.answer().await.contains("connection: close\r\n"));
    }
    assert_eq!(server.drained().await, Drained { cut: 0 });
}

#[tokio::test]
async fn connections_in_the_kernels_queue_are_served_after_the_stop() {
    let listener = bind(([127, 0, 0, 1], 0).into()).unwrap();
    let address = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    for _ in 0..20 {
        let mut client = Client(TcpStream::connect(address).await.unwrap());
        client.send(REQUEST).await;
        waiting.push(client);
    }
    let shutdown = Shutdown::default();
    shutdown.begin_stop();

    let server = Server::start_with(|_| {}, listener, shutdown.clone(), shutdown);

    for mut client in waiting {
        assert!(client.answer().await.contains("connection: close\r\n"));
    }
    assert_eq!(server.drained().await, Drained { cut: 0 });
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn requests_in_flight_are_cut_after_the_drain_timeout() {
    let mut server = Server::start(|settings| settings.drain_timeout = SHORT);
    let mut client = server.connect().await;
    client.send("GET /forever HTTP/1.1\r\nhost: gateway\r\n\r\n").await;
    assert_eq!(server.event().await, "begun");
    let stopped = Instant::now();

    server.shutdown.begin_stop();

    assert!(client.rest().await.is_empty());
    assert!(stopped.elapsed() >= SHORT);
    assert_eq!(server.drained().await, Drained { cut: 1 });
}

#[tokio::test]
async fn a_cut_does_not_wait() {
    let mut server = Server::start(|_| {});
    let mut client = server.connect().await;
    client.send("GET /forever HTTP/1.1\r\nhost: gateway\r\n\r\n").await;
    assert_eq!(server.event().await, "begun");

    server.shutdown.begin_cut();

    assert_eq!(server.drained().await, Drained { cut: 1 });
}

#[tokio::test]
async fn a_listener_that_serves_until_the_cut_serves_while_others_stop() {
    let shutdown = Shutdown::default();
    let listener = bind(([127, 0, 0, 1], 0).into()).unwrap();
    let server = Server::start_with(|_| {}, listener, shutdown.clone(), shutdown.until_cut());

    shutdown.begin_stop();

    assert!(!server.connect().await.ask().await.contains("connection: close"));
    shutdown.begin_cut();
    let _ = server.drained().await;
}
