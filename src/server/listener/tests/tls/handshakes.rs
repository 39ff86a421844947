//! Handshakes: their time-out, their count of failures, and their memory.

use super::*;

#[tokio::test]
async fn a_handshake_that_fails_is_counted() {
    let (server, _) = start(Authority::new().settings(None), |_| {});

    let mut plain = server.connect().await;
    plain.send(REQUEST).await;
    plain.rest().await;
    server.assert_refused("tls", 1);

    let stranger = Authority::new().client(&[], None);
    assert!(connect(&server, &stranger).await.is_err());
    let mut gone = server.connect().await;
    gone.send([0x16, 0x03]).await;
    gone.0.shutdown().await.unwrap();
    gone.rest().await;

    server.assert_refused("tls", 3);
    server.assert_refused("head", 0);
}

#[tokio::test]
async fn a_handshake_has_the_header_timeout_from_the_accept() {
    let (server, _) = start(Authority::new().settings(None), |settings| settings.header_timeout = SHORT);
    let connected = Instant::now();
    let (mut slow, mut silent) = (server.connect().await, server.connect().await);

    slow.send([0x16, 0x03, 0x01]).await;

    slow.rest().await;
    silent.rest().await;
    assert!(connected.elapsed() >= SHORT && connected.elapsed() < SHORT * 3);
    server.assert_refused("tls", 1);
    server.assert_refused("head", 0);
}

#[tokio::test]
async fn the_handshake_is_part_of_the_header_timeout() {
    let authority = Authority::new();
    let (server, _) = start(authority.settings(None), |settings| settings.header_timeout = SHORT * 3);
    let stream = server.connect().await.0;
    let connected = Instant::now();
    sleep(SHORT * 2).await;
    let name = ServerName::try_from("localhost").unwrap();
    let stream = soon(authority.client(&[], None).connect(name, stream)).await.unwrap();
    let mut client = Client(stream);

    client.send("GET / HT").await;

    client.rest().await;
    assert!(connected.elapsed() < SHORT * 5);
    server.assert_refused("head", 1);
    server.assert_refused("tls", 0);
}

#[tokio::test]
async fn stopping_does_not_wait_for_a_handshake() {
    let (server, _) = start(Authority::new().settings(None), |_| {});
    let mut client = server.connect().await;
    client.send([0x16, 0x03, 0x01]).await;

    server.shutdown.begin_stop();

    client.rest().await;
    assert_eq!(server.drained().await, Drained { cut: 0 });
}

#[tokio::test]
async fn large_handshakes_share_a_bounded_memory_and_small_ones_need_none() {
    let authority = Authority::new();
    let (server, _) = start(authority.settings(None), |_| {});
    // A ClientHello that announces nearly 64 KiB, in records, of which 60 KiB are sent.
    let hello = [&[1, 0, 0xff, 0xf0][..], &vec![0; 60 * 1024]].concat();
    let record =
        |part: &[u8]| [&[22, 3, 1][..], &u16::try_from(part.len()).unwrap().to_be_bytes(), part].concat();
    let hello: Vec<u8> = hello.chunks(16 * 1024).flat_map(record).collect();
    let mut clients = Vec::new();
    for _ in 0..80 {
        let mut client = server.connect().await;
        // The server may have closed before it has read all.
        let _ = client.0.write_all(&hello).await;
        clients.push(client);
    }
    let is_full = || async {
        let mut one_more = server.connect().await;
        let _ = one_more.0.write_all(&hello).await;
        timeout(SHORT, one_more.rest()).await.is_ok()
    };
    soon(async { while !is_full().await {} }).await;

    assert!(is_served(&server, &authority.client(&[b"http/1.1"], None)).await);
    drop(clients);
    soon(async { while is_full().await {} }).await;
}
