//! Sends an answer, in the way that its fault demands.

use std::{io, time::Duration};

use tokio::time::sleep;

use super::{
    fault::FaultKind,
    http::{Connection, Response},
};

const BLOCK_BYTES: usize = 64 * 1024;

/// How an answer is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SendMode {
    Whole,
    StallHead,
    StallBody,
    SlowBody { per_byte: Duration },
    CutBody,
    Reset,
    Close,
    Garbage,
    HugeBody { padding: u64 },
    ChunkedInvalid,
    CutChunk,
    EndlessHeaders,
    Informational { status: u16, count: u64, pause: Duration },
}

impl SendMode {
    pub(super) fn of(fault: Option<&FaultKind>) -> Self {
        let Some(fault) = fault else {
            return Self::Whole;
        };
        match fault {
            FaultKind::StallHead => Self::StallHead,
            FaultKind::StallBody => Self::StallBody,
            FaultKind::SlowBody { ms_per_byte } => {
                Self::SlowBody { per_byte: Duration::from_millis(*ms_per_byte) }
            }
            FaultKind::CutBody => Self::CutBody,
            FaultKind::Reset => Self::Reset,
            FaultKind::Close => Self::Close,
            FaultKind::Garbage => Self::Garbage,
            FaultKind::HugeBody { bytes } => Self::HugeBody { padding: *bytes },
            FaultKind::ChunkedInvalid => Self::ChunkedInvalid,
            FaultKind::CutChunk => Self::CutChunk,
            FaultKind::EndlessHeaders => Self::EndlessHeaders,
            FaultKind::Informational { status, count, ms } => {
                Self::Informational { status: *status, count: *count, pause: Duration::from_millis(*ms) }
            }
            FaultKind::Status { .. }
            | FaultKind::Delay { .. }
            | FaultKind::Redirect { .. }
            | FaultKind::Body { .. }
            | FaultKind::BodyBytes { .. }
            | FaultKind::ContentType { .. }
            | FaultKind::Headers { .. }
            | FaultKind::ExpireToken
            | FaultKind::RefuseToken { .. }
            | FaultKind::CompressedBomb => Self::Whole,
        }
    }

    /// The status that is sent; `None` if no head is sent.
    pub(super) fn status(self, response: &Response) -> Option<u16> {
        match self {
            Self::StallHead | Self::Reset | Self::Close | Self::Garbage => None,
            Self::Whole
            | Self::StallBody
            | Self::SlowBody { .. }
            | Self::CutBody
            | Self::HugeBody { .. }
            | Self::ChunkedInvalid
            | Self::CutChunk
            | Self::EndlessHeaders
            | Self::Informational { .. } => Some(response.status),
        }
    }
}

/// Sends the answer; returns whether the connection may serve another request.
pub(super) async fn deliver(
    connection: &mut Connection,
    response: &Response,
    mode: SendMode,
    keep_alive: bool,
) -> io::Result<bool> {
    match mode {
        SendMode::Whole => {
            connection.send(&response.spell(keep_alive)).await?;
            return Ok(keep_alive);
        }
        SendMode::SlowBody { per_byte } => {
            send_slowly(connection, response, per_byte, keep_alive).await?;
            return Ok(keep_alive);
        }
        SendMode::HugeBody { padding } => {
            send_padded(connection, response, padding, keep_alive).await?;
            return Ok(keep_alive);
        }
        SendMode::Informational { status, count, pause } => {
            send_informational(connection, status, count, pause).await?;
            connection.send(&response.spell(keep_alive)).await?;
            return Ok(keep_alive);
        }
        SendMode::StallHead => connection.until_caller_leaves().await?,
        SendMode::StallBody => {
            send_half(connection, response).await?;
            connection.until_caller_leaves().await?;
        }
        SendMode::CutBody => send_half(connection, response).await?,
        // A socket with a linger time of zero is reset when it closes.
        SendMode::Reset => connection.stream.set_zero_linger()?,
        SendMode::Close => {}
        SendMode::Garbage => connection.send(b"\x16\x03\x01 no HTTP \xff\xfe\r\n\r\n").await?,
        SendMode::ChunkedInvalid => send_broken_chunks(connection, response).await?,
        SendMode::CutChunk => send_half_a_chunk(connection, response).await?,
        SendMode::EndlessHeaders => send_endless_headers(connection, response).await?,
    }
    Ok(false)
}

async fn send_slowly(
    connection: &mut Connection,
    response: &Response,
    per_byte: Duration,
    keep_alive: bool,
) -> io::Result<()> {
    let head = response.spell_head(response.body.len() as u64, keep_alive);
    connection.send(head.as_bytes()).await?;
    for byte in &response.body {
        sleep(per_byte).await;
        connection.send(&[*byte]).await?;
    }
    Ok(())
}

