//! From sockets to requests: accepts connections, serves HTTP/1 and HTTP/2 with or without TLS, and limits every peer.
//! It serves any service and is independent of balances.

mod connection;
mod delivery;
mod files;
mod handshake;
mod listener;
mod memory;
mod open_ended;
mod peer;
mod peer_timeouts;
mod settings;
mod targets;
mod tls;
mod wire;
mod workers;

pub use connection::Respond;
pub use delivery::{Delivery, Reply};
pub use listener::{Drained, Endpoint, bind, serve};
pub use open_ended::OpenEnded;
pub use peer::Peer;
pub use settings::ListenerSettings;
pub use tls::{TlsError, TlsSettings};
pub use workers::Workers;
