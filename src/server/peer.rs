//! Where a connection comes from.

use std::net::SocketAddr;

/// Where a connection comes from; every request carries it as an extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);
