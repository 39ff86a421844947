//! One keep-alive connection of HTTP/1.1, with or without TLS, that checks the status of each answer.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

/// A gateway under valgrind is some fifty times slower.
const TIMEOUT: Duration = Duration::from_mins(1);
/// The maximum number of header fields: more than the gateway sends.
const MAX_FIELDS: usize = 32;

/// A socket, or a TLS session on one.
trait Stream: Read + Write {}

impl<S: Read + Write> Stream for S {}

/// One connection.
pub(crate) struct Http1 {
    stream: Box<dyn Stream>,
    received: Vec<u8>,
}

impl Http1 {
    pub(crate) fn connect(address: SocketAddr, tls: Option<&Arc<ClientConfig>>) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        let stream: Box<dyn Stream> = match tls {
            None => Box::new(stream),
            Some(config) => {
                let name = ServerName::IpAddress(address.ip().into());
                let mut session =
                    ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
                // Completes the handshake at once, because the gateway does not wait long for it.
                let mut stream = stream;
                session.complete_io(&mut stream)?;
                Box::new(StreamOwned::new(session, stream))
            }
        };
        Ok(Self { stream, received: vec![0; 64 * 1024] })
    }

    pub(crate) fn send(&mut self, request: &[u8]) -> io::Result<()> {
        self.stream.write_all(request)?;
        self.stream.flush()
    }

    /// Reads one complete answer.
    pub(crate) fn receive(&mut self, status: u16) -> io::Result<()> {
        let mut length = 0;
        loop {
            if length == self.received.len() {
                self.received.resize(2 * length, 0);
            }
            match self.stream.read(&mut self.received[length..])? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => length += read,
            }
            match whole(&self.received[..length])? {
                None => {}
                Some(found) if found == status => return Ok(()),
                Some(found) => {
                    let answer = String::from_utf8_lossy(&self.received[..length]);
                    return Err(io::Error::other(format!("status {found}, expected {status}:\n{answer}")));
                }
            }
        }
    }

    /// Reads until this text has arrived, because an event has no length.
    pub(crate) fn receive_text(&mut self, text: &str) -> io::Result<()> {
        let mut length = 0;
        while !String::from_utf8_lossy(&self.received[..length]).contains(text) {
            match self.stream.read(&mut self.received[length..])? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => length += read,
            }
        }
        Ok(())
    }
}

/// The status of an answer that is complete.
fn whole(received: &[u8]) -> io::Result<Option<u16>> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut head = httparse::Response::new(&mut fields);
    let httparse::Status::Complete(head_length) = head.parse(received).map_err(io::Error::other)? else {
        return Ok(None);
    };
    let has_body = head.code != Some(304);
    let length = head
        .headers
        .iter()
        .find(|field| has_body && field.name.eq_ignore_ascii_case("content-length"))
        .and_then(|field| str::from_utf8(field.value).ok()?.parse::<usize>().ok())
        .unwrap_or(0);
    Ok(head.code.filter(|_| received.len() >= head_length + length))
}
