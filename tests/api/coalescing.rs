//! Many callers, one read.

use std::collections::HashSet;
use std::time::Duration;

use balance_gateway::sandbox::{Fault, FaultKind, Kind, Operation};
use jiff::Timestamp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::{Harness, KEY, Reply, Setup, eventually, eventually_within, is_long};

const BRAZIL: &str = "/v1/accounts/ntxpay-br-demo/balance";
const CALLERS: usize = 1000;
/// The longest delay of the provider, in milliseconds: on a busy machine, thousands of requests take many seconds to
/// arrive. The balance must still be young enough to be served.
const LONGEST_DELAY_MS: u64 = 50_000;

/// A gateway whose provider delays the first balance until the test ends the delay.
async fn with_slow_provider() -> Harness {
    let gateway = Harness::start(Setup {
        server: "request_timeout = \"120s\"\ndrain_timeout = \"120s\"\n".to_owned(),
        provider: "attempt_timeout = \"55s\"\ndeadline = \"55s\"\n".to_owned(),
        ..Setup::default()
    })
    .await;
    gateway.provider(Kind::NtxpayBr).queue(Fault::on_balance(FaultKind::Delay { ms: LONGEST_DELAY_MS }));
    gateway
}

type PendingReply = tokio::task::JoinHandle<Reply>;

/// Begins `count` requests, each on its own connection, and returns when they and the `before` earlier ones are in
/// flight.
async fn begin(gateway: &Harness, before: usize, count: usize) -> Vec<PendingReply> {
    let ask = || {
        let request = gateway.request("GET", BRAZIL, Some(KEY));
        tokio::spawn(async move { Reply::read(request.send().await.unwrap()).await })
    };
    let pending = (0..count).map(|_| ask()).collect();
    in_flight(gateway, before + count).await;
    pending
}

/// Begins one request that demands a read sent after its arrival.
fn force(gateway: &Harness) -> PendingReply {
    let request = gateway.request("GET", BRAZIL, Some(KEY)).header("cache-control", "no-cache");
    tokio::spawn(async move { Reply::read(request.send().await.unwrap()).await })
}

async fn in_flight(gateway: &Harness, count: usize) {
    eventually_within(Duration::from_millis(LONGEST_DELAY_MS), "the requests are in flight", || async {
        gateway.count("http_requests_in_flight").await == count as u64
    })
    .await;
}

async fn answers(pending: Vec<PendingReply>) -> Vec<Reply> {
    let mut replies = Vec::with_capacity(pending.len());
    for task in pending {
        replies.push(task.await.unwrap());
    }
    replies
}

