//! A server that answers with bytes of the test's own.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Starts a server that answers each call as soon as the test has the bytes, and then closes. Returns its URL.
pub(super) async fn serve<F>(answer: impl Fn(String) -> F + Clone + Send + 'static) -> String
where
    F: Future<Output = Vec<u8>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answer = answer.clone();
            tokio::spawn(async move { answer_call(stream, answer).await });
        }
    });
    url
}

async fn answer_call<F: Future<Output = Vec<u8>>>(mut stream: TcpStream, answer: impl Fn(String) -> F) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else { return };
        head.push(byte);
    }
    let bytes = answer(String::from_utf8(head).unwrap()).await;
    // In some tests the client closes the connection early.
    let _ = stream.write_all(&bytes).await;
    let _ = stream.shutdown().await;
}
