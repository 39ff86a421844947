//! The part of HTTP/1.1 that a provider needs, on a plain socket: an HTTP library would not let a fault stop in the
//! middle of a head. Request bodies need a `Content-Length`; heads and bodies have a limit.

use std::io;

use ::http::{StatusCode, Uri};
use bytes::{Buf, BytesMut};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use url::form_urlencoded;

use super::clock;

const MAX_HEAD_BYTES: usize = 64 * 1024;
const MAX_BODY_BYTES: usize = 64 * 1024;
const MAX_HEADERS: usize = 256;

/// A request without its body.
#[derive(Debug, Clone)]
pub(super) struct Head {
    pub(super) method: String,
    /// Path and query as sent.
    pub(super) target: String,
    pub(super) path: String,
    pub(super) query: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) keep_alive: bool,
    pub(super) content_length: usize,
}

/// A request with its body.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) head: Head,
    pub(super) body: Vec<u8>,
}

/// An answer, before faults of delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

/// The result of waiting for a request.
#[derive(Debug)]
pub(super) enum Received<T> {
    Whole(T),
    /// The caller left.
    Nothing,
    /// This server does not support the request. The status says why, and the connection must close.
    Refused(StatusCode),
}

/// One accepted connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) stream: TcpStream,
    /// Received bytes that are not parsed yet. A caller may send its next request early.
    buffer: BytesMut,
}

impl Head {
    /// The first header with this name.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        find_header(&self.headers, name)
    }

    /// The first parameter with this name; an empty one counts as missing.
    pub(super) fn parameter(&self, name: &str) -> Option<String> {
        form_urlencoded::parse(self.query.as_bytes())
            .find(|(present, value)| present == name && !value.is_empty())
            .map(|(_, value)| value.into_owned())
    }
}

impl Response {
    pub(super) fn json(status: u16, body: impl Into<Vec<u8>>) -> Self {
        let content_type = "application/json; charset=utf-8";
        Self {
            status,
            headers: vec![("Content-Type".to_owned(), content_type.to_owned())],
            body: body.into(),
        }
    }

    pub(super) fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new() }
    }

    pub(super) fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The head, including its empty line, for a body of this length.
    pub(super) fn spell_head(&self, content_length: u64, keep_alive: bool) -> String {
        let mut head = self.spell_start();
        if !matches!(self.status, 204 | 304) {
            head.extend(["Content-Length: ", &content_length.to_string(), "\r\n"]);
        }
        if !keep_alive {
            head.push_str("Connection: close\r\n");
        }
        head.push_str("\r\n");
        head
    }

    /// The status line and the headers, without those that frame a body.
    pub(super) fn spell_start(&self) -> String {
        let reason = reason(self.status);
        let mut head = format!("HTTP/1.1 {} {reason}\r\n", self.status);
        head.extend(["Date: ", &clock::http_date(), "\r\n"]);
        for (name, value) in &self.headers {
            head.extend([name, ": ", value, "\r\n"]);
        }
        head
    }

    /// Head and body without a fault.
    pub(super) fn spell(&self, keep_alive: bool) -> Vec<u8> {
        let mut bytes = self.spell_head(self.body.len() as u64, keep_alive).into_bytes();
        if !matches!(self.status, 204 | 304) {
            bytes.extend_from_slice(&self.body);
        }
        bytes
    }
}

impl Connection {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream, buffer: BytesMut::new() }
    }

    pub(super) async fn read_head(&mut self) -> io::Result<Received<Head>> {
        loop {
            match parse_head(&self.buffer) {
                Ok(Some((head, length))) => {
                    self.buffer.advance(length);
                    return Ok(Received::Whole(head));
                }
                Ok(None) if self.buffer.len() >= MAX_HEAD_BYTES => {
                    let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
                    return Ok(Received::Refused(status));
                }
                Ok(None) => {}
                Err(status) => return Ok(Received::Refused(status)),
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Ok(Received::Nothing);
            }
        }
    }

    pub(super) async fn read_body(&mut self, head: &Head) -> io::Result<Received<Vec<u8>>> {
        if head.header("transfer-encoding").is_some() {
            return Ok(Received::Refused(StatusCode::LENGTH_REQUIRED));
        }
        if head.content_length > MAX_BODY_BYTES {
            return Ok(Received::Refused(StatusCode::PAYLOAD_TOO_LARGE));
        }
        while self.buffer.len() < head.content_length {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Ok(Received::Nothing);
            }
        }
        let body = self.buffer.split_to(head.content_length);
        Ok(Received::Whole(body.to_vec()))
    }

    pub(super) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Returns when the caller closes its side; bytes sent until then are discarded.
    pub(super) async fn until_caller_leaves(&mut self) -> io::Result<()> {
        loop {
            self.buffer.clear();
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Ok(());
            }
        }
    }
}