async fn lookups(gateway: &Harness, outcome: &str) -> u64 {
    gateway.count(&format!("cache_lookups_total{{provider=\"ntxpay-br\",outcome=\"{outcome}\"}}")).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_first_requests_are_one_read() {
    let gateway = with_slow_provider().await;

    let pending = begin(&gateway, 0, CALLERS).await;
    gateway.provider(Kind::NtxpayBr).end_delays();
    let replies = answers(pending).await;

    assert!(
        replies.iter().all(|reply| reply.status == 200),
        "{:?}",
        replies.iter().find(|reply| reply.status != 200)
    );
    let bodies: HashSet<_> = replies.iter().map(|reply| reply.body.as_str()).collect();
    assert_eq!((replies.len(), bodies.len()), (CALLERS, 1));
    assert_eq!(gateway.calls(Kind::NtxpayBr, Operation::Token).len(), 1);
    assert_eq!(gateway.calls(Kind::NtxpayBr, Operation::Balance).len(), 1);
    assert_eq!((lookups(&gateway, "miss").await, lookups(&gateway, "collapsed").await), (1, 999));
    assert_eq!((lookups(&gateway, "hit").await, lookups(&gateway, "error").await), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_half_of_the_callers_leave_the_same_read_answers_the_rest() {
    let gateway = with_slow_provider().await;
    // The first request starts the read and is among those that leave.
    let mut leaving = begin(&gateway, 0, 1).await;
    gateway.provider(Kind::NtxpayBr).wait_for_calls(2).await;
    let mut staying = begin(&gateway, 1, CALLERS - 1).await;
    leaving.extend(staying.drain(..CALLERS / 2 - 1));

    leaving.iter().for_each(PendingReply::abort);
    in_flight(&gateway, CALLERS / 2).await;
    gateway.provider(Kind::NtxpayBr).end_delays();
    let replies = answers(staying).await;

    assert_eq!(replies.len(), CALLERS / 2);
    assert!(replies.iter().all(|reply| reply.status == 200));
    assert_eq!(replies.iter().map(|reply| reply.body.as_str()).collect::<HashSet<_>>().len(), 1);
    assert_eq!(gateway.calls(Kind::NtxpayBr, Operation::Token).len(), 1);
    assert_eq!(gateway.calls(Kind::NtxpayBr, Operation::Balance).len(), 1);
    assert_eq!(gateway.balance(Kind::NtxpayBr).await.body, replies[0].body);
}

#[tokio::test]
async fn when_every_caller_leaves_the_read_is_still_cached() {
    let gateway = Harness::usual().await;
    gateway.provider(Kind::NtxpayBr).queue(Fault::on_balance(FaultKind::Delay { ms: 300 }));
    let leaving = begin(&gateway, 0, 3).await;
    gateway.provider(Kind::NtxpayBr).wait_for_calls(2).await;

    leaving.iter().for_each(PendingReply::abort);
    in_flight(&gateway, 0).await;
    eventually("the read is stored", || async {
        let only_if_cached = [("cache-control", "only-if-cached")];
        gateway.get_with(BRAZIL, &only_if_cached).await.status == 200
    })
    .await;

    assert_eq!(gateway.calls(Kind::NtxpayBr, Operation::Balance).len(), 1);
}

#[tokio::test]
async fn no_cache_joins_only_a_read_that_is_sent_after_its_arrival() {
    let gateway = Harness::usual().await;
    gateway.provider(Kind::NtxpayBr).queue(Fault::on_balance(FaultKind::Delay { ms: 400 }));
    let forced = || force(&gateway);
    let first = forced();
    gateway.provider(Kind::NtxpayBr).wait_for_calls(2).await;

    let during: Vec<_> = (0..5).map(|_| forced()).collect();
    let plain = begin(&gateway, 6, 3).await;
    let (first, during, plain) = (first.await.unwrap(), answers(during).await, answers(plain).await);

    assert_eq!(gateway.calls(Kind::NtxpayBr, Operation::Balance).len(), 2);
    assert!(plain.iter().all(|reply| reply.body == first.body));
    assert!(during.iter().all(|reply| reply.status == 200 && reply.body != first.body));
    assert_eq!(during.iter().map(|reply| reply.body.as_str()).collect::<HashSet<_>>().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_forced_reads_within_one_slow_read_are_two() {
    let gateway = with_slow_provider().await;
    let mut sockets = connect(&gateway, 500).await;
    let force = "cache-control: no-cache\r\n";
    let mut arrivals = vec![Timestamp::now()];
    sockets[0].ask(force).await;
    gateway.provider(Kind::NtxpayBr).wait_for_calls(2).await;

    for socket in &mut sockets[1..] {
        arrivals.push(Timestamp::now());
        socket.ask(force).await;
    }
    in_flight(&gateway, 500).await;
    assert_eq!(
        gateway.calls(Kind::NtxpayBr, Operation::Balance).len(),
        1,
        "all arrived during the first read"
    );
    gateway.provider(Kind::NtxpayBr).end_delays();
    for (socket, arrival) in sockets.into_iter().zip(arrivals) {
        let body: serde_json::Value = serde_json::from_str(&socket.answer().await).unwrap();
        let fetched_at: Timestamp = body["fetched_at"].as_str().unwrap().parse().unwrap();
        // Truncated to the milliseconds of the answer.
        assert!(fetched_at.as_millisecond() >= arrival.as_millisecond(), "{fetched_at} before {arrival}");
    }

    assert_eq!(gateway.calls(Kind::NtxpayBr, Operation::Balance).len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_hold_all_callers_share_one_read() {
    let gateway = Harness::usual().await;
    gateway.provider(Kind::NtxpayBr).queue(Fault::on_balance(FaultKind::status(500)));
    let failed = gateway.balance(Kind::NtxpayBr).await;
    assert_eq!((failed.status, failed.header("retry-after")), (502, "1"), "{failed:?}");

    // The callers ask without a pause, from the time of the hold until they are served.
    let gateway = std::sync::Arc::new(gateway);
    let pending: Vec<_> = (0..50)
        .map(|_| {
            let gateway = std::sync::Arc::clone(&gateway);
            tokio::spawn(async move {
                gateway.until(BRAZIL, "the balance after the hold", |reply| reply.status == 200).await
            })
        })
        .collect();
    let replies = answers(pending).await;

    assert_eq!(replies.iter().map(|reply| reply.body.as_str()).collect::<HashSet<_>>().len(), 1);
    assert_eq!(gateway.calls(Kind::NtxpayBr, Operation::Balance).len(), 2);
}

/// A connection with hand-written requests: a client library would use most of the test's time.
struct Socket(TcpStream);

async fn connect(gateway: &Harness, count: usize) -> Vec<Socket> {
    let mut sockets = Vec::with_capacity(count);
    for _ in 0..count {
        sockets.push(Socket(TcpStream::connect(gateway.api).await.unwrap()));
    }
    sockets
}

impl Socket {
    /// Sends a request for the balance, with these additional header lines.
    async fn ask(&mut self, lines: &str) {
        let request =
            format!("GET {BRAZIL} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\n{lines}\r\n");
        self.0.write_all(request.as_bytes()).await.unwrap();
    }

    /// The body of the only answer, a balance.
    async fn answer(mut self) -> String {
        let (mut answer, mut filled) = ([0; 2048], 0);
        while !answer[..filled].ends_with(b"Z\"}") {
            let read = self.0.read(&mut answer[filled..]).await.unwrap();
            assert!(read > 0, "{}", String::from_utf8_lossy(&answer[..filled]));
            filled += read;
        }
        let answer = String::from_utf8_lossy(&answer[..filled]).into_owned();
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
        answer.split_once("\r\n\r\n").unwrap().1.to_owned()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_requests_for_a_cold_key_are_one_read_even_when_the_first_leaves() {
    let count = if is_long() { 5000 } else { 2000 };
    let gateway = with_slow_provider().await;
    let mut sockets = connect(&gateway, count).await;
    let mut leader = sockets.pop().unwrap();
    leader.ask("").await;
    gateway.provider(Kind::NtxpayBr).wait_for_calls(2).await;
    for socket in &mut sockets {
        socket.ask("").await;
    }
    in_flight(&gateway, count).await;

    drop(leader);
    gateway.provider(Kind::NtxpayBr).end_delays();
    let mut bodies = HashSet::new();
    for socket in sockets {
        bodies.insert(socket.answer().await);
    }

    assert_eq!(bodies.len(), 1);
    assert_eq!(gateway.calls(Kind::NtxpayBr, Operation::Token).len(), 1);
    assert_eq!(gateway.calls(Kind::NtxpayBr, Operation::Balance).len(), 1);
    // The request that left got no answer and is not counted. A request in flight may do its lookup only after the
    // answer arrived: then it is a hit.
    let answered = lookups(&gateway, "collapsed").await + lookups(&gateway, "hit").await;
    assert_eq!(answered, count as u64 - 1);
}
