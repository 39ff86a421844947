//! The server of one simulated provider: accepts connections and serves each in a small task.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    answer::answer,
    control,
    deliver::{SendMode, deliver},
    fault::FaultKind,
    http::{Connection, Head, Received, Request, Response},
    refusal::answer_error,
    state::State,
};

/// Connections that may wait to be accepted: the default maximum of Linux.
const BACKLOG: u32 = 4096;

/// Binds the address, also shortly after another process used it.
pub(super) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Accepts connections until `stop`, which also closes the open ones.
pub(super) async fn accept(
    listener: TcpListener,
    state: Arc<State>,
    stop: CancellationToken,
    tasks: TaskTracker,
) {
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, _)) => {
                let serve = serve(stream, Arc::clone(&state));
                let stop = stop.clone();
                tasks.spawn(async move { stop.run_until_cancelled(serve).await });
            }
            // Probably out of file descriptors: some may be free a little later.
            Err(_) => sleep(Duration::from_millis(20)).await,
        }
    }
}

async fn serve(stream: TcpStream, state: Arc<State>) {
    // TCP_NODELAY speeds up small answers; a socket without it still works.
    let _ = stream.set_nodelay(true);
    let mut connection = Connection::new(stream);
    // A failed read or write means that the caller left.
    while let Ok(true) = serve_request(&mut connection, &state).await {}
}

/// Serves one request; returns whether the connection may serve another.
async fn serve_request(connection: &mut Connection, state: &State) -> io::Result<bool> {
    match connection.read_head().await? {
        Received::Whole(head) if control::is_control(&head) => serve_control(connection, state, head).await,
        Received::Whole(head) => serve_call(connection, state, head).await,
        Received::Nothing => Ok(false),
        Received::Refused(status) => refuse(connection, status.as_u16()).await,
    }
}

async fn serve_control(connection: &mut Connection, state: &State, head: Head) -> io::Result<bool> {
    let keep_alive = head.keep_alive;
    let body = match connection.read_body(&head).await? {
        Received::Whole(body) => body,
        Received::Nothing => return Ok(false),
        Received::Refused(status) => return refuse(connection, status.as_u16()).await,
    };
    let response = control::answer(state, &Request { head, body });
    deliver(connection, &response, SendMode::Whole, keep_alive).await
}

async fn serve_call(connection: &mut Connection, state: &State, head: Head) -> io::Result<bool> {
    // Subscribed before the call is logged: a test that sees the call in the log can then end its delay.
    let mut delays_ended = state.delays_ended.subscribe();
    let (id, fault) = state.enter_call(&head);
    let body = match connection.read_body(&head).await? {
        Received::Whole(body) => body,
        Received::Nothing => return Ok(false),
        Received::Refused(status) => {
            state.complete_call(id, |call| call.note_answer(Some(status.as_u16()), &[]));
            return refuse(connection, status.as_u16()).await;
        }
    };
    state.complete_call(id, |call| call.keep_body(&body));
    let request = Request { head, body };
    let mut response = answer(state, &request, fault.as_ref());
    if request.head.method == "HEAD" {
        response.body.clear();
    }
    if let Some(FaultKind::Delay { ms }) = fault {
        // Waits for the end of the delay or of all delays. The sender lives as long as the state, so `changed` does not
        // fail.
        let _ = timeout(Duration::from_millis(ms), delays_ended.changed()).await;
    }
    let mode = SendMode::of(fault.as_ref());
    // Noted before the first byte, so that the log is complete when the answer arrives.
    let status = mode.status(&response);
    state.complete_call(id, |call| call.note_answer(status, &response.body));
    deliver(connection, &response, mode, request.head.keep_alive).await
}

async fn refuse(connection: &mut Connection, status: u16) -> io::Result<bool> {
    let response: Response = answer_error(status);
    deliver(connection, &response, SendMode::Whole, false).await
}
