//! Answers that a peer takes slowly or not at all: each has a deadline.

use super::*;

#[tokio::test]
async fn a_reader_that_drips_is_cut_after_the_request_timeout() {
    let mut server = Server::start(|settings| settings.request_timeout = SHORT);
    let mut client = server.connect().await;
    let asked = Instant::now();
    client.send("GET /large HTTP/1.1\r\nhost: gateway\r\n\r\n").await;
    let drip = tokio::spawn(async move {
        while client.0.read_u8().await.is_ok() {
            sleep(SHORT / 40).await;
        }
    });

    assert_eq!(server.event().await, "dropped");

    assert!(asked.elapsed() >= SHORT && asked.elapsed() < SHORT * 5);
    drip.abort();
}

#[tokio::test]
async fn an_answer_unread_at_its_deadline_resets_the_connection() {
    let server = Server::start(|_| {});
    let mut client = server.connect().await;
    client.send("GET /brief-large HTTP/1.1\r\nhost: gateway\r\n\r\n").await;

    sleep(SHORT * 6).await;

    let mut rest = Vec::new();
    let ended = soon(client.0.read_to_end(&mut rest)).await;
    assert!(ended.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionReset));
    assert!(rest.len() < 16 * 1024 * 1024);
}

#[tokio::test]
async fn pipelined_answers_that_are_not_taken_reset_the_connection() {
    let server = Server::start(|_| {});
    let mut client = server.connect().await;
    socket2::SockRef::from(&client.0).set_recv_buffer_size(4096).unwrap();
    let request = "GET /brief HTTP/1.1\r\nhost: gateway\r\n\r\n";
    // The server reads no further when its answers are not taken, so the write may not end.
    let _ = timeout(SHORT, client.0.write_all(request.repeat(100_000).as_bytes())).await;

    sleep(SHORT * 6).await;

    assert!(is_reset(&mut client).await);
}

#[tokio::test]
async fn bytes_in_the_kernel_are_not_sent_after_their_deadline() {
    let server = Server::start(|_| {});
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(2304).unwrap();
    let mut client = Client(socket.connect(server.address).await.unwrap());
    let request = "GET /brief HTTP/1.1\r\nhost: gateway\r\n\r\n";
    client.send(request.repeat(60)).await;

    sleep(SHORT * 6).await;

    assert!(is_reset(&mut client).await);
}

#[tokio::test]
async fn an_answer_that_was_taken_leaves_its_connection_open() {
    let server = Server::start(|_| {});
    let mut client = server.connect().await;
    client.send("GET /brief HTTP/1.1\r\nhost: gateway\r\n\r\n").await;
    client.answer().await;

    sleep(SHORT * 6).await;

    assert!(client.ask().await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn a_last_answer_that_was_taken_ends_its_connection_at_once() {
    let server = Server::start(|_| {});
    let mut client = server.connect().await;
    let asked = Instant::now();
    client.send("GET /brief HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\n\r\n").await;

    let mut rest = Vec::new();
    soon(client.0.read_to_end(&mut rest)).await.unwrap();

    assert!(rest.ends_with(b"balance"));
    assert!(asked.elapsed() < SHORT * 3, "{:?}", asked.elapsed());
}

#[tokio::test]
async fn a_cut_drops_the_kernels_bytes_of_an_answer_with_a_deadline() {
    let server = Server::start(|settings| settings.drain_timeout = SHORT);
    let mut client = server.connect().await;
    client.send("GET /brief-large HTTP/1.1\r\nhost: gateway\r\n\r\n").await;
    sleep(SHORT).await;

    server.shutdown.begin_stop();
    assert_eq!(server.drained().await, Drained { cut: 1 });

    assert!(is_reset(&mut client).await);
}

#[tokio::test]
async fn a_peer_that_stops_reading_frames_is_cut_and_uses_bounded_memory() {
    for (path, request_timeout) in [("/frames", SHORT * 2), ("/brief-frames", LONG)] {
        let mut server = Server::start(|settings| settings.request_timeout = request_timeout);
        let mut client = server.connect().await;
        socket2::SockRef::from(&client.0).set_recv_buffer_size(4096).unwrap();

        client.send(format!("GET {path} HTTP/1.1\r\nhost: gateway\r\n\r\n")).await;
        assert_eq!(server.event().await, "frame");
        let mut frames = 1;
        while timeout(SHORT * 6, server.events.recv()).await.is_ok() {
            frames += 1;
        }

        // The sockets' buffers hold these frames. An unbounded queue would take one more every few milliseconds.
        assert!(frames < 80, "{path}: {frames} frames");
        assert!(is_reset(&mut client).await, "{path}");
    }
}

#[tokio::test]
async fn frames_continue_when_the_peer_takes_each_in_time() {
    let server = Server::start(|settings| settings.request_timeout = SHORT * 2);
    let mut client = server.connect().await;
    let asked = Instant::now();
    client.send("GET /brief-frames HTTP/1.1\r\nhost: gateway\r\n\r\n").await;

    while asked.elapsed() < SHORT * 6 {
        soon(client.0.read_exact(&mut [0; 4096])).await.unwrap();
    }
}

#[tokio::test]
async fn a_fast_reader_gets_a_large_answer() {
    let server = Server::start(|_| {});
    let mut client = server.connect().await;

    client.send("GET /large HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\n\r\n").await;

    assert!(client.rest().await.len() > 16 * 1024 * 1024);
}

#[tokio::test]
async fn each_answer_has_its_own_time() {
    let server = Server::start(|settings| settings.request_timeout = SHORT * 5);
    let mut client = server.connect().await;

    for _ in 0..3 {
        client.send("GET /large HTTP/1.1\r\nhost: gateway\r\n\r\n").await;
        sleep(SHORT * 2).await;
        client.answer().await;
    }
}
