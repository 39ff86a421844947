//! An answer waits for a slow client only until its oldest balance reaches the ceiling.

use std::time::{Duration, Instant};

use balance_gateway::sandbox::{Fault, FaultKind, Kind};
use tokio::net::TcpStream;

use crate::harness::{Harness, KEY, Setup};

const KIND: Kind = Kind::NtxpayBr;

/// Stores a balance that is 57 s old.
async fn store_an_old_balance(gateway: &Harness) -> Instant {
    let headers = vec![("Age".to_owned(), "57".to_owned())];
    gateway.provider(KIND).queue(Fault::on_balance(FaultKind::Headers { headers }));
    let stored = Instant::now();
    gateway.new_balance(KIND).await;
    stored
}

/// Asks over HTTP/2 with windows of this size. Returns the answer, and the client to keep the connection open.
async fn ask(
    gateway: &Harness,
    path: &str,
    window: u32,
) -> (http::Response<h2::RecvStream>, h2::client::SendRequest<bytes::Bytes>) {
    let stream = TcpStream::connect(gateway.api).await.unwrap();
    let mut builder = h2::client::Builder::new();
    let (client, connection) =
        builder.initial_window_size(window).handshake::<_, bytes::Bytes>(stream).await.unwrap();
    tokio::spawn(connection);
    let request = http::Request::get(format!("http://{}{path}", gateway.api))
        .header("authorization", format!("Bearer {KEY}"))
        .header("cache-control", "only-if-cached")
        .body(())
        .unwrap();
    let mut client = client.ready().await.unwrap();
    let answer = client.send_request(request, true).unwrap().0.await.unwrap();
    assert_eq!(answer.status(), http::StatusCode::OK, "{path}");
    (answer, client)
}

/// Reads a body until it is reset, without enlarging the window. Returns the number of bytes before the reset.
async fn reset(body: &mut h2::RecvStream) -> usize {
    let mut length = 0;
    loop {
        let piece = tokio::time::timeout(Duration::from_secs(20), body.data()).await;
        match piece.expect("the stream is reset").expect("the body does not end") {
            Ok(piece) => length += piece.len(),
            Err(error) => {
                assert_eq!(error.reason(), Some(h2::Reason::CANCEL));
                return length;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_balance_57_seconds_old_is_never_sent_after_its_ceiling_when_the_window_is_closed() {
    let gateway = Harness::usual().await;

    for path in ["/v1/accounts/ntxpay-br-demo/balance", "/v1/balances?account=ntxpay-br-demo"] {
        let stored = store_an_old_balance(&gateway).await;

        let (answer, _client) = ask(&gateway, path, 0).await;

        assert_eq!(answer.headers()["age"], "58");
        assert_eq!(reset(&mut answer.into_body()).await, 0, "{path}");
        assert!(stored.elapsed() >= Duration::from_millis(2500), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_balance_that_was_partly_taken_is_cut_at_the_ceiling_and_the_connection_goes_on() {
    let gateway = Harness::usual().await;
    let stored = store_an_old_balance(&gateway).await;
    let path = "/v1/accounts/ntxpay-br-demo/balance";

    let (answer, mut client) = ask(&gateway, path, 100).await;

    assert_eq!(reset(&mut answer.into_body()).await, 100);
    assert!(stored.elapsed() >= Duration::from_millis(2500));
    let request = http::Request::get(format!("http://{}{path}", gateway.api)).body(()).unwrap();
    let answer = client.send_request(request, true).unwrap().0.await.unwrap();
    assert_eq!(answer.status(), http::StatusCode::UNAUTHORIZED, "the connection goes on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_is_not_taken_is_cut_when_its_balance_reaches_the_ceiling() {
    // `retry: 1000` takes 13 bytes; the rest is a part of the balance.
    for window in [13, 100] {
        let gateway = Harness::start(Setup {
            server: "request_timeout = \"30s\"\ndrain_timeout = \"30s\"".to_owned(),
            ..Setup::default()
        })
        .await;
        let stored = store_an_old_balance(&gateway).await;
        // The background refresh brings nothing newer.
        gateway.provider(KIND).queue(Fault::on_balance(FaultKind::Delay { ms: 600_000 }));

        let (answer, _client) = ask(&gateway, "/v1/events?account=ntxpay-br-demo&refresh=60", window).await;

        let length = reset(&mut answer.into_body()).await;
        assert!(length <= usize::try_from(window).unwrap(), "{length} of {window}");
        let waited = stored.elapsed();
        assert!(waited >= Duration::from_millis(2500) && waited < Duration::from_secs(20), "{waited:?}");
    }
}