/// Sends the white space in blocks, so that any amount of it needs little memory; then the body.
async fn send_padded(
    connection: &mut Connection,
    response: &Response,
    padding: u64,
    keep_alive: bool,
) -> io::Result<()> {
    let content_length = padding.saturating_add(response.body.len() as u64);
    let head = response.spell_head(content_length, keep_alive);
    connection.send(head.as_bytes()).await?;
    let block = vec![b' '; BLOCK_BYTES];
    let mut left = padding;
    while left > 0 {
        let length = usize::try_from(left).map_or(BLOCK_BYTES, |left| left.min(BLOCK_BYTES));
        connection.send(&block[..length]).await?;
        left -= length as u64;
    }
    connection.send(&response.body).await
}

/// Sends half of the body, after a head that announces the whole body.
async fn send_half(connection: &mut Connection, response: &Response) -> io::Result<()> {
    let mut bytes = response.spell_head(response.body.len() as u64, true).into_bytes();
    bytes.extend_from_slice(&response.body[..response.body.len() / 2]);
    connection.send(&bytes).await
}

async fn send_broken_chunks(connection: &mut Connection, response: &Response) -> io::Result<()> {
    let start = response.spell_start();
    let text = format!("{start}Transfer-Encoding: chunked\r\n\r\n5\r\n{{\"a\":\r\nnot a size\r\n");
    connection.send(text.as_bytes()).await
}

async fn send_half_a_chunk(connection: &mut Connection, response: &Response) -> io::Result<()> {
    let (start, length) = (response.spell_start(), response.body.len());
    let mut bytes = format!("{start}Transfer-Encoding: chunked\r\n\r\n{length:x}\r\n").into_bytes();
    bytes.extend_from_slice(&response.body[..length / 2]);
    connection.send(&bytes).await
}

/// Sends the informational answers. A write fails if the caller leaves between them.
async fn send_informational(
    connection: &mut Connection,
    status: u16,
    count: u64,
    pause: Duration,
) -> io::Result<()> {
    let head = Response::empty(status).with_header("Link", "</>; rel=preload").spell_start();
    for _ in 0..count {
        if !pause.is_zero() {
            sleep(pause).await;
        }
        connection.send(format!("{head}\r\n").as_bytes()).await?;
    }
    Ok(())
}

