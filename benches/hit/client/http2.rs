//! One connection of HTTP/2, without TLS.

use std::io;
use std::net::SocketAddr;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use http::Request;
use tokio::net::TcpStream;
use tokio::runtime::Handle;

/// One connection; a task of the runtime drives it.
pub(crate) struct Http2 {
    runtime: Handle,
    requests: SendRequest<Bytes>,
    answer: Option<ResponseFuture>,
}

impl Http2 {
    pub(crate) fn connect(runtime: &Handle, address: SocketAddr) -> io::Result<Self> {
        let (requests, connection) = runtime.block_on(async {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            h2::client::handshake(stream).await.map_err(io::Error::other)
        })?;
        runtime.spawn(connection);
        Ok(Self { runtime: runtime.clone(), requests, answer: None })
    }

    pub(crate) fn send(&mut self, request: &Request<()>) -> io::Result<()> {
        let (answer, _) = self.requests.send_request(request.clone(), true).map_err(io::Error::other)?;
        self.answer = Some(answer);
        Ok(())
    }

    /// Reads one complete answer.
    pub(crate) fn receive(&mut self, status: u16) -> io::Result<()> {
        let answer = self.answer.take().ok_or(io::ErrorKind::NotConnected)?;
        self.runtime.block_on(async {
            let answer = answer.await.map_err(io::Error::other)?;
            let found = answer.status().as_u16();
            let mut body = answer.into_body();
            while let Some(data) = body.data().await {
                let length = data.map_err(io::Error::other)?.len();
                body.flow_control().release_capacity(length).map_err(io::Error::other)?;
            }
            if found == status {
                Ok(())
            } else {
                Err(io::Error::other(format!("status {found}, expected {status}")))
            }
        })
    }
}
