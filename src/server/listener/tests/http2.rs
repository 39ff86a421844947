//! HTTP/2, frame by frame: its preface, and the end of a connection.

mod answers;
mod bounds;
mod timeouts;

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
