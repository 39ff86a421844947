//! One HTTP/1 connection in memory: it sends a request, the rest of its body later, and reads the answer meanwhile.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};

use balance_gateway::http::ApiService;
use balance_gateway::server::{Peer, Respond};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

/// More than a request or an answer.
const BUFFER: usize = 64 * 1024;

/// A complete answer.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: serde_json::Value,
}

/// Connects to the API.
pub(super) fn connect(api: &ApiService) -> DuplexStream {
    let (client, server) = duplex(BUFFER);
    let api = api.clone();
    let peer = Peer(SocketAddr::from((Ipv4Addr::LOCALHOST, 1)));
    let service = service_fn(move |request| {
        let api = api.clone();
        async move { Ok::<_, Infallible>(api.respond(request, peer).await.response) }
    });
    let serving =
        http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(server), service);
    // An answer before the end of the body ends the connection.
    tokio::spawn(async move { drop(serving.await) });
    client
}

/// Sends the head, then the rest of the request once `rest` delivers it; reads the answer meanwhile.
pub(super) async fn exchange(
    connection: DuplexStream,
    head: &str,
    rest: impl Future<Output = &'static str>,
) -> Answer {
    let (mut reader, mut writer) = tokio::io::split(connection);
    writer.write_all(head.as_bytes()).await.unwrap();
    let sending = async {
        // The gateway may have answered and closed the connection already.
        let _ = writer.write_all(rest.await.as_bytes()).await;
        std::future::pending().await
    };
    let mut received = Vec::new();
    let reading = async {
        loop {
            if let Some(answer) = complete(&received) {
                return answer;
            }
            assert!(
                reader.read_buf(&mut received).await.unwrap() > 0,
                "the connection ended without an answer"
            );
        }
    };
    tokio::select! {
        answer = reading => answer,
        answer = sending => answer,
    }
}

fn complete(received: &[u8]) -> Option<Answer> {
    let text = std::str::from_utf8(received).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let length: usize = field(head, "content-length")?.parse().unwrap();
    let body = serde_json::from_str(body.get(..length)?).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Some(Answer { status, head: head.to_owned(), body })
}

/// A field of an answer's head.
pub(super) fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines()
        .filter_map(|line| line.split_once(": "))
        .find_map(|(known, value)| (known == name).then_some(value))
}
