//! The header timeout and the idle timeout of an HTTP/2 connection.

use super::*;

#[tokio::test]
async fn an_idle_connection_outlives_the_header_timeout() {
    let server = Server::with_short_timeouts();
    let mut client = server.connect().await;
    let connected = Instant::now();

    client.send(first_request(&[], &GET_ROOT)).await;
    client.rest().await;

    assert!(connected.elapsed() >= SHORT * 3);
    server.assert_refused("head", 0);
}

#[tokio::test]
async fn a_peer_without_a_request_is_late_with_its_head() {
    let server = Server::start(|settings| settings.header_timeout = SHORT);
    let mut client = server.connect().await;

    client.send(&first_request(&[], &[])[..24 + 9]).await;

    client.rest().await;
    server.assert_refused("head", 1);
}

#[tokio::test]
async fn a_later_head_that_is_half_sent_has_the_header_timeout() {
    for half in [&frame(HEADERS, END_OF_STREAM, 3, &GET_ROOT)[..], &frame(HEADERS, 5, 3, &GET_ROOT)[..10]] {
        let server = Server::start(|settings| settings.header_timeout = SHORT);
        let mut client = server.connect().await;
        client.send(first_request(&[], &GET_ROOT)).await;
        client.frame(DATA).await;
        let asked = Instant::now();

        client.send(half).await;

        client.rest().await;
        assert!(asked.elapsed() < SHORT * 3);
        server.assert_refused("head", 1);
    }
}

#[tokio::test]
async fn frames_without_a_head_leave_a_connection_idle() {
    let server = Server::start(|settings| settings.header_timeout = SHORT);
    let mut client = server.connect().await;
    client.send(first_request(&[], &GET_ROOT)).await;
    client.frame(DATA).await;
    let asked = Instant::now();

    while asked.elapsed() < SHORT * 3 {
        let ping = frame(PING, 0, 0, &[0; 8]);
        client.send(&ping[..12]).await;
        sleep(SHORT / 8).await;
        client.send(&ping[12..]).await;
        client.frame(PING).await;
    }

    client.send(frame(HEADERS, END_OF_STREAM_AND_HEADERS, 3, &GET_ROOT)).await;
    assert_eq!(client.frame(HEADERS).await[0], STATUS_200);
}
