//! Heads: their time-outs and bounds, and how a bad one is refused.

use super::*;

#[tokio::test]
async fn a_half_sent_head_is_closed_and_counted() {
    let server = Server::start(|settings| settings.header_timeout = SHORT);
    let mut client = server.connect().await;
    let connected = Instant::now();

    client.send("GET / HTTP/1.1\r\nho").await;

    assert!(client.rest().await.is_empty());
    assert!(connected.elapsed() < SHORT * 3);
    server.assert_refused("head", 1);
}

#[tokio::test]
async fn a_dripped_head_is_closed_after_the_header_timeout() {
    let server = Server::start(|settings| settings.header_timeout = SHORT);
    let client = server.connect().await;
    let connected = Instant::now();
    let (mut read, mut write) = client.0.into_split();

    let drip = tokio::spawn(async move {
        while write.write_all(b"G").await.is_ok() {
            sleep(SHORT / 10).await;
        }
    });

    let _ = soon(read.read_to_end(&mut Vec::new())).await;
    assert!(connected.elapsed() < SHORT * 3);
    server.assert_refused("head", 1);
    soon(drip).await.unwrap();
}

#[tokio::test]
async fn a_later_head_has_the_header_timeout_too() {
    let server = Server::start(|settings| settings.header_timeout = SHORT);
    let mut client = server.connect().await;
    client.ask().await;

    client.send("GET / HT").await;

    assert!(client.rest().await.is_empty());
    server.assert_refused("head", 1);
}

#[tokio::test]
async fn an_idle_connection_is_served_when_a_half_sent_head_is_closed() {
    let server = Server::start(|settings| settings.header_timeout = SHORT);
    let (mut idle, mut half) = (server.connect().await, server.connect().await);
    idle.ask().await;
    half.send("GET / HTTP/1.1\r\nho").await;

    assert!(half.rest().await.is_empty());
    sleep(SHORT / 5).await;

    assert!(idle.ask().await.starts_with("HTTP/1.1 200 "));
    server.assert_refused("head", 1);
}

#[tokio::test]
async fn a_half_head_behind_a_whole_request_has_the_header_timeout() {
    let server = Server::start(|settings| settings.header_timeout = SHORT);
    let mut client = server.connect().await;

    client.send([REQUEST, "GET / HTTP/1.1\r\nho"].concat()).await;
    client.answer().await;
    let answered = Instant::now();

    assert!(client.rest().await.is_empty());
    assert!(answered.elapsed() < SHORT * 3);
    server.assert_refused("head", 1);
}

#[tokio::test]
async fn the_rest_of_a_half_head_behind_a_request_is_served() {
    let server = Server::start(|settings| settings.header_timeout = SHORT * 5);
    let mut client = server.connect().await;
    let (begin, end) = REQUEST.split_at(10);
    client.send([REQUEST, begin].concat()).await;
    client.answer().await;
    sleep(SHORT).await;

    client.send(end).await;

    assert!(client.answer().await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn a_silent_peer_is_closed_and_not_counted() {
    let server = Server::start(|settings| settings.header_timeout = SHORT);
    let mut client = server.connect().await;

    assert!(client.rest().await.is_empty());

    server.assert_refused("head", 0);
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused_and_counted_once() {
    let server = Server::start(|_| {});
    let mut client = server.connect().await;

    client.send(format!("GET / HTTP/1.1\r\nhost: gateway\r\nx: {}\r\n\r\n", "x".repeat(70 * 1024))).await;

    let refusal = client.rest().await;
    assert!(refusal.starts_with(b"HTTP/1.1 431 "), "{}", refusal.escape_ascii());
    server.assert_refused("head", 1);
}

#[tokio::test]
async fn a_head_of_64_kib_is_served() {
    let server = Server::start(|_| {});
    let mut client = server.connect().await;
    let frame = "GET / HTTP/1.1\r\nhost: gateway\r\nx: \r\n\r\n".len();

    client
        .send(REQUEST.replace("\r\n\r\n", &format!("\r\nx: {}\r\n\r\n", "x".repeat(64 * 1024 - frame))))
        .await;

    assert!(client.answer().await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn a_head_of_more_than_100_fields_is_refused() {
    let server = Server::start(|_| {});
    let mut client = server.connect().await;

    client.send(REQUEST.replace("\r\n\r\n", &format!("{}\r\n\r\n", "\r\nx: y".repeat(100)))).await;

    assert!(client.rest().await.starts_with(b"HTTP/1.1 431 "));
    server.assert_refused("head", 1);
}

#[tokio::test]
async fn large_heads_share_a_bounded_memory_and_small_ones_need_none() {
    let server = Server::start(|_| {});
    let half = format!("GET / HTTP/1.1\r\nx: {}", "x".repeat(60 * 1024));
    let mut clients = Vec::new();
    for _ in 0..32 {
        let mut client = server.connect().await;
        client.send(&half).await;
        clients.push(client);
    }
    let is_full = || async {
        let mut one_more = server.connect().await;
        // The server may have closed before it has read all.
        let _ = one_more.0.write_all(half.as_bytes()).await;
        timeout(SHORT, one_more.rest()).await.is_ok()
    };
    soon(async { while !is_full().await {} }).await;

    assert!(server.connect().await.ask().await.starts_with("HTTP/1.1 200 "));

    clients[0].send("\r\nhost: gateway\r\n\r\n").await;
    let answer = clients[0].answer().await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.contains("connection: close"), "a stranger's large head ends its connection: {answer}");
}

#[tokio::test]
async fn an_unreadable_head_is_refused_and_counted_once() {
    let server = Server::start(|_| {});
    let mut client = server.connect().await;

    client.send("\x16\x03\x01 not HTTP\r\n\r\n").await;

    assert!(client.rest().await.starts_with(b"HTTP/1.1 400 "));
    server.assert_refused("head", 1);
}

#[tokio::test]
async fn a_refused_peer_may_finish_sending() {
    let server = Server::start(|_| {});
    let mut client = server.connect().await;
    client.send(format!("GET / HTTP/1.1\r\nx: {}", "x".repeat(64 * 1024))).await;
    assert!(client.rest().await.starts_with(b"HTTP/1.1 431 "));

    for _ in 0..3 {
        client.send("more").await;
    }
}
