//! How long a change at a provider takes until it reaches a caller's stream.

use std::time::{Duration, Instant};

use balance_gateway::sandbox::{Kind, WEBHOOK_USER, Webhook};
use futures_util::future::join_all;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::events::reader::Events;
use crate::harness::{Harness, Setup, is_long};

const SECRET: &str = "secret-of-the-hooks-whose-latency-is-measured";
/// The gateway processes the notifications of an account once per second; a late one delays the next.
const PACE: Duration = Duration::from_millis(1300);
/// The goal for 99 of 100 changes, when the provider shows the change at once.
const GOAL: Duration = Duration::from_millis(150);
/// The bound on a machine that runs other tests at the same time.
const LOADED: Duration = Duration::from_secs(5);
const SETTLE: Duration = Duration::from_millis(500);
/// How long a late provider still shows the old balance after its notification.
const LATE: Duration = Duration::from_millis(100);

/// The providers that send notifications, each with its only balance.
const SOURCES: [(Kind, &str, &str); 3] = [
    (Kind::NtxpayBr, "BRL", "netBalance"),
    (Kind::Avista, "BRL", "netBalance"),
    (Kind::NtxpayMx, "MXN", "availableCentavos"),
];

/// A gateway with a hook for each of the providers.
pub(crate) fn setup(settle: Duration) -> Setup {
    let hook = |(kind, ..): &(Kind, &str, &str)| {
        let proof = match kind {
            Kind::NtxpayMx => {
                "hmac = { header = \"X-NTXPay-Signature\", prefix = \"sha256=\", secret = { env = \"HOOK_SECRET\" } }"
                    .to_owned()
            }
            _ => format!("basic = {{ user = \"{WEBHOOK_USER}\", password = {{ env = \"HOOK_SECRET\" }} }}"),
        };
        let settle = settle.as_millis();
        format!("[hooks.{kind}]\naccounts = [\"{kind}-demo\"]\n{proof}\nsettle = \"{settle}ms\"\n")
    };
    Setup {
        server: "hooks = \"127.0.0.1:0\"".to_owned(),
        provider: "budget = { requests = 100000, per = \"1m\" }".to_owned(),
        further: SOURCES.iter().map(hook).collect(),
        secrets: vec![("HOOK_SECRET", SECRET.to_owned())],
        ..Setup::default()
    }
}

/// The times of many changes, shortest first.
pub(crate) struct Latencies(Vec<Duration>);

impl Latencies {
    fn of(hundredths: usize, of: &[Duration]) -> Duration {
        of[(of.len() * hundredths / 100).min(of.len() - 1)]
    }

    /// Prints the figures, and asserts that 99 of 100 changes took less than the goal.
    #[track_caller]
    #[expect(clippy::print_stdout, reason = "the figures of a long run are for people")]
    pub(crate) fn assert_within(&self, what: &str, goal: Duration) {
        let [median, most] = [50, 99].map(|hundredths| Self::of(hundredths, &self.0));
        println!("{what}, {} changes: p50 {median:.1?}, p99 {most:.1?}", self.0.len());
        let bound = if is_long() { goal } else { LOADED };
        assert!(most < bound, "{what}: {most:?} is not below {bound:?}");
    }

    /// As [`Self::assert_within`], for a provider that shows each change at once.
    #[track_caller]
    pub(crate) fn assert_goal(&self, what: &str) {
        self.assert_within(what, GOAL);
    }
}

/// Changes balances at the providers, each at its own intervals. The measured time of a change ends with its event.
async fn measure<F: Future<Output = ()>>(
    providers: &Harness,
    listener: &Harness,
    notified: impl Fn(Kind) -> F + Copy,
) -> Latencies {
    let changes = if is_long() { 200 } else { 20_usize }.div_ceil(SOURCES.len());
    let source = |(kind, currency, field): (Kind, &'static str, &'static str)| async move {
        let query = format!("?account={kind}-demo");
        let mut events = Events::open(listener, &query).await.begin().await;
        events.balance().await;
        let mut pace = interval(PACE);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut took = Vec::new();
        for change in 1..=changes {
            pace.tick().await;
            notified(kind).await;
            let raw = if kind == Kind::NtxpayMx { format!("{change}01") } else { format!("{change}.01") };
            let began = Instant::now();
            providers.provider(kind).set_field(currency, None, field, &raw);
            let shown = format!("{change}.01");
            while events.balance().await["available"] != shown.as_str() {}
            took.push(began.elapsed());
        }
        took
    };
    let mut all: Vec<_> = join_all(SOURCES.map(source)).await.into_iter().flatten().collect();
    all.sort();
    Latencies(all)
}

/// Measures providers that send their notifications to `receiver` as soon as a balance has changed.
pub(crate) async fn measure_at_once(receiver: &Harness, listener: &Harness) -> Latencies {
    for (kind, ..) in SOURCES {
        let (address, path) = (receiver.hooks.unwrap(), format!("/hooks/{kind}"));
        receiver.provider(kind).notify(Webhook { address, path, secret: SECRET.to_owned() });
    }
    // The first change is its own notification.
    measure(receiver, listener, |_| async {}).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_reaches_a_stream_at_once() {
    let gateway = Harness::start(setup(Duration::ZERO)).await;

    let latencies = measure_at_once(&gateway, &gateway).await;

    latencies.assert_goal("one process");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_comes_late_reaches_a_stream_after_settle() {
    let gateway = Harness::start(setup(SETTLE)).await;
    let notified = |kind: Kind| {
        let (client, url) = (&gateway.client, format!("http://{}/hooks/{kind}", gateway.hooks.unwrap()));
        let request = match kind {
            Kind::NtxpayMx => {
                let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, SECRET.as_bytes());
                let tag = aws_lc_rs::hmac::sign(&key, b"{}");
                let hex: Vec<String> = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
                client.post(url).header("x-ntxpay-signature", format!("sha256={}", hex.concat())).body("{}")
            }
            _ => client.post(url).basic_auth(WEBHOOK_USER, Some(SECRET)),
        };
        async move {
            assert_eq!(request.send().await.unwrap().status(), 200);
            sleep(LATE).await;
        }
    };

    let latencies = measure(&gateway, &gateway, notified).await;

    latencies.assert_within("late by 100 ms, settle 500 ms", SETTLE.saturating_sub(LATE) + GOAL);
}
