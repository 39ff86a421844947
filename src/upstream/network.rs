//! The HTTP client of a provider: name look-up, proxy, TLS, HTTP/1 and HTTP/2. Only this module connects to providers.

mod certificate;
mod client;
mod client_settings;
mod connect;
mod jwks;
mod tls;
mod transport;

pub use certificate::CertificateFacts;
pub(super) use client::Client;
pub use client_settings::ClientSettings;
pub use jwks::{JwksClient, JwksFetchError, JwksSettings};
pub use tls::ClientError;
pub use transport::{Response, Sending, Transport};
