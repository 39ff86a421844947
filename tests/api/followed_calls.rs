//! The calls that a provider sees while many streams follow many balances.

use std::time::{Duration, Instant};

use balance_gateway::sandbox::{Kind, Operation};
use tokio::task::JoinSet;
use tokio::time::{interval_at, timeout_at};

use crate::events::reader::Events;
use crate::harness::{Harness, Setup, is_long};

const KIND: Kind = Kind::NtxpayBr;
const SECRET: &str = "secret-of-the-hook-of-followed-balances";
const STREAMS: usize = 20;

/// How many balances are followed, for how long, and how old they may get.
struct Course {
    balances: usize,
    fresh_for: Duration,
    length: Duration,
    refresh: Duration,
    notified_every: Option<Duration>,
}

impl Course {
    /// Five minutes in a long run, a few seconds otherwise.
    fn new(refresh: u64, notified_every: Option<u64>) -> Self {
        let (balances, length, divisor) = if is_long() { (60, 300, 1) } else { (6, 8, 10) };
        let seconds = |seconds: u64| Duration::from_secs((seconds / divisor).max(1));
        Self {
            balances,
            fresh_for: seconds(10),
            length: Duration::from_secs(length),
            refresh: seconds(refresh),
            notified_every: notified_every.map(seconds),
        }
    }

    async fn gateway(&self) -> Harness {
        let account = |n: usize| {
            format!("[accounts.n{n:02}]\nprovider = \"{KIND}\"\ntoken = {{ env = \"NTXPAY_BR_TOKEN\" }}\n")
        };
        let accounts: String = (0..self.balances).map(account).collect();
        let hook = "[hooks.brazil]\naccounts = [\"n*\"]\nsettle = \"0s\"\n\
                    header = { name = \"x-token\", secret = { env = \"HOOK_SECRET\" } }\n";
        Harness::start(Setup {
            server: "hooks = \"127.0.0.1:0\"".to_owned(),
            freshness: format!("fresh_for = \"{}s\"", self.fresh_for.as_secs()),
            provider: "budget = { requests = 100000, per = \"1m\" }".to_owned(),
            caller: format!("streams = {STREAMS}\n"),
            further: format!("{accounts}{hook}"),
            secrets: vec![("HOOK_SECRET", SECRET.to_owned())],
            has_static_tokens: true,
            ..Setup::default()
        })
        .await
    }

    /// How many calls the provider sees while this many streams follow the balances.
    async fn calls(&self, streams: usize) -> usize {
        let gateway = self.gateway().await;
        let end = Instant::now() + self.length;
        let mut readers = JoinSet::new();
        for _ in 0..streams {
            let query = format!("?refresh={}", self.refresh.as_secs());
            let mut events = Events::open(&gateway, &query).await.begin().await;
            readers.spawn(async move {
                let mut seen = 0_usize;
                while timeout_at(end.into(), events.balance()).await.is_ok() {
                    seen += 1;
                }
                seen
            });
        }
        if let Some(pause) = self.notified_every {
            let mut beat = interval_at((Instant::now() + pause).into(), pause);
            while Instant::now() + pause < end {
                beat.tick().await;
                let url = format!("http://{}/hooks/brazil", gateway.hooks.unwrap());
                let answer = gateway.client.post(url).header("x-token", SECRET).send().await.unwrap();
                assert_eq!(answer.status(), 200);
            }
        }
        let seen = readers.join_all().await;
        assert!(seen.iter().all(|seen| *seen >= self.balances), "{seen:?} events");
        gateway.calls(KIND, Operation::Balance).len()
    }

    #[expect(clippy::print_stdout, reason = "the figures of a long run are for people")]
    async fn assert_as_one_stream(&self, what: &str) {
        let (one, many) = tokio::join!(self.calls(1), self.calls(STREAMS));
        let (balances, seconds) = (self.balances, self.length.as_secs());
        println!(
            "{what}, {balances} balances for {seconds} s: one stream costs {one} calls, {STREAMS} cost {many}"
        );
        let rounds = usize::try_from(seconds / self.refresh.as_secs()).unwrap();
        assert!(one >= balances * rounds / 2, "{what}: {one} calls do not keep {balances} balances fresh");
        // The reads that one stream may cause on any machine: a read at the start, one shortly before the end of each
        // interval, and two for each notification, which may come while a read runs.
        let notified =
            self.notified_every.map_or(0, |pause| usize::try_from(seconds / pause.as_secs()).unwrap());
        let most = balances * (1 + (rounds * 5).div_ceil(4) + 2 * notified);
        assert!(one <= most && many <= most, "{what}: {one} and {many} calls, at most {most}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_streams_without_notifications_cost_the_calls_of_one() {
    Course::new(10, None).assert_as_one_stream("refresh=10").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_streams_with_notifications_cost_the_calls_of_one() {
    Course::new(60, Some(30)).assert_as_one_stream("refresh=60 and notifications").await;
}
