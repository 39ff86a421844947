//! `CONNECT` through an HTTP proxy. The proxy sees the host and the port, and nothing else.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::domain::Cause;
use crate::upstream::failure::ConnectError;

/// A longer head is no answer to `CONNECT`.
const LONGEST_HEAD: usize = 8 * 1024;
const MOST_HEADERS: usize = 64;

/// Asks the proxy to connect to the host. Nothing is read beyond the end of its answer.
pub(super) async fn open(stream: &mut TcpStream, host: &str, port: u16) -> Result<(), ConnectError> {
    let request = format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n");
    let closed = |error| ConnectError::new(Cause::Closed, error);
    stream.write_all(request.as_bytes()).await.map_err(closed)?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() >= LONGEST_HEAD {
            return Err(Cause::ProxyNotHttp.into());
        }
        // One byte at a time, because the bytes after the head belong to TLS. The head has some hundred bytes, once per
        // connection.
        head.push(stream.read_u8().await.map_err(closed)?);
    }
    match status(&head) {
        Some(200..=299) => Ok(()),
        Some(status) => Err(Cause::Proxy(status).into()),
        None => Err(Cause::ProxyNotHttp.into()),
    }
}

fn status(head: &[u8]) -> Option<u16> {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut answer = httparse::Response::new(&mut headers);
    answer.parse(head).ok()?;
    answer.code
}
