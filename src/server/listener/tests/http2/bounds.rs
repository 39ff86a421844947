//! Bounds of HTTP/2: header fields, memory of unfinished blocks, and floods of frames.

use super::*;

#[tokio::test]
async fn more_than_100_fields_are_refused() {
    let server = Server::start(|_| {});
    let mut client = server.connect().await;
    let fields = [&GET_ROOT[..], &b"\x00\x01x\x01y".repeat(101)].concat();

    client.send(first_request(&[], &fields)).await;
    client.send(frame(HEADERS, END_OF_STREAM_AND_HEADERS, 3, &fields)).await;

    // The name `:status` from the static table, the value 431 in Huffman code.
    assert!(client.frame(HEADERS).await.starts_with(&[0x48, 0x83, 0x69, 0x90, 0xff]));
    client.frame(GOAWAY).await;
    server.assert_refused("head", 1);
}

/// The error code of a GOAWAY, which follows the last stream.
fn reason(goaway: &[u8]) -> u32 {
    u32::from_be_bytes(goaway[4..8].try_into().unwrap())
}

#[tokio::test]
async fn unfinished_header_blocks_share_a_bounded_memory() {
    let server = Server::start(|_| {});
    // The shared memory is enough for sixteen of these.
    let open = frame(HEADERS, END_OF_STREAM, 3, &GET_ROOT);
    let mut clients = Vec::new();
    for _ in 0..17 {
        let mut client = server.connect().await;
        client.send(first_request(&[], &GET_ROOT)).await;
        client.frame(DATA).await;
        client.send(&open).await;
        clients.push(client);
        if clients.len() == 16 {
            // The server reads the blocks in the order of their arrival. The last block must arrive after all others.
            sleep(SHORT).await;
        }
    }

    let mut last = clients.pop().unwrap();
    last.rest().await;
    server.assert_refused("head", 1);

    clients[0].send(frame(CONTINUATION, END_HEADERS, 3, &[])).await;
    clients[0].frame(DATA).await;
    let mut next = server.connect().await;
    next.send(first_request(&[], &GET_ROOT)).await;
    next.frame(DATA).await;
    next.send([open, frame(CONTINUATION, END_HEADERS, 3, &[])].concat()).await;
    next.frame(DATA).await;
}

#[tokio::test]
async fn rapid_resets_end_the_connection_and_are_counted() {
    let server = Server::start(|_| {});
    let (mut client, mut good) = (server.connect().await, server.connect().await);
    let mut flood = first_request(&[], &GET_ROOT);
    for stream in (3..=101).step_by(2) {
        flood.extend(frame(HEADERS, END_OF_STREAM_AND_HEADERS, stream, &GET_ROOT));
        flood.extend(frame(RST_STREAM, 0, stream, &[0, 0, 0, 8]));
    }

    client.send(flood).await;

    assert_eq!(reason(&client.frame(GOAWAY).await), ENHANCE_YOUR_CALM);
    client.rest().await;
    server.assert_refused("head", 1);
    assert!(good.ask().await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn endless_header_fields_end_the_connection_and_are_counted() {
    let server = Server::start(|_| {});
    let mut client = server.connect().await;
    let mut flood = first_request(&[], &GET_ROOT);
    flood.extend(frame(HEADERS, END_OF_STREAM, 3, &GET_ROOT));
    flood.extend(frame(CONTINUATION, 0, 3, b"\x00\x01x\x01y").repeat(10_000));

    // The server may be gone before it has read all.
    let _ = client.0.write_all(&flood).await;

    client.rest().await;
    server.assert_refused("head", 1);
}
