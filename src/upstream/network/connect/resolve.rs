//! The addresses of a host name. The system's resolver blocks, so it runs on a thread of its own.

use std::fs::File;
use std::io;
use std::net::{IpAddr, SocketAddr};

use dns_lookup::{AddrInfoHints, LookupErrorKind, SockType};

use crate::domain::{Cause, is_out_of_files};
use crate::upstream::failure::ConnectError;

/// Looks a host up; an address needs no look-up.
pub(super) async fn addresses(host: &str, port: u16) -> Result<Vec<SocketAddr>, ConnectError> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let host = host.to_owned();
    let looked_up = tokio::task::spawn_blocking(move || look_up(&host, port)).await;
    looked_up.unwrap_or_else(|panicked| Err(ConnectError::new(Cause::NameServer, io::Error::other(panicked))))
}

fn look_up(host: &str, port: u16) -> Result<Vec<SocketAddr>, ConnectError> {
    let hints = AddrInfoHints { socktype: SockType::Stream.into(), ..AddrInfoHints::default() };
    let found = dns_lookup::getaddrinfo(Some(host), None, Some(hints)).map_err(|error| {
        let cause = match error.kind() {
            // The resolver does not pass on EMFILE, so a file is opened to find out.
            _ if File::open("/dev/null").is_err_and(|error| is_out_of_files(&error)) => Cause::OutOfFiles,
            LookupErrorKind::NoName | LookupErrorKind::NoData => Cause::UnknownHost,
            _ => Cause::NameServer,
        };
        ConnectError::new(cause, error.into())
    })?;
    let found: Vec<_> = found.filter_map(Result::ok).collect();
    let addresses: Vec<_> = found.iter().map(|info| SocketAddr::new(info.sockaddr.ip(), port)).collect();
    if addresses.is_empty() { Err(Cause::UnknownHost.into()) } else { Ok(addresses) }
}
