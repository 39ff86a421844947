//! Connections without TLS: the peer of a request, and the idle timeout.

use std::convert::Infallible;

use axum::body::Body;

use super::*;

#[tokio::test]
async fn a_request_carries_its_peer() {
    let server = Server::start(|_| {});
    let mut client = server.connect().await;

    client.send("GET /peer HTTP/1.1\r\nhost: gateway\r\n\r\n").await;

    let answer = client.answer().await;
    assert!(answer.ends_with(&client.0.local_addr().unwrap().to_string()), "{answer}");
}

#[tokio::test]
async fn an_idle_connection_outlives_the_header_timeout() {
    let server = Server::with_short_timeouts();
    let mut client = server.connect().await;
    let connected = Instant::now();

    client.ask().await;
    client.rest().await;

    assert!(connected.elapsed() >= SHORT * 3);
    server.assert_refused("head", 0);
}

#[tokio::test]
async fn the_idle_timeout_counts_from_the_last_answer() {
    let server = Server::start(|settings| settings.idle_timeout = SHORT);
    let mut client = server.connect().await;
    let connected = Instant::now();

    while connected.elapsed() < SHORT * 3 {
        client.ask().await;
        sleep(SHORT / 4).await;
    }

    assert!(client.rest().await.is_empty());
}

#[tokio::test]
async fn a_request_with_a_body_leaves_an_idle_connection() {
    let server = Server::with_short_timeouts();
    let mut client = server.connect().await;

    client.send("GET /peer HTTP/1.1\r\nhost: gateway\r\ncontent-length: 2\r\n\r\n{}").await;
    client.answer().await;
    let answered = Instant::now();

    assert!(client.rest().await.is_empty());
    assert!(answered.elapsed() >= SHORT * 2);
    server.assert_refused("head", 0);
}

#[tokio::test]
async fn any_infallible_tower_service_is_served() {
    let listener = bind(([127, 0, 0, 1], 0).into()).unwrap();
    let address = listener.local_addr().unwrap();
    let service = tower::service_fn(async |_| Ok::<_, Infallible>(http::Response::new(Body::from("plain"))));
    let mut settings = None;
    drop(Server::start(|given| settings = Some(*given)));
    let endpoint = Endpoint { listener, tls: None, metrics: None, workers: Workers::none(), spare_files: 0 };
    tokio::spawn(serve(endpoint, service, Live::new(settings.unwrap()), Shutdown::default()));

    let answer = Client(TcpStream::connect(address).await.unwrap()).ask().await;

    assert!(answer.ends_with("plain"), "{answer}");
}
