//! The ends of answers, odd contents, and connections that are slow or do not speak HTTP.

use std::future::ready;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::*;

const BODY: &str = r#"{"availableCentavos":1,"pendingCentavos":0,"currency":"MXN"}"#;

/// A TLS server that hands each connection to the test.
async fn serve_tls<F: Future<Output = ()> + Send>(
    protocol: &[u8],
    serve: impl Fn(TlsStream<TcpStream>) -> F + Clone + Send + 'static,
) -> (String, Vec<u8>) {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = vec![protocol.to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, serve) = (acceptor.clone(), serve.clone());
            tokio::spawn(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    serve(stream).await;
                }
            });
        }
    });
    (url, cert.pem().into_bytes())
}

async fn read_at(url: &str, ca: Option<Vec<u8>>, retries: u32) -> (Metrics, Result<(), UpstreamError>) {
    let setup = Setup::with(Kind::NtxpayMx, |settings| {
        settings.client.extra_ca = ca;
        settings.client.connect_timeout = LONGEST_WAIT;
        settings.retries = retries;
    });
    let (metrics, upstream) = setup.at(url, Credential::Static(Authorisation::Bearer("t".into())));
    let answer = upstream.read(0, ReadRequest::alone(Priority::Plain)).await;
    (metrics, answer.result.map(drop).map_err(|failure| failure.error))
}

/// Answers once and closes the socket below TLS, without `close_notify`.
async fn answer_and_drop(mut stream: TlsStream<TcpStream>, answer: String) {
    let _ = stream.read(&mut [0; 4096]).await;
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.flush().await;
    let (mut socket, _) = stream.into_inner();
    let _ = socket.shutdown().await;
}

#[tokio::test]
async fn a_body_that_ends_with_the_connection_is_read_when_it_is_complete() {
    for head in ["HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.0 200 OK\r\n\r\n"] {
        let answer = format!("{head}{BODY}");
        let (url, ca) = serve_tls(b"http/1.1", move |stream| answer_and_drop(stream, answer.clone())).await;

        assert_eq!(read_at(&url, Some(ca), 0).await.1, Ok(()), "{head}");
    }
}

/// No attempt is repeated.
#[tokio::test]
async fn half_a_body_that_ends_with_the_connection_is_invalid_and_not_retried() {
    for is_tls in [true, false] {
        let answer = format!("HTTP/1.1 200 OK\r\n\r\n{}", &BODY[..30]);
        let (url, ca) = if is_tls {
            let (url, ca) =
                serve_tls(b"http/1.1", move |stream| answer_and_drop(stream, answer.clone())).await;
            (url, Some(ca))
        } else {
            (serve(move |_| ready(answer.clone().into_bytes())).await, None)
        };

        let (metrics, result) = read_at(&url, ca, 3).await;

        let error = ParseError { field: "body", problem: "not a JSON object: it ends too early" };
        assert_eq!(result, Err(UpstreamError::Invalid(error)), "{is_tls}");
        let page = String::from_utf8(metrics.render(Samples::default())).unwrap();
        assert!(page.contains("balance_gateway_upstream_retries_total{provider=\"p\"} 0"));
    }
}

/// An announced length, or chunks without a last one, still reveal an answer that was cut short.
#[tokio::test]
async fn an_answer_that_is_shorter_than_announced_is_cut_short() {
    for framing in [
        format!("Content-Length: {}\r\n\r\n{BODY}", BODY.len() + 1),
        format!("Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{BODY}\r\n", BODY.len()),
    ] {
        let answer = format!("HTTP/1.1 200 OK\r\n{framing}");
        let (url, ca) = serve_tls(b"http/1.1", move |stream| answer_and_drop(stream, answer.clone())).await;

        let (_, result) = read_at(&url, Some(ca), 0).await;

        assert_eq!(result, Err(UpstreamError::Unreachable(Cause::CutShort)), "{framing}");
    }
}

