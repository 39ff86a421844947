//! What HTTP itself requires: methods, paths, bodies, heads, request ids and versions.

use super::*;

#[tokio::test]
async fn above_max_in_flight_a_request_is_shed_with_retry_after() {
    let server = "max_in_flight = 1\n".to_owned();
    let gateway = Harness::start(Setup { server, ..Setup::default() }).await;
    gateway.provider(Kind::NtxpayBr).queue(Fault::on_balance(FaultKind::Delay { ms: 300 }));

    let (first, refused) = tokio::join!(gateway.balance(Kind::NtxpayBr), async {
        gateway.provider(Kind::NtxpayBr).wait_for_calls(2).await;
        gateway.get_with(BRAZIL, &[("prefer", "wait=5")]).await
    });

    assert_eq!(first.status, 200);
    refused.assert_problem(503, "overloaded");
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(refused.header("preference-applied"), "wait=5", "every answer says so");
    assert_eq!(gateway.balance(Kind::NtxpayBr).await.status, 200);
}

#[tokio::test]
async fn a_valid_request_id_is_kept_and_any_other_is_replaced() {
    let gateway = Harness::usual().await;
    let longest = "x".repeat(64);
    for id in ["a", "A-1._z", &longest] {
        for (path, key) in [(BRAZIL, Some(KEY)), ("/v1/nothing", Some(KEY)), (BRAZIL, None)] {
            let reply = gateway.send("GET", path, key, &[("x-request-id", id)]).await;

            assert_eq!(reply.header("x-request-id"), id, "{path}");
            if reply.status != 200 {
                assert_eq!(reply.json()["request_id"], id);
            }
        }
    }
    let too_long = "x".repeat(65);
    for id in ["", "a b", "a/b", "a\"", &too_long] {
        let headers = [("x-request-id", id)];
        let (one, other) =
            tokio::join!(gateway.get_with(BRAZIL, &headers), gateway.get_with(BRAZIL, &headers));

        let (one, other) = (one.header("x-request-id"), other.header("x-request-id"));
        assert!(!one.is_empty() && one != id && one != other, "{id:?} {one:?} {other:?}");
    }
}

#[tokio::test]
async fn an_unsupported_method_is_405_with_allow() {
    let gateway = Harness::usual().await;
    for (method, path, allowed) in [
        ("POST", "/v1/accounts", vec!["GET", "HEAD"]),
        ("DELETE", BRAZIL, vec!["GET", "HEAD"]),
        ("PUT", "/v1/balances", vec!["GET", "HEAD"]),
        ("OPTIONS", "/v1/balances", vec!["GET", "HEAD"]),
        ("GET", "/v1/accounts/ntxpay-br-demo/invalidate", vec!["POST"]),
    ] {
        let reply = gateway.send(method, path, Some(KEY), &[]).await;

        reply.assert_problem(405, "method_not_allowed");
        let mut given: Vec<_> = reply.header("allow").split(',').map(str::trim).collect();
        given.sort_unstable();
        assert_eq!(given, allowed, "{method} {path}");
    }
    assert!(gateway.provider(Kind::NtxpayBr).calls().is_empty());
}

#[tokio::test]
async fn an_unknown_path_is_404() {
    let gateway = Harness::usual().await;
    for path in [
        "/v1",
        "/v1/",
        "/v1/nothing",
        "/v1/accounts/",
        "/v1/accounts/ntxpay-br-demo",
        "/v1/accounts/ntxpay-br-demo/",
        "/v1/accounts/ntxpay-br-demo/nothing",
        "/v1/accounts/ntxpay-br-demo/balance/",
        "/v1/balances/",
    ] {
        gateway.get(path).await.assert_problem(404, "not_found");
    }
    for path in ["/v10", "/nothing"] {
        gateway.send("GET", path, None, &[]).await.assert_problem(404, "not_found");
    }
}

#[tokio::test]
async fn a_small_body_is_ignored_and_a_large_one_is_413_before_404() {
    let gateway = Harness::usual().await;
    let send = async |method: &str, path: &str, size: usize| {
        let request = gateway.request(method, path, Some(KEY)).body("x".repeat(size));
        Reply::read(request.send().await.unwrap()).await
    };

    let small = send("GET", BRAZIL, 4096).await;
    let mut large = Vec::new();
    for (method, path) in
        [("GET", BRAZIL), ("POST", BRAZIL), ("POST", "/v1/nothing"), ("GET", "/v1/balances?x=1")]
    {
        large.push(send(method, path, 4097).await);
    }
    large.push(send("GET", BRAZIL, 1024 * 1024).await);

    assert_eq!(small.status, 200);
    for reply in large {
        reply.assert_problem(413, "content_too_large");
    }
}

