//! Answers that an HTTP/2 peer takes slowly or not at all: each has a deadline.

use super::*;

#[tokio::test]
async fn a_peer_that_takes_nothing_and_keeps_asking_is_cut() {
    let server = Server::start(|settings| settings.request_timeout = SHORT * 2);
    let client = server.connect().await;
    let no_window = [0, 4, 0, 0, 0, 0];
    let asked = Instant::now();
    let (mut read, mut write) = client.0.into_split();
    write.write_all(&first_request(&no_window, &GET_ROOT)).await.unwrap();

    let ask = tokio::spawn(async move {
        for stream in (3..=251).step_by(2) {
            let request = frame(HEADERS, END_OF_STREAM_AND_HEADERS, stream, &GET_ROOT);
            if write.write_all(&request).await.is_err() {
                return;
            }
            sleep(SHORT / 4).await;
        }
    });
    let _ = soon(read.read_to_end(&mut Vec::new())).await;

    assert!(asked.elapsed() >= SHORT * 2 && asked.elapsed() < SHORT * 6);
    ask.abort();
}

#[tokio::test]
async fn a_peer_that_reads_nothing_and_never_stops_sending_is_cut() {
    let server = Server::start(|settings| settings.request_timeout = SHORT);
    let mut client = server.connect().await;
    client.send(first_request(&[], &GET_ROOT)).await;
    let pings = frame(PING, 0, 0, &[0; 8]).repeat(1000);

    // One bound for all writes together: each write succeeds until the server's own answers find no room.
    soon(async { while client.0.write_all(&pings).await.is_ok() {} }).await;
}

#[tokio::test]
async fn a_peer_that_reads_nothing_and_keeps_the_server_busy_is_cut() {
    let server = Server::start(|settings| settings.request_timeout = SHORT);
    let mut client = server.connect().await;
    let no_window = [0, 4, 0, 0, 0, 0];
    client.send(first_request(&no_window, &GET_ROOT)).await;
    // These frames need no answer, so the server always has more to read.
    let priorities = frame(PRIORITY, 0, 3, &[0; 5]).repeat(10_000);

    soon(async { while client.0.write_all(&priorities).await.is_ok() {} }).await;
}

/// `GET http` of this path, by HPACK without its tables.
fn get(path: &str) -> Vec<u8> {
    [&[0x82, 0x86, 0x04, u8::try_from(path.len()).unwrap()], path.as_bytes()].concat()
}

fn window_update(stream: u8, more: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &more.to_be_bytes())
}

const WINDOW_UPDATE: u8 = 8;
const NO_WINDOW: [u8; 6] = [0, 4, 0, 0, 0, 0];
const CANCEL: u32 = 8;

#[tokio::test]
async fn an_answer_without_a_window_is_reset_at_its_deadline_and_the_connection_continues() {
    let server = Server::start(|_| {});
    let mut client = server.connect().await;
    let asked = Instant::now();
    client.send(first_request(&NO_WINDOW, &get("/brief"))).await;

    let reset = client.frame(RST_STREAM).await;
    assert_eq!(u32::from_be_bytes(reset.try_into().unwrap()), CANCEL);
    assert!(asked.elapsed() >= SHORT * 3 && asked.elapsed() < SHORT * 10);

    client.send(window_update(1, 1000)).await;
    client.send(frame(HEADERS, END_OF_STREAM_AND_HEADERS, 3, &get("/"))).await;
    client.send(window_update(3, 1000)).await;
    assert_eq!(client.frame(DATA).await, b"balance", "the body of the second stream");
}

#[tokio::test]
async fn an_answer_behind_a_full_connection_window_is_reset_at_its_deadline() {
    let server = Server::start(|_| {});
    let mut client = server.connect().await;
    let large_window = [0, 4, 0x7f, 0xff, 0xff, 0xff];
    client.send(first_request(&large_window, &get("/large"))).await;
    let mut taken = 0;
    while taken < 65_535 {
        taken += client.frame(DATA).await.len();
    }

    client.send(frame(HEADERS, END_OF_STREAM_AND_HEADERS, 3, &get("/brief"))).await;

    let reset = client.frame(RST_STREAM).await;
    assert_eq!(u32::from_be_bytes(reset.try_into().unwrap()), CANCEL);
}

/// Asserts that a stream is reset, and that another one is served after it.
async fn assert_only_the_stream_is_reset(client: &mut Client) {
    let reset = client.frame(RST_STREAM).await;
    assert_eq!(u32::from_be_bytes(reset.try_into().unwrap()), CANCEL);

    client.send(window_update(1, 1000)).await;
    client.send(frame(HEADERS, END_OF_STREAM_AND_HEADERS, 3, &get("/"))).await;
    client.send(window_update(3, 1000)).await;
    let mut body = Vec::new();
    while body.len() < b"balance".len() {
        body.extend(client.frame(DATA).await);
    }
    assert_eq!(body, b"balance", "the body of the second stream");
}

