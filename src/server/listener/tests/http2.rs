//! HTTP/2, frame by frame.

mod answers;

use super::*;

pub(super) const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
const END_OF_STREAM: u8 = 1;
const END_OF_STREAM_AND_HEADERS: u8 = 5;
/// `GET / http`, from HPACK's static table.
pub(super) const GET_ROOT: [u8; 3] = [0x82, 0x84, 0x86];
const STATUS_200: u8 = 0x88;
const ENHANCE_YOUR_CALM: u32 = 11;

fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let [_, length @ ..] = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[..], &[kind, flags, 0, 0, 0, stream], payload].concat()
}

/// A preface with these settings and a request with these fields on stream 1.
pub(super) fn first_request(settings: &[u8], fields: &[u8]) -> Vec<u8> {
    [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        frame(SETTINGS, 0, 0, settings),
        frame(HEADERS, END_OF_STREAM_AND_HEADERS, 1, fields),
    ]
    .concat()
}

impl<T: AsyncRead + AsyncWrite + Unpin> Client<T> {
    /// Returns the next frame of this kind, and acknowledges settings that arrive before it.
    pub(super) async fn frame(&mut self, kind: u8) -> Vec<u8> {
        loop {
            let mut head = [0; 9];
            soon(self.0.read_exact(&mut head)).await.unwrap();
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; length.try_into().unwrap()];
            soon(self.0.read_exact(&mut payload)).await.unwrap();
            if head[3] == SETTINGS && head[4] != ACK {
                self.send(frame(SETTINGS, ACK, 0, &[])).await;
            }
            if head[3] == kind {
                return payload;
            }
        }
    }
}

#[tokio::test]
async fn a_client_may_use_http2_by_prior_knowledge() {
    let server = Server::start(|_| {});
    let mut client = server.connect().await;

    client.send(first_request(&[], &GET_ROOT)).await;

    assert_eq!(client.frame(HEADERS).await[0], STATUS_200);
    assert_eq!(client.frame(DATA).await, b"balance");
}

#[tokio::test]
async fn the_preface_is_recognised_byte_by_byte() {
    let server = Server::start(|_| {});
    let mut client = server.connect().await;
    client.0.set_nodelay(true).unwrap();

    for byte in first_request(&[], &GET_ROOT) {
        client.send([byte]).await;
        tokio::task::yield_now().await;
    }

    assert_eq!(client.frame(HEADERS).await[0], STATUS_200);
}

#[tokio::test]
async fn a_draining_server_sends_goaway_with_its_answer() {
    let server = Server::start(|_| {});
    let mut client = server.connect().await;
    client.send(first_request(&[], &GET_ROOT)).await;
    client.frame(DATA).await;

    server.shutdown.begin_drain();
    client.send(frame(HEADERS, END_OF_STREAM_AND_HEADERS, 3, &GET_ROOT)).await;

    assert_eq!(client.frame(HEADERS).await[0], STATUS_200);
    client.frame(GOAWAY).await;
}

#[tokio::test]
async fn a_server_sends_goaway_when_accepting_stops() {
    let server = Server::start(|_| {});
    let mut client = server.connect().await;
    client.send(first_request(&[], &GET_ROOT)).await;
    client.frame(DATA).await;

    server.shutdown.begin_stop();

    client.frame(GOAWAY).await;
}

#[tokio::test]
async fn an_idle_connection_outlives_the_header_timeout() {
    let server = Server::start(|settings| {
        settings.header_timeout = SHORT;
        settings.idle_timeout = SHORT * 3;
    });
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
async fn an_unreadable_preface_is_counted() {
    let server = Server::start(|_| {});
    let mut client = server.connect().await;

    client.send("PRINT / HTTP/1.1\r\nhost: gateway\r\n\r\n").await;

    client.rest().await;
    server.assert_refused("head", 1);
}

#[tokio::test]
async fn a_peer_that_leaves_before_a_request_is_not_counted() {
    let server = Server::start(|_| {});
    let mut client = server.connect().await;

    client.send(&first_request(&[], &[])[..24]).await;
    client.0.shutdown().await.unwrap();

    client.rest().await;
    server.assert_refused("head", 0);
}

#[tokio::test]
async fn more_than_100_fields_are_refused() {
    let server = Server::start(|_| {});
    let mut client = server.connect().await;
    let fields = [&GET_ROOT[..], &b"\x00\x01x\x01y".repeat(101)].concat();

    client.send(first_request(&[], &fields)).await;
    client.send(frame(HEADERS, END_OF_STREAM_AND_HEADERS, 3, &fields)).await;

    // The name `:status` from the static table, the value 431 in Huffman code.
    assert!(client.frame(HEADERS).await.starts_with(&[0x48, 0x83, 0x69, 0x90, 0xff]));
    client.frame(GOAWAY).await;
    server.assert_refused("head", 1);
}

/// The error code of a GOAWAY, which follows the last stream.
fn reason(goaway: &[u8]) -> u32 {
    u32::from_be_bytes(goaway[4..8].try_into().unwrap())
}

#[tokio::test]
async fn unfinished_header_blocks_share_a_bounded_memory() {
    let server = Server::start(|_| {});
    // The shared memory is enough for sixteen of these.
    let open = frame(HEADERS, END_OF_STREAM, 3, &GET_ROOT);
    let mut clients = Vec::new();
    for _ in 0..17 {
        let mut client = server.connect().await;
        client.send(first_request(&[], &GET_ROOT)).await;
        client.frame(DATA).await;
        client.send(&open).await;
        clients.push(client);
        if clients.len() == 16 {
            // The server reads the blocks in the order of their arrival. The last block must arrive after all others.
            sleep(SHORT).await;
        }
    }

    let mut last = clients.pop().unwrap();
    last.rest().await;
    server.assert_refused("head", 1);

    clients[0].send(frame(CONTINUATION, END_HEADERS, 3, &[])).await;
    clients[0].frame(DATA).await;
    let mut next = server.connect().await;
    next.send(first_request(&[], &GET_ROOT)).await;
    next.frame(DATA).await;
    next.send([open, frame(CONTINUATION, END_HEADERS, 3, &[])].concat()).await;
    next.frame(DATA).await;
}

#[tokio::test]
async fn rapid_resets_end_the_connection_and_are_counted() {
    let server = Server::start(|_| {});
    let (mut client, mut good) = (server.connect().await, server.connect().await);
    let mut flood = first_request(&[], &GET_ROOT);
    for stream in (3..=101).step_by(2) {
        flood.extend(frame(HEADERS, END_OF_STREAM_AND_HEADERS, stream, &GET_ROOT));
        flood.extend(frame(RST_STREAM, 0, stream, &[0, 0, 0, 8]));
    }

    client.send(flood).await;

    assert_eq!(reason(&client.frame(GOAWAY).await), ENHANCE_YOUR_CALM);
    client.rest().await;
    server.assert_refused("head", 1);
    assert!(good.ask().await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn endless_header_fields_end_the_connection_and_are_counted() {
    let server = Server::start(|_| {});
    let mut client = server.connect().await;
    let mut flood = first_request(&[], &GET_ROOT);
    flood.extend(frame(HEADERS, END_OF_STREAM, 3, &GET_ROOT));
    flood.extend(frame(CONTINUATION, 0, 3, b"\x00\x01x\x01y").repeat(10_000));

    // The server may be gone before it has read all.
    let _ = client.0.write_all(&flood).await;

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