/// The beginning of the answer to a request that announces a body and never sends it.
async fn without_its_body(gateway: &Harness, method: &str, path: &str, fields: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(gateway.api).await.unwrap();
    let key =
        if path.starts_with("/v1") { format!("Authorization: Bearer {KEY}\r\n") } else { String::new() };
    let head = format!("{method} {path} HTTP/1.1\r\nHost: x\r\n{key}{fields}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut status = [0; 12];
    let read = stream.read_exact(&mut status);
    // Well before `request_timeout`, which would end the wait for a body.
    tokio::time::timeout(std::time::Duration::from_secs(5), read)
        .await
        .expect("the gateway does not wait for the body")
        .unwrap();
    String::from_utf8(status.to_vec()).unwrap()
}

#[tokio::test]
async fn a_body_announced_as_too_large_is_refused_at_once_without_100_continue() {
    let gateway = Harness::usual().await;
    for fields in [
        "Content-Length: 50000000",
        "Content-Length: 4097",
        "Content-Length: 50000000\r\nExpect: 100-continue",
    ] {
        assert_eq!(without_its_body(&gateway, "GET", BRAZIL, fields).await, "HTTP/1.1 413", "{fields}");
        assert_eq!(without_its_body(&gateway, "POST", "/v1/x", fields).await, "HTTP/1.1 413", "{fields}");
    }
    let expecting = "Content-Length: 4\r\nExpect: 100-continue";
    assert_eq!(without_its_body(&gateway, "GET", BRAZIL, expecting).await, "HTTP/1.1 100");
}

#[tokio::test]
async fn outside_v1_the_gateway_never_waits_for_a_body() {
    let gateway = Harness::usual().await;
    for fields in [
        "Content-Length: 10",
        "Content-Length: 50000000",
        "Transfer-Encoding: chunked",
        "Content-Length: 9\r\nExpect: 100-continue",
    ] {
        for (method, path, status) in
            [("GET", "/docs", 200), ("POST", "/dashboard", 405), ("POST", "/nothing", 404)]
        {
            let answer = without_its_body(&gateway, method, path, fields).await;

            assert_eq!(answer, format!("HTTP/1.1 {status}"), "{method} {path} {fields}");
        }
    }
}

/// Sends a text on a new connection and reads to the end.
async fn raw(gateway: &Harness, text: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(gateway.api).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    harness::record("seen", &answer);
    answer
}

fn head_with(fields: usize, filler: &str) -> String {
    let mut head =
        format!("GET {BRAZIL} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {KEY}\r\n");
    for number in 3..fields {
        write!(head, "X-{number}: {filler}\r\n").unwrap();
    }
    head + "\r\n"
}

#[tokio::test]
async fn a_head_has_at_most_100_fields_and_64_kib() {
    let gateway = Harness::usual().await;
    for (head, status) in [
        (head_with(100, "x"), "200 OK"),
        (head_with(90, &"x".repeat(600)), "200 OK"),
        (head_with(101, "x"), "431 "),
        (head_with(90, &"x".repeat(900)), "431 "),
    ] {
        let answer = raw(&gateway, &head).await;

        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
        assert_eq!(body.is_empty(), status.starts_with("431"), "{answer}");
    }
}

#[tokio::test]
async fn a_malformed_request_is_400_without_a_body_and_counted() {
    let gateway = Harness::usual().await;

    let answer = raw(&gateway, "RUBBISH\r\n\r\n").await;

    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.ends_with("\r\n\r\n"), "{answer}");
    harness::eventually("the refusal is counted", || async {
        gateway.count("connections_refused_total{reason=\"head\"}").await == 1
    })
    .await;
}

#[tokio::test]
async fn http_2_works_by_prior_knowledge() {
    let gateway = Harness::usual().await;
    let client = harness::client().http2_prior_knowledge().build().unwrap();

    let response =
        client.get(format!("http://{}{BRAZIL}", gateway.api)).bearer_auth(KEY).send().await.unwrap();

    assert_eq!(response.version(), reqwest::Version::HTTP_2);
    let reply = Reply::read(response).await;
    assert_eq!(reply.status, 200);
    assert_eq!(gateway.balance(Kind::NtxpayBr).await.body, reply.body);
}
