//! Opens a connection: the TLS handshake, if configured, and the detection of the protocol.

use std::sync::Arc;

use tokio::{
    net::TcpStream,
    time::{Instant, timeout_at},
};
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;

use super::context::ListenerContext;
use crate::metrics::ConnectionRefusal;
use crate::server::{
    handshake::HandshakeSocket,
    peer::Peer,
    peer_timeouts::{ConnectionState, Protocol, TimedStream},
    targets,
    tls::TlsSettings,
    wire::Transport,
};

/// Opens a connection that was accepted at `accepted`; `None` if the peer leaves first. ALPN is ignored, because every
/// HTTP/2 connection begins with the preface.
pub(super) async fn open<S>(
    stream: TcpStream,
    accepted: Instant,
    peer: Peer,
    context: &ListenerContext<S>,
    state: &Arc<ConnectionState>,
) -> Option<(Protocol, TimedStream<Transport>)> {
    let transport = match &context.tls {
        None => Either::Left(stream),
        Some(tls) => {
            let deadline = accepted + state.header_timeout();
            // Boxed, because it would enlarge the task of every connection.
            let handshake = Box::pin(shake_hands(tls.current(), stream, deadline, peer, context));
            Either::Right(handshake.await?)
        }
    };
    let mut io = TimedStream::new(transport, Arc::clone(state));
    let protocol = io.open().await.ok()??;
    Some((protocol, io))
}

async fn shake_hands<S>(
    tls: Arc<TlsSettings>,
    stream: TcpStream,
    deadline: Instant,
    peer: Peer,
    context: &ListenerContext<S>,
) -> Option<Box<TlsStream<HandshakeSocket>>> {
    // A peer that never sends a byte is idle, not a failed handshake.
    let has_begun = matches!(timeout_at(deadline, stream.peek(&mut [0])).await, Ok(Ok(1..)));
    if !has_begun {
        return None;
    }
    let error = match timeout_at(deadline, tls.accept(stream, context.memory.share())).await {
        Ok(Ok(stream)) => return Some(Box::new(stream)),
        Ok(Err(error)) => error,
        Err(late) => late.into(),
    };
    context.count_refusal(ConnectionRefusal::Tls);
    tracing::debug!(target: targets::CONNECTION, peer = %peer.0, error = &error as &dyn std::error::Error, "a TLS handshake failed");
    None
}
