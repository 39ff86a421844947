//! An answer waits for a slow client only until its oldest balance reaches the ceiling.

use std::time::{Duration, Instant};

use balance_gateway::sandbox::{Fault, FaultKind, Kind};
use tokio::net::TcpStream;

use crate::harness::{Harness, KEY};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_balance_of_57_seconds_behind_a_closed_window_never_leaves() {
    let gateway = Harness::usual().await;
    let headers = vec![("Age".to_owned(), "57".to_owned())];
    gateway.provider(Kind::NtxpayBr).queue(Fault::on_balance(FaultKind::Headers { headers }));
    let stored = Instant::now();
    gateway.balance(Kind::NtxpayBr).await;
    let paths = ["/v1/accounts/ntxpay-br-demo/balance", "/v1/balances?account=ntxpay-br-demo"];

    for path in paths {
        let stream = TcpStream::connect(gateway.api).await.unwrap();
        let mut builder = h2::client::Builder::new();
        let (client, connection) =
            builder.initial_window_size(0).handshake::<_, bytes::Bytes>(stream).await.unwrap();
        tokio::spawn(connection);
        let request = http::Request::get(format!("http://{}{path}", gateway.api))
            .header("authorization", format!("Bearer {KEY}"))
            .header("cache-control", "only-if-cached")
            .body(())
            .unwrap();
        let mut client = client.ready().await.unwrap();
        let answer = client.send_request(request, true).unwrap().0.await.unwrap();
        assert_eq!(
            (answer.status(), &answer.headers()["age"]),
            (http::StatusCode::OK, &"58".parse().unwrap())
        );

        let mut body = answer.into_body();
        let ended =
            tokio::time::timeout(Duration::from_secs(20), body.data()).await.expect("the stream is reset");

        let reset = ended.unwrap().unwrap_err();
        assert_eq!(reset.reason(), Some(h2::Reason::CANCEL), "{path}");
        assert!(stored.elapsed() >= Duration::from_millis(2500), "{path}");
        if path == paths[0] {
            // The second needs a balance that is as old.
            let headers = vec![("Age".to_owned(), "57".to_owned())];
            gateway.provider(Kind::NtxpayBr).queue(Fault::on_balance(FaultKind::Headers { headers }));
            gateway.balance(Kind::NtxpayBr).await;
        }
    }
}
