//! The address of a connection's peer.

use std::net::SocketAddr;

/// The peer of a connection; every request carries it as an extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);
