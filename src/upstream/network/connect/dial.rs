//! Connects to the first address of a host that answers (RFC 8305). Each address has its own time.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::domain::is_out_of_files;

/// Delay until the next address is tried in parallel (RFC 8305, section 5).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);
/// Interval of keep-alive probes on an idle connection.
const KEEPALIVE: Duration = Duration::from_secs(15);
/// Sent data that is not acknowledged for this long ends the connection.
const USER_TIMEOUT: Duration = Duration::from_secs(30);

/// Connects to the first of these addresses that answers. If all fail, the last failure counts; a lack of file
/// descriptors counts before any other.
pub(super) async fn dial(addresses: &[SocketAddr], per_address: Duration) -> io::Result<TcpStream> {
    let mut waiting = interleaved(addresses).into_iter();
    let mut running = FuturesUnordered::new();
    let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
    running.extend(waiting.next().map(|address| connect(address, per_address)));
    while !running.is_empty() {
        tokio::select! {
            Some(connected) = running.next() => match connected {
                Ok(stream) => return Ok(stream),
                Err(error) => {
                    if !is_out_of_files(&failure) {
                        failure = error;
                    }
                    running.extend(waiting.next().map(|address| connect(address, per_address)));
                }
            },
            () = sleep(ATTEMPT_DELAY), if waiting.len() > 0 => {
                running.extend(waiting.next().map(|address| connect(address, per_address)));
            }
        }
    }
    Err(failure)
}

async fn connect(address: SocketAddr, limit: Duration) -> io::Result<TcpStream> {
    let stream = timeout(limit, TcpStream::connect(address)).await??;
    stream.set_nodelay(true)?;
    let socket = SockRef::from(&stream);
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE))?;
    socket.set_tcp_user_timeout(Some(USER_TIMEOUT))?;
    Ok(stream)
}

/// The addresses in their order, but alternating between the two families (RFC 8305, section 4).
fn interleaved(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let starts_with_ipv6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<&SocketAddr>, Vec<&SocketAddr>) =
        addresses.iter().partition(|address| address.is_ipv6() == starts_with_ipv6);
    let mut second = second.into_iter();
    let mut turns = Vec::with_capacity(addresses.len());
    for address in first {
        turns.push(*address);
        turns.extend(second.next());
    }
    turns.extend(second);
    turns
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpSocket};

    use super::*;
    use crate::clock;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    /// A listener whose queue is full: the kernel drops further connections.
    async fn silent() -> (TcpListener, SocketAddr, Vec<TcpStream>) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let mut filling = Vec::new();
        while let Ok(Ok(stream)) = timeout(Duration::from_millis(100), TcpStream::connect(address)).await {
            filling.push(stream);
        }
        (listener, address, filling)
    }

    #[test]
    fn the_families_alternate() {
        let mixed = addresses(&["[::1]:1", "[::2]:1", "[::3]:1", "127.0.0.1:1", "127.0.0.2:1"]);
        let turns = addresses(&["[::1]:1", "127.0.0.1:1", "[::2]:1", "127.0.0.2:1", "[::3]:1"]);
        assert_eq!(interleaved(&mixed), turns);
        assert_eq!(interleaved(&turns[..1]), &turns[..1]);
        assert!(interleaved(&[]).is_empty());
    }

    /// Each address has its own time, and the next is tried in parallel.
    #[tokio::test]
    async fn a_silent_address_delays_the_next_by_a_quarter_of_a_second_only() {
        let (_listener, dead, _filling) = silent().await;
        let alive = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let before = clock::monotonic();

        let stream = dial(&[dead, alive.local_addr().unwrap()], Duration::from_secs(20)).await.unwrap();

        assert_eq!(stream.peer_addr().unwrap(), alive.local_addr().unwrap());
        assert!(before.elapsed() >= ATTEMPT_DELAY, "{:?}", before.elapsed());
        assert!(before.elapsed() < Duration::from_secs(10), "{:?}", before.elapsed());
    }

    #[tokio::test]
    async fn a_refused_address_delays_nothing() {
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let alive = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let many: Vec<_> = std::iter::repeat_n(closed, 100).chain([alive.local_addr().unwrap()]).collect();

        assert!(dial(&many, Duration::from_millis(200)).await.is_ok(), "100 pauses would take 25 s");
        let refused = dial(&[closed], Duration::from_secs(1)).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    }

    #[tokio::test]
    async fn each_address_has_its_own_time() {
        let (_listener, dead, _filling) = silent().await;

        let error = dial(&[dead, dead], Duration::from_millis(100)).await.unwrap_err();

        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