/// Sends header lines until a write fails, because the caller has closed the connection.
async fn send_endless_headers(connection: &mut Connection, response: &Response) -> io::Result<()> {
    connection.send(response.spell_start().as_bytes()).await?;
    let filler = "x".repeat(1024);
    for number in 0_u64.. {
        let line = format!("X-Filler-{number}: {filler}\r\n");
        connection.send(line.as_bytes()).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
        time::timeout,
    };

    use super::super::{Fault, FaultKind, Kind, SimulatedProvider};

    /// Long enough for a loaded machine; no test waits for its end.
    const TEST_TIMEOUT: Duration = Duration::from_secs(10);

    /// Sends one authorised balance call with `Connection: close`. Returns the connection before its answer is read.
    async fn call(provider: &SimulatedProvider) -> TcpStream {
        let mut stream = TcpStream::connect(provider.addr()).await.unwrap();
        let token = provider.credentials().token;
        let request = format!(
            "GET /api/balance HTTP/1.1\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    }

    async fn answer_under(fault: FaultKind) -> std::io::Result<Vec<u8>> {
        let provider = SimulatedProvider::start(Kind::NtxpayMx).await.unwrap();
        provider.queue(Fault::on_balance(fault));
        let mut bytes = Vec::new();
        let mut stream = call(&provider).await;
        let read = timeout(TEST_TIMEOUT, stream.read_to_end(&mut bytes)).await;
        read.unwrap()?;
        Ok(bytes)
    }

    async fn text_under(fault: FaultKind) -> String {
        String::from_utf8_lossy(&answer_under(fault).await.unwrap()).into_owned()
    }

    const BODY: &str = r#"{"availableCentavos":4873490,"pendingCentavos":0,"currency":"MXN"}"#;

    #[tokio::test]
    async fn a_status_fault_sends_its_retry_after_and_body() {
        let fault = FaultKind::Status {
            status: 503,
            retry_after: Some("20".to_owned()),
            body: Some("<html>".to_owned()),
        };

        let text = text_under(fault).await;

        assert!(text.starts_with("HTTP/1.1 503 Service Unavailable\r\n"));
        assert!(text.contains("\r\nRetry-After: 20\r\n"));
        assert!(text.ends_with("\r\n\r\n<html>"));
    }

    #[tokio::test]
    async fn a_cut_body_is_half_of_what_was_announced() {
        let text = text_under(FaultKind::CutBody).await;

        assert!(text.contains(&format!("\r\nContent-Length: {}\r\n", BODY.len())));
        assert!(text.ends_with(&BODY[..BODY.len() / 2]));
    }

    #[tokio::test]
    async fn a_slow_body_arrives_whole() {
        let text = text_under(FaultKind::SlowBody { ms_per_byte: 1 }).await;

        assert!(text.ends_with(BODY));
    }

    #[tokio::test]
    async fn a_cut_chunk_is_half_of_what_was_announced() {
        let text = text_under(FaultKind::CutChunk).await;

        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.ends_with("\r\nTransfer-Encoding: chunked"));
        assert_eq!(body, format!("{:x}\r\n{}", BODY.len(), &BODY[..BODY.len() / 2]));
    }

    #[tokio::test]
    async fn informational_answers_come_before_the_normal_one() {
        let text = text_under(FaultKind::Informational { status: 103, count: 3, ms: 0 }).await;

        assert!(text.starts_with("HTTP/1.1 103 Early Hints\r\n"));
        assert_eq!(text.matches("HTTP/1.1 103").count(), 3);
        assert!(text.contains("\r\n\r\nHTTP/1.1 200 OK\r\n"));
        assert!(text.ends_with(BODY));
    }

    #[tokio::test]
    async fn a_delayed_answer_is_the_normal_one() {
        let text = text_under(FaultKind::Delay { ms: 1 }).await;

        assert!(text.starts_with("HTTP/1.1 200 OK\r\n"));
        assert!(text.ends_with(BODY));
    }

    #[tokio::test]
    async fn a_huge_body_is_as_long_as_announced() {
        let bytes = 3 * 64 * 1024 + 7;

        let text = text_under(FaultKind::HugeBody { bytes }).await;

        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("\r\nContent-Length: {}", body.len())));
        assert_eq!(body.len() as u64, bytes + BODY.len() as u64);
        assert_eq!(body.trim_start(), BODY);
    }

    #[tokio::test]
    async fn a_reset_fault_resets_the_connection() {
        let error = answer_under(FaultKind::Reset).await.unwrap_err();

        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    }

    #[tokio::test]
    async fn some_faults_send_no_head_or_no_valid_body() {
        assert_eq!(text_under(FaultKind::Close).await, "");
        assert!(!text_under(FaultKind::Garbage).await.starts_with("HTTP"));
        let chunked = text_under(FaultKind::ChunkedInvalid).await;
        assert!(chunked.contains("\r\nTransfer-Encoding: chunked\r\n"));
        assert!(!chunked.contains("Content-Length"));
    }

    #[tokio::test]
    async fn other_answers_replace_the_normal_one() {
        let headers = vec![("Age".to_owned(), "5".to_owned())];
        let location = "http://elsewhere/".to_owned();
        let value = "text/html".to_owned();
        let table = [
            (FaultKind::Redirect { location }, "Location: http://elsewhere/"),
            (FaultKind::Headers { headers }, "Age: 5"),
            (FaultKind::ContentType { value }, "Content-Type: text/html"),
            (FaultKind::RefuseToken { status: 403 }, "HTTP/1.1 403 Forbidden"),
            (FaultKind::ExpireToken, "HTTP/1.1 401 Unauthorized"),
        ];
        for (fault, expected) in table {
            let text = text_under(fault).await;

            let (head, _) = text.split_once("\r\n\r\n").unwrap();
            assert!(head.lines().any(|line| line == expected), "{head}");
        }
        let text = "[]".to_owned();
        assert!(text_under(FaultKind::Body { text }).await.ends_with("\r\n\r\n[]"));
        let bytes = vec![0xff, 0x00];
        let answer = answer_under(FaultKind::BodyBytes { bytes }).await.unwrap();
        assert!(answer.ends_with(&[0xff, 0x00]));
    }

    #[tokio::test]
    async fn a_stalled_body_leaves_the_connection_open() {
        let provider = SimulatedProvider::start(Kind::NtxpayMx).await.unwrap();
        provider.queue(Fault::on_balance(FaultKind::StallBody));
        let mut stream = call(&provider).await;

        let mut received = String::new();
        while !received.ends_with(&BODY[..BODY.len() / 2]) {
            let byte = timeout(TEST_TIMEOUT, stream.read_u8()).await.unwrap().unwrap();
            received.push(char::from(byte));
        }

        assert_eq!(provider.calls()[0].status, Some(200));
        assert_eq!(provider.calls()[0].fault, Some("stall_body"));
    }

    #[tokio::test]
    async fn an_endless_head_has_no_empty_line() {
        let provider = SimulatedProvider::start(Kind::NtxpayMx).await.unwrap();
        provider.queue(Fault::on_balance(FaultKind::EndlessHeaders));
        let mut stream = call(&provider).await;

        let mut some = vec![0; 512 * 1024];
        let read = timeout(TEST_TIMEOUT, stream.read_exact(&mut some)).await;

        read.unwrap().unwrap();
        assert!(!some.windows(4).any(|window| window == b"\r\n\r\n"));
    }
}
