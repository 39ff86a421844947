//! The clients: raw connections that are opened first and then all ask at once, each with one write.

use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// The maximum number of header fields in an answer: more than any contender sends.
const MAX_FIELDS: usize = 64;

/// A complete answer.
#[derive(Debug)]
pub(crate) struct Answer {
    /// When its last byte was read.
    pub(crate) at: Instant,
    pub(crate) status: u16,
    pub(crate) body: String,
    /// Kept open: closing it would cost the server time, which would delay the clients that still wait.
    _connection: TcpStream,
}

/// Opens the connections, sends the request on each of them, and returns all answers.
pub(crate) async fn ask(address: SocketAddr, request: &str, clients: usize) -> io::Result<Vec<Answer>> {
    let mut connections = Vec::with_capacity(clients);
    for _ in 0..clients {
        connections.push(TcpStream::connect(address).await?);
    }
    let mut asking = JoinSet::new();
    for connection in connections {
        asking.spawn(ask_one(connection, request.to_owned()));
    }
    asking.join_all().await.into_iter().collect()
}

async fn ask_one(mut connection: TcpStream, request: String) -> io::Result<Answer> {
    connection.write_all(request.as_bytes()).await?;
    let mut received = Vec::with_capacity(4096);
    loop {
        let is_cut = connection.read_buf(&mut received).await? == 0;
        let at = now();
        if let Some((status, body)) = parse(&received)? {
            return Ok(Answer { at, status, body, _connection: connection });
        }
        if is_cut {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// The status and the body, once the answer is complete.
fn parse(received: &[u8]) -> io::Result<Option<(u16, String)>> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut head = httparse::Response::new(&mut fields);
    let httparse::Status::Complete(head_length) = head.parse(received).map_err(io::Error::other)? else {
        return Ok(None);
    };
    let length = head
        .headers
        .iter()
        .find(|field| field.name.eq_ignore_ascii_case("content-length"))
        .and_then(|field| str::from_utf8(field.value).ok()?.parse::<usize>().ok())
        .ok_or_else(|| io::Error::other("an answer without a length"))?;
    let body = received[head_length..].get(..length);
    Ok(head.code.zip(body.map(|body| String::from_utf8_lossy(body).into_owned())))
}

#[expect(clippy::disallowed_methods, reason = "the clients' clock is what measures")]
fn now() -> Instant {
    Instant::now()
}
