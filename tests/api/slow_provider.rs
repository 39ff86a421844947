//! A slow provider and callers with random demands; the provider's log proves the age of every answer.
//!
//! The long run takes ten minutes, with reads of 8 s and a ceiling of 60 s. The usual run is twenty times faster.

use std::time::{Duration, Instant};

use balance_gateway::sandbox::{Fault, FaultKind, Kind, Operation};
use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};

use crate::harness::{Harness, KEY, Reply, Setup, is_long};

/// Longest time between the gateway's last age check and this process reading the answer, on a busy machine.
const ON_THE_WAY: SignedDuration = SignedDuration::from_millis(100);
/// Kinds whose bodies carry the time of the call, and how many of a thousand requests demand more than the ceiling.
/// With fewer demands, balances grow older.
const KINDS: [(Kind, u32); 3] = [(Kind::NtxpayBr, 200), (Kind::Avista, 2), (Kind::Pluggo, 0)];
const CALLERS: u64 = 40;

struct Scale {
    read: Duration,
    max_age: u32,
    run: Duration,
    provider: &'static str,
    server: &'static str,
}

const LONG: Scale = Scale {
    read: Duration::from_secs(8),
    max_age: 60,
    run: Duration::from_mins(10),
    provider: "attempt_timeout = \"9s\"\ndeadline = \"10s\"\nfresh_for = \"60s\"\nmax_age = \"60s\"\n",
    server: "request_timeout = \"25s\"\ndrain_timeout = \"25s\"\n",
};
const USUAL: Scale = Scale {
    read: Duration::from_millis(400),
    max_age: 3,
    run: Duration::from_secs(8),
    provider: "attempt_timeout = \"900ms\"\nconnect_timeout = \"500ms\"\ndeadline = \"1s\"\n\
               fresh_for = \"3s\"\nmax_age = \"3s\"\n",
    server: "",
};

/// One answer: its account, the provider's time in it, and when this process read it.
#[derive(Clone)]
struct ObservedAnswer {
    kind: Kind,
    asked: Timestamp,
    observed: Timestamp,
    read: Timestamp,
    is_forced: bool,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_answer_is_older_than_the_ceiling_by_the_log_of_a_slow_provider() {
    let scale = if is_long() { LONG } else { USUAL };
    let gateway = start(&scale).await;
    let end = Instant::now() + scale.run;

    let callers = (0..CALLERS).map(|seed| ask_at_random(&gateway, &scale, end, Rng::with_seed(seed)));
    let asked = futures_util::future::join_all(callers).await.concat();
    let answers: Vec<&ObservedAnswer> = asked.iter().flatten().collect();

    let mut oldest = SignedDuration::ZERO;
    for answer in &answers {
        let received = receipt(&gateway, answer);
        let age = answer.read.duration_since(received);
        oldest = oldest.max(age);
        assert!(age <= SignedDuration::from_secs(i64::from(scale.max_age)) + ON_THE_WAY, "{age:?} old");
        // The provider logs a call after it was sent, so never before the request that forced it.
        assert!(!answer.is_forced || received >= answer.asked - SignedDuration::from_millis(1));
    }
    let cut = asked.len() - answers.len();
    assert!(cut * 100 <= asked.len(), "{cut} of {} answers were cut", asked.len());
    let calls: usize = KINDS.iter().map(|(kind, _)| gateway.calls(*kind, Operation::Balance).len()).sum();
    println!("{} answers, {cut} cut, {calls} calls, the oldest answer {oldest:?} old", answers.len());
    assert!(
        oldest > SignedDuration::from_secs(i64::from(scale.max_age) - 1),
        "no answer came near the ceiling"
    );
}

async fn start(scale: &Scale) -> Harness {
    let gateway = Harness::start(Setup {
        provider: scale.provider.to_owned(),
        server: scale.server.to_owned(),
        has_static_tokens: true,
        ..Setup::default()
    })
    .await;
    let ms = u64::try_from(scale.read.as_millis()).unwrap();
    for (kind, _) in KINDS {
        gateway.provider(kind).queue(Fault::on_balance(FaultKind::Delay { ms }).times(u32::MAX));
    }
    gateway
}

/// Requests one account after the other until the end, with random pauses and demands. `None` stands for an answer that
/// was cut, because a busy machine did not send it before it reached the ceiling.
async fn ask_at_random(
    gateway: &Harness,
    scale: &Scale,
    end: Instant,
    mut rng: Rng,
) -> Vec<Option<ObservedAnswer>> {
    let mut answers = Vec::new();
    while Instant::now() < end {
        let (kind, demanding) = KINDS[rng.usize(..KINDS.len())];
        let age = rng.u32(..=scale.max_age);
        let demand = match rng.u32(..4) {
            _ if rng.u32(..1000) >= demanding => ["max-age=600", "only-if-cached"][rng.usize(..2)].to_owned(),
            0 => "no-cache".to_owned(),
            1 => "no-cache, stale-if-error".to_owned(),
            2 => format!("max-age={age}"),
            _ => format!("min-fresh={age}"),
        };
        let asked = Timestamp::now();
        let path = format!("/v1/accounts/{kind}-demo/balance");
        let request = gateway.request("GET", &path, Some(KEY)).header("cache-control", &demand);
        let Ok(response) = request.send().await else {
            answers.push(None);
            continue;
        };
        let reply = Reply::read(response).await;
        let read = Timestamp::now();
        if reply.status == 200 {
            let observed = observed_at(&reply);
            let is_forced = demand == "no-cache";
            answers.push(Some(ObservedAnswer { kind, asked, observed, read, is_forced }));
        } else {
            reply.assert_problem(504, "not_cached");
            assert_eq!(demand, "only-if-cached", "{reply:?}");
        }
        let pause = Duration::from_millis(u64::from(rng.u32(..scale.max_age * 8)));
        tokio::time::sleep(pause).await;
    }
    answers
}

fn observed_at(reply: &Reply) -> Timestamp {
    reply.json()["observed_at"].as_str().unwrap().parse().unwrap()
}

/// When the provider received the call behind an answer: the last logged call before the time in the body.
fn receipt(gateway: &Harness, answer: &ObservedAnswer) -> Timestamp {
    let calls = gateway.calls(answer.kind, Operation::Balance);
    let received = calls.iter().map(|call| call.at.parse::<Timestamp>().unwrap());
    received.filter(|at| *at <= answer.observed).max().expect("every answer has a call in the log")
}
