//! Accepts connections, limits their number, and ends them at shutdown.
//!
//! It replaces `axum::serve`, which has no header timeout, waits a whole second when file descriptors run out, and
//! resets accepted connections when it stops.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpStream as StdTcpStream},
    sync::Arc,
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    task::{JoinError, JoinSet},
    time::{Instant, sleep, timeout},
};

use super::{
    connection::{self, ListenerContext, Respond},
    files::{DescriptorReserve, is_out_of_files, leaves_fewer_files},
    memory::SharedMemory,
    peer::Peer,
    settings::ListenerSettings,
    targets,
    tls::TlsSettings,
    wire,
    workers::Workers,
};
use crate::{
    live::Live,
    metrics::{ConnectionRefusal, Metrics},
    shutdown::Shutdown,
};

/// Connections that may wait to be accepted: the default maximum of Linux.
const BACKLOG: u32 = 4096;
/// Pause after a failed accept: the cause may soon be over.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);
/// Shortest time between two log lines about failed accepts.
const LOG_INTERVAL: Duration = Duration::from_secs(1);

/// A bound listener.
#[derive(Debug)]
pub struct Endpoint {
    /// The bound socket.
    pub listener: TcpListener,
    /// TLS; `None` for plain text.
    pub tls: Option<Live<TlsSettings>>,
    /// Counts refused connections, if configured.
    pub metrics: Option<Arc<Metrics>>,
    /// The threads that serve the connections.
    pub workers: Workers,
    /// File descriptors that these connections leave to other listeners.
    pub spare_files: u64,
}

/// How a listener ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "connections that were cut are worth a log line"]
pub struct Drained {
    /// Connections that were cut.
    pub cut: usize,
}

/// Accepts connections and owns the open ones; dropping it drops them.
struct Acceptor<S> {
    context: ListenerContext<S>,
    workers: Workers,
    connections: JoinSet<()>,
    spare_files: u64,
    /// Present if the listener leaves file descriptors to others. Without it, new connections wait when file
    /// descriptors run out.
    reserve: Option<DescriptorReserve>,
    logged: Option<Instant>,
}

/// Binds the address, also shortly after another process used it.
///
/// # Errors
/// When the address is in use or not permitted.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let (socket, address) = match address {
        SocketAddr::V4(_) => (TcpSocket::new_v4()?, address),
        // `[::]` means every address. If the kernel has no IPv6, that is every IPv4 address.
        SocketAddr::V6(_) => match TcpSocket::new_v6() {
            Err(_) if address.ip().is_unspecified() => {
                (TcpSocket::new_v4()?, SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), address.port()))
            }
            socket => (socket?, address),
        },
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves connections until accepting stops, then requests in flight for at most `drain_timeout`. A `Router` needs
/// `with_state(())` first, or it rebuilds its routes for every request.
pub async fn serve<S: Respond>(
    endpoint: Endpoint,
    service: S,
    settings: Live<ListenerSettings>,
    shutdown: Shutdown,
) -> Drained {
    let Endpoint { listener, tls, metrics, workers, spare_files } = endpoint;
    let memory = SharedMemory::for_connections(settings.current().max_connections);
    let context = ListenerContext { service, settings, tls, metrics, shutdown, memory };
    let connections = JoinSet::new();
    let reserve = (spare_files > 0).then(DescriptorReserve::new);
    let mut acceptor = Acceptor { context, workers, connections, spare_files, reserve, logged: None };
    acceptor.accept_until_stopped(&listener).await;
    for (stream, peer) in close(listener) {
        acceptor.admit(stream, peer);
    }
    acceptor.drain().await
}

impl<S: Respond> Acceptor<S> {
    async fn accept_until_stopped(&mut self, listener: &TcpListener) {
        let shutdown = self.context.shutdown.clone();
        let mut stopped = std::pin::pin!(shutdown.stopped_accepting());
        loop {
            tokio::select! {
                biased;
                () = &mut stopped => return,
                // Ended connections are removed before the next accept, so that `max_connections` counts open ones
                // only.
                Some(ended) = self.connections.join_next() => log_panic(ended),
                accepted = listener.accept() => match accepted {
                    // A stream that cannot leave the listener's runtime is closed.
                    Ok((stream, peer)) => if let Ok(stream) = stream.into_std() {
                        self.admit(stream, peer);
                    },
                    Err(error) if is_of_the_connection(&error) => {}
                    Err(error) => {
                        self.log(&error);
                        if !(is_out_of_files(&error) && self.turn_away(listener)) {
                            sleep(ACCEPT_PAUSE).await;
                        }
                    }
                },
            }
        }
    }

    fn admit(&mut self, stream: StdTcpStream, peer: SocketAddr) {
        if self.connections.len() >= self.context.settings.current().max_connections
            || leaves_fewer_files(&stream, self.spare_files)
        {
            self.context.count_refusal(ConnectionRefusal::Limit);
            return;
        }
        wire::prepare(&stream);
        let (accepted, peer, context) = (Instant::now(), Peer(peer), self.context.clone());
        let slot = self.workers.take_slot();
        let runtime = slot.runtime().clone();
        let serve = async move {
            let _slot = slot;
            if let Ok(stream) = TcpStream::from_std(stream) {
                connection::serve(stream, accepted, peer, context).await;
            }
        };
        self.connections.spawn_on(serve, &runtime);
    }

    /// Refuses the next connection when file descriptors have run out; false if the connection has to wait.
    fn turn_away(&mut self, listener: &TcpListener) -> bool {
        let is_refused = self.reserve.as_mut().is_some_and(|reserve| reserve.refuse_next(listener));
        if is_refused {
            self.context.count_refusal(ConnectionRefusal::Limit);
        }
        is_refused
    }

    fn log(&mut self, error: &io::Error) {
        let now = Instant::now();
        if self.logged.is_none_or(|logged| now.duration_since(logged) >= LOG_INTERVAL) {
            self.logged = Some(now);
            tracing::error!(target: targets::LISTENER, error = error as &dyn std::error::Error, "accepting a connection failed");
        }
    }

    async fn drain(mut self) -> Drained {
        let shutdown = self.context.shutdown.clone();
        let ended = async {
            while let Some(ended) = self.connections.join_next().await {
                log_panic(ended);
            }
        };
        tokio::select! {
            _ = timeout(self.context.settings.current().drain_timeout, ended) => {}
            () = shutdown.cut() => {}
        }
        while let Some(ended) = self.connections.try_join_next() {
            log_panic(ended);
        }
        let cut = self.connections.len();
        self.connections.shutdown().await;
        Drained { cut }
    }
}

/// Takes the connections that the kernel has accepted, then closes the listener. The kernel resets any connection that
/// arrives in between.
fn close(listener: TcpListener) -> Vec<(StdTcpStream, SocketAddr)> {
    let mut waiting = Vec::new();
    // A listener that cannot leave the runtime is closed, too.
    let Ok(listener) = listener.into_std() else { return waiting };
    for _ in 0..BACKLOG {
        match listener.accept() {
            Ok(accepted) => waiting.push(accepted),
            Err(error) if is_of_the_connection(&error) => {}
            Err(_) => break,
        }
    }
    drop(listener);
    waiting.retain(|(stream, _)| stream.set_nonblocking(true).is_ok());
    waiting
}

fn is_of_the_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset
    )
}

/// Logs a panic. It is a defect of ours, and would otherwise end the connection silently.
fn log_panic(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(target: targets::LISTENER, error = &error as &dyn std::error::Error, "a connection panicked");
    }
}

#[cfg(test)]
mod tests;