/// The standard reason phrase of a status, or an empty text.
pub(super) fn reason(status: u16) -> &'static str {
    StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or_default()
}

/// The head at the start of the bytes and its length, or `None` while it is incomplete.
fn parse_head(bytes: &[u8]) -> Result<Option<(Head, usize)>, StatusCode> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let length = match request.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => {
            return Err(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
        }
        Err(_) => return Err(StatusCode::BAD_REQUEST),
    };
    let target = request.path.unwrap_or_default().to_owned();
    let uri: Uri = target.parse().map_err(|_| StatusCode::BAD_REQUEST)?;
    let headers = request
        .headers
        .iter()
        .map(|header| {
            let value = String::from_utf8_lossy(header.value).into_owned();
            (header.name.to_owned(), value)
        })
        .collect::<Vec<_>>();
    let head = Head {
        method: request.method.unwrap_or_default().to_owned(),
        path: uri.path().to_owned(),
        query: uri.query().unwrap_or_default().to_owned(),
        target,
        keep_alive: keeps_alive(request.version, &headers),
        content_length: content_length(&headers)?,
        headers,
    };
    Ok(Some((head, length)))
}

fn keeps_alive(version: Option<u8>, headers: &[(String, String)]) -> bool {
    let connection = find_header(headers, "connection").unwrap_or_default();
    let is_close = connection.split(',').any(|word| word.trim().eq_ignore_ascii_case("close"));
    version == Some(1) && !is_close
}

fn content_length(headers: &[(String, String)]) -> Result<usize, StatusCode> {
    match find_header(headers, "content-length") {
        Some(text) => text.trim().parse().map_err(|_| StatusCode::BAD_REQUEST),
        None => Ok(0),
    }
}

fn find_header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(present, _)| present.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_complete_with_its_empty_line() {
        let text = b"GET /api/balance?currency=USD&type= HTTP/1.1\r\nX-Token: abc\r\n\r\nrest";

        let (head, length) = parse_head(text).unwrap().unwrap();

        assert_eq!(length, text.len() - "rest".len());
        assert_eq!(head.path, "/api/balance");
        assert_eq!(head.target, "/api/balance?currency=USD&type=");
        assert_eq!(head.parameter("currency").as_deref(), Some("USD"));
        assert_eq!(head.parameter("type"), None);
        assert_eq!(head.header("x-token"), Some("abc"));
        assert!(head.keep_alive);
        assert!(parse_head(&text[..40]).unwrap().is_none());
    }

    #[test]
    fn a_connection_is_kept_unless_one_side_closes_it() {
        let table = [
            ("GET / HTTP/1.1\r\n\r\n", true),
            ("GET / HTTP/1.1\r\nConnection: Close\r\n\r\n", false),
            ("GET / HTTP/1.0\r\n\r\n", false),
        ];
        for (text, expected) in table {
            let (head, _) = parse_head(text.as_bytes()).unwrap().unwrap();

            assert_eq!(head.keep_alive, expected, "{text}");
        }
    }

    #[test]
    fn an_invalid_request_is_refused() {
        let many_headers = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(300));
        let table = [
            ("\0\0\0\0", StatusCode::BAD_REQUEST),
            ("GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", StatusCode::BAD_REQUEST),
            (&many_headers, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE),
        ];
        for (text, expected) in table {
            assert_eq!(parse_head(text.as_bytes()).unwrap_err(), expected, "{text}");
        }
    }

    #[test]
    fn a_status_without_a_body_has_no_length() {
        let response = Response::empty(204).with_header("A", "b");

        let text = String::from_utf8(response.spell(false)).unwrap();

        assert!(text.starts_with("HTTP/1.1 204 No Content\r\nDate: "));
        assert!(text.ends_with("\r\nA: b\r\nConnection: close\r\n\r\n"));
        assert!(!text.contains("Content-Length"));
    }
}