#[tokio::test]
async fn a_byte_order_mark_and_invalid_bytes_in_unread_fields_are_ignored() {
    for (body, is_read) in [
        (b"\xef\xbb\xbf{\"availableCentavos\":1,\"pendingCentavos\":0,\"currency\":\"MXN\"}".to_vec(), true),
        (b"{\"message\":\"saldo dispon\xedvel\",\"availableCentavos\":1,\"pendingCentavos\":0,\"currency\":\"MXN\"}".to_vec(), true),
        (b"{\"availableCentavos\":1,\"pendingCentavos\":0,\"currency\":\"M\xedN\"}".to_vec(), false),
    ] {
        let answer = [b"HTTP/1.1 200 OK\r\n\r\n", &*body].concat();
        let url = serve(move |_| ready(answer.clone())).await;

        let (_, result) = read_at(&url, None, 0).await;

        match result {
            Ok(()) => assert!(is_read),
            Err(UpstreamError::Invalid(error)) => assert!(!is_read && error.field == "currency", "{error}"),
            Err(error) => panic!("{error}"),
        }
    }
}

/// Over real answers, for tokens as well.
#[tokio::test]
async fn only_a_compression_makes_an_answer_invalid() {
    for (coding, is_read) in
        [("UTF-8", true), ("", true), ("none", true), ("identity, identity", true), ("gzip", false)]
    {
        let account = Setup::new(Kind::NtxpayMx).with_client().start(Kind::NtxpayMx).await;
        account.queue([
            Fault::on_token(header("Content-Encoding", coding)),
            Fault::on_balance(header("Content-Encoding", coding)),
        ]);

        let result = account.read(0).await.map_err(|failure| failure.error);

        let error = ParseError { field: "Content-Encoding", problem: "gzip" };
        assert_eq!(
            result.map(drop),
            if is_read { Ok(()) } else { Err(UpstreamError::Invalid(error)) },
            "{coding}"
        );
    }
}

/// The provider is silent for longer than `connect_timeout`, but answers within the attempt's time.
#[tokio::test]
async fn a_provider_that_is_silent_for_less_than_an_attempt_is_not_cut_off_by_a_ping() {
    let serve = |stream| async {
        let mut connection = h2::server::handshake(stream).await.unwrap();
        let (_, mut answer) = connection.accept().await.unwrap().unwrap();
        tokio::time::sleep(SHORT * 6).await;
        answer.send_response(http::Response::new(()), false).unwrap().send_data(BODY.into(), true).unwrap();
        while connection.accept().await.is_some() {}
    };
    let (url, ca) = serve_tls(b"h2", serve).await;
    let setup = Setup::with(Kind::NtxpayMx, |settings| {
        settings.client.extra_ca = Some(ca);
        settings.client.connect_timeout = SHORT * 2;
    });
    let (_, upstream) = setup.at(&url, Credential::Static(Authorisation::Bearer("t".into())));

    let answer = upstream.read(0, ReadRequest::alone(Priority::Plain)).await;

    assert!(answer.result.is_ok(), "{answer:?}");
}

/// The first bytes decide, in any order of failures.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_speaks_no_http_is_invalid_in_any_order_of_failures() {
    for protocol in [&b"h2"[..], b"http/1.1"] {
        let serve = |mut stream: TlsStream<TcpStream>| async move {
            let _ = stream.write_all(&b"220 mail.example ESMTP\r\n".repeat(20)).await;
            let _ = stream.flush().await;
            if fastrand::bool() {
                let _ = stream.shutdown().await;
            }
            // Closing with unread bytes makes the kernel reset the connection and drop the written bytes.
            let _ = stream.read_to_end(&mut Vec::new()).await;
        };
        let (url, ca) = serve_tls(protocol, serve).await;
        for _ in 0..100 {
            let (_, result) = read_at(&url, Some(ca.clone()), 1).await;
            let error = ParseError { field: "answer", problem: "not HTTP" };
            assert_eq!(result, Err(UpstreamError::Invalid(error)), "{protocol:?}");
        }
    }
}