#[tokio::test]
async fn a_partly_read_answer_is_reset_at_its_deadline_and_the_connection_continues() {
    for window in [1, 3, 6] {
        let server = Server::start(|_| {});
        let mut client = server.connect().await;
        let asked = Instant::now();
        client.send(first_request(&[0, 4, 0, 0, 0, window], &get("/brief"))).await;
        assert_eq!(client.frame(DATA).await, &b"balance"[..usize::from(window)]);

        assert_only_the_stream_is_reset(&mut client).await;

        assert!(asked.elapsed() >= SHORT * 3 && asked.elapsed() < SHORT * 10);
    }
}

#[tokio::test]
async fn an_answer_whose_window_is_as_large_as_its_body_is_complete() {
    let server = Server::start(|_| {});
    let mut client = server.connect().await;
    client.send(first_request(&[0, 4, 0, 0, 0, 7], &get("/brief"))).await;

    let mut body = Vec::new();
    while body.len() < 7 {
        body.extend(client.frame(DATA).await);
    }

    assert_eq!(body, b"balance");
}

#[tokio::test]
async fn a_head_without_a_body_is_reset_with_the_kernels_bytes() {
    let server = Server::start(|_| {});
    let mut client = server.connect().await;
    let large_window = [0, 4, 0x7f, 0xff, 0xff, 0xff];
    client.send(first_request(&large_window, &get("/large"))).await;
    client.send(window_update(0, 0x7000_0000)).await;
    // The peer reads nothing, so the kernel soon takes no further byte.
    sleep(SHORT).await;

    client.send(frame(HEADERS, END_OF_STREAM_AND_HEADERS, 3, &get("/brief-empty"))).await;
    sleep(SHORT * 6).await;

    assert!(is_reset(&mut client).await);
}

#[tokio::test]
async fn a_stream_of_frames_without_a_window_is_reset_and_makes_one_frame() {
    for (window, path, request_timeout) in [
        (0, "/frames", SHORT * 2),
        (3, "/frames", SHORT * 2),
        (0, "/brief-frames", LONG),
        (3, "/brief-frames", LONG),
    ] {
        let mut server = Server::start(|settings| settings.request_timeout = request_timeout);
        let mut client = server.connect().await;
        let asked = Instant::now();
        client.send(first_request(&[0, 4, 0, 0, 0, window], &get(path))).await;

        assert_only_the_stream_is_reset(&mut client).await;

        assert!(asked.elapsed() >= SHORT * 2, "{path}");
        assert_eq!(server.event().await, "frame");
        assert!(server.events.try_recv().is_err(), "{path}: one frame at a time");
    }
}

#[tokio::test]
async fn a_stream_continues_when_the_peer_takes_each_frame_in_time() {
    let server = Server::start(|settings| settings.request_timeout = SHORT * 2);
    let mut client = server.connect().await;
    let asked = Instant::now();
    client.send(first_request(&[], &get("/brief-frames"))).await;

    while asked.elapsed() < SHORT * 6 {
        let taken = u32::try_from(client.frame(DATA).await.len()).unwrap();
        if taken > 0 {
            client.send([window_update(0, taken), window_update(1, taken)].concat()).await;
        }
    }
}

#[tokio::test]
async fn a_taken_answer_leaves_its_connection_open() {
    let server = Server::start(|_| {});
    let mut client = server.connect().await;
    client.send(first_request(&[], &get("/brief"))).await;
    assert_eq!(client.frame(DATA).await, b"balanc");
    assert_eq!(client.frame(DATA).await, b"e");

    sleep(SHORT * 6).await;

    client.send(frame(HEADERS, END_OF_STREAM_AND_HEADERS, 3, &GET_ROOT)).await;
    assert_eq!(client.frame(DATA).await, b"balance");
}

#[tokio::test]
async fn a_stranger_that_reads_no_answers_gets_only_a_few() {
    let server = Server::start(|_| {});
    let mut client = server.connect().await;
    client.send(first_request(&NO_WINDOW, &GET_ROOT)).await;
    for stream in (3..=41).step_by(2) {
        client.send(frame(HEADERS, END_OF_STREAM_AND_HEADERS, stream, &GET_ROOT)).await;
    }

    let reset = client.frame(RST_STREAM).await;

    assert_eq!(u32::from_be_bytes(reset.try_into().unwrap()), ENHANCE_YOUR_CALM);
}
