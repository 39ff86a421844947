//! A connection to the gateway, in the protocol of a scenario.

mod http1;
mod http2;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ClientConfig;
use tokio::runtime::Handle;

pub(crate) use http1::Http1;
use http2::Http2;

use super::scenario::{Protocol, Scenario};

/// One connection with its request.
pub(crate) enum Client {
    Http1(Http1, Vec<u8>),
    Http2(Http2, Box<http::Request<()>>),
}

impl Client {
    pub(crate) fn connect(
        scenario: &Scenario,
        address: SocketAddr,
        tls: &Arc<ClientConfig>,
        runtime: &Handle,
    ) -> io::Result<Self> {
        let tls = match scenario.protocol {
            Protocol::Http1 => None,
            Protocol::Tls => Some(tls),
            Protocol::Http2 => {
                let request = scenario.request_of_http2(address).map_err(io::Error::other)?;
                return Ok(Self::Http2(Http2::connect(runtime, address)?, Box::new(request)));
            }
        };
        Ok(Self::Http1(Http1::connect(address, tls)?, scenario.request()))
    }

    pub(crate) fn send(&mut self) -> io::Result<()> {
        match self {
            Self::Http1(connection, request) => connection.send(request),
            Self::Http2(connection, request) => connection.send(request),
        }
    }

    /// Reads one complete answer.
    pub(crate) fn receive(&mut self, status: u16) -> io::Result<()> {
        match self {
            Self::Http1(connection, _) => connection.receive(status),
            Self::Http2(connection, _) => connection.receive(status),
        }
    }
}
