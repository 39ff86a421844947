//! Bodies at the cap, with and without an announced length.

use std::future::ready;

use super::*;

const CAP: usize = 64 * 1024;

/// A balance of exactly this many bytes.
fn padded(length: usize) -> String {
    let body = r#"{"availableCentavos":1,"pendingCentavos":0,"currency":"MXN"}"#;
    format!("{}{body}", " ".repeat(length - body.len()))
}

fn with_length(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

fn chunked(body: &str) -> Vec<u8> {
    let mut bytes = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for chunk in body.as_bytes().chunks(1000) {
        let size = format!("{:x}\r\n", chunk.len());
        bytes.extend([size.as_bytes(), chunk, b"\r\n"].concat());
    }
    bytes.extend(b"0\r\n\r\n");
    bytes
}

fn until_the_end(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{body}").into_bytes()
}

async fn read(answer: Vec<u8>) -> Result<Arc<Snapshot>, UpstreamError> {
    let url = serve(move |_| ready(answer.clone())).await;
    let (_, upstream) =
        Setup::new(Kind::NtxpayMx).at(&url, Credential::Static(Authorisation::Bearer("t".into())));
    upstream.read(0, ReadRequest::alone(Priority::Plain)).await.result.map_err(|failure| failure.error)
}

#[tokio::test]
async fn a_body_of_exactly_the_cap_is_read() {
    for frame in [with_length, chunked, until_the_end] {
        assert!(read(frame(&padded(CAP))).await.is_ok());
    }
}

#[tokio::test]
async fn a_body_over_the_cap_is_too_large() {
    for frame in [with_length, chunked, until_the_end] {
        assert_eq!(read(frame(&padded(CAP + 1))).await.unwrap_err(), UpstreamError::TooLarge);
    }
}

#[tokio::test]
async fn an_announced_length_over_the_cap_is_not_waited_for() {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", CAP + 1);

    assert_eq!(read(head.into_bytes()).await.unwrap_err(), UpstreamError::TooLarge);
}

#[tokio::test]
async fn a_body_that_has_no_end_is_cut_at_the_cap() {
    let account = Account::new(Kind::NtxpayMx).await;
    account.queue([Fault::on_balance(FaultKind::HugeBody { bytes: 1 << 40 })]);

    assert_eq!(account.error(0).await, UpstreamError::TooLarge);
    assert_eq!(account.counted("upstream_errors_total").len(), 1);
    assert!(account.counted("upstream_errors_total")[0].contains("kind=\"too_large\""));
}

#[tokio::test]
async fn an_unrequested_encoding_is_refused() {
    for (encoding, is_read) in [("gzip", false), ("br", false), ("identity", true)] {
        let account = Account::new(Kind::NtxpayMx).await;
        account.queue([Fault::on_balance(header("Content-Encoding", encoding))]);

        let result = account.read(0).await;

        let is_invalid =
            matches!(&result, Err(failure) if matches!(failure.error, UpstreamError::Invalid(_)));
        assert_eq!((result.is_ok(), is_invalid), (is_read, !is_read), "{encoding}");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let other = SimulatedProvider::start(Kind::NtxpayMx).await.unwrap();
    let account = Account::new(Kind::NtxpayMx).await;
    let location = format!("{}/api/balance", other.url());
    account.queue([Fault::on_balance(FaultKind::Redirect { location })]);

    assert_eq!(account.error(0).await, UpstreamError::Status(302));
    assert_eq!(account.calls(), [("balance", Some(302))]);
    assert!(other.calls().is_empty());
}
