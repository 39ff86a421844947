//! Callers, and a judge that compares their answers with the provider's log alone.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use balance_gateway::sandbox::Call;
use fastrand::Rng;

use super::machines::{LOCAL_SHARE, MAX_AGE, PER, REQUESTS, counted};
use crate::harness::Reply;
use crate::process::Gateway;

const PATH: &str = "/v1/accounts/treasury/balance";
/// How much the network and this process may add to an age.
const SLACK: Duration = Duration::from_millis(700);
/// The provider's name of the figure that identifies a call.
const FIGURE: &str = "netBalance";

/// One answer.
pub(super) struct Seen {
    asked: Instant,
    read: Instant,
    /// The answer must not hold a balance requested before this.
    not_before: Option<Instant>,
    /// Whether the caller had no demand.
    is_plain: bool,
    reply: Result<Reply, String>,
}

/// The result of a run.
pub(super) struct Judged {
    pub(super) violations: Vec<String>,
    pub(super) answers: usize,
    failed: usize,
    /// Refused because the local share of the budget was used up.
    refused: usize,
    oldest: Duration,
    calls: usize,
    most_in_per: usize,
    joined: Duration,
    faults: BTreeMap<&'static str, usize>,
}

/// Sends requests to one gateway until the run is over. One in forty demands a new read.
pub(super) async fn ask(gateway: Arc<Gateway>, seed: u64, is_over: Arc<AtomicBool>) -> Vec<Seen> {
    let (mut rng, mut answers) = (Rng::with_seed(seed), Vec::new());
    while !is_over.load(Ordering::Relaxed) {
        let is_demanding = rng.u32(0..40) == 0;
        let demand: &[_] = if is_demanding { &[("cache-control", "no-cache")] } else { &[] };
        let asked = Instant::now();
        let reply = get(&gateway, PATH, demand).await;
        answers.push(Seen {
            asked,
            read: Instant::now(),
            not_before: is_demanding.then_some(asked),
            is_plain: !is_demanding,
            reply,
        });
        tokio::time::sleep(Duration::from_millis(rng.u64(50..150))).await;
    }
    answers
}

/// Invalidates at one gateway, and passes the instant on to another one.
pub(super) async fn invalidate(
    gateways: Vec<Arc<Gateway>>,
    seed: u64,
    is_over: Arc<AtomicBool>,
) -> Vec<Seen> {
    let (mut rng, mut answers) = (Rng::with_seed(!seed), Vec::new());
    while !is_over.load(Ordering::Relaxed) {
        tokio::time::sleep(Duration::from_secs(rng.u64(2..5))).await;
        let (one, other) = (&gateways[rng.usize(0..3)], &gateways[rng.usize(0..3)]);
        let asked = Instant::now();
        let url = format!("http://{}/v1/accounts/treasury/invalidate", one.api);
        let marked = match one.client.post(url).bearer_auth(one.key).send().await {
            Ok(response) => Reply::read(response).await,
            Err(error) => {
                answers.push(Seen {
                    asked,
                    read: Instant::now(),
                    not_before: None,
                    is_plain: true,
                    reply: Err(error.to_string()),
                });
                continue;
            }
        };
        // The invalidated gateway serves no older balance; nor does another one that gets the `not_before`.
        let reply = get(one, PATH, &[]).await;
        answers.push(Seen { asked, read: Instant::now(), not_before: Some(asked), is_plain: true, reply });
        let Some(instant) = marked.json()["not_before"].as_str().map(str::to_owned) else { continue };
        let reply = get(other, &format!("{PATH}?not_before={instant}"), &[]).await;
        answers.push(Seen { asked, read: Instant::now(), not_before: Some(asked), is_plain: false, reply });
    }
    answers
}

async fn get(gateway: &Gateway, path: &str, headers: &[(&str, &str)]) -> Result<Reply, String> {
    let request = gateway.client.get(format!("http://{}{path}", gateway.api)).bearer_auth(gateway.key);
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    match request.send().await {
        Ok(response) => Ok(Reply::read(response).await),
        Err(error) => Err(error.to_string()),
    }
}

impl Judged {
    pub(super) fn of(seen: &[Seen], calls: &[Call], faults: Vec<&'static str>, joined: Duration) -> Self {
        let (mut violations, mut failed, mut refused) = (Vec::new(), 0, 0);
        let mut oldest = Duration::ZERO;
        for seen in seen {
            if is_refused_by_local_share(seen, calls) {
                refused += 1;
                continue;
            }
            match judge(seen, calls) {
                Ok(age) => oldest = oldest.max(age),
                Err((is_failed, violation)) => {
                    failed += usize::from(is_failed);
                    violations.push(violation);
                }
            }
        }
        let most_in_per = most_in(calls, PER);
        // A span that touches an outage may have the local shares in addition.
        if most_in_per > 2 * REQUESTS {
            violations.push(format!("{most_in_per} calls within {PER:?}"));
        }
        violations.truncate(20);
        let (answers, calls, faults) = (seen.len(), calls.len(), counted(faults));
        Self { violations, answers, failed, refused, oldest, calls, most_in_per, joined, faults }
    }
}

/// Whether a request was refused because its gateway has used up its local share of the budget, as in a new epoch.
fn is_refused_by_local_share(seen: &Seen, calls: &[Call]) -> bool {
    let Ok(reply) = &seen.reply else { return false };
    let counts = |call: &&Call| call.instant <= seen.read && seen.read - call.instant < PER + SLACK;
    let counted = calls.iter().filter(counts).count();
    reply.status == 503 && reply.json()["code"] == "budget_exhausted" && counted >= LOCAL_SHARE
}

/// The age of an answer when the test received it. An error says whether the request failed, and why.
fn judge(seen: &Seen, calls: &[Call]) -> Result<Duration, (bool, String)> {
    let reply = seen.reply.as_ref().map_err(|error| (true, format!("a request failed: {error}")))?;
    if reply.status != 200 {
        return Err((true, format!("a request failed: {reply:?}")));
    }
    let figure = reply.json()["reported"][FIGURE].as_str().unwrap_or_default().to_owned();
    let figure = format!("\"{FIGURE}\":{figure}");
    let brought = |call: &&Call| call.answer.contains(&figure);
    let Some(call) = calls.iter().filter(|call| call.instant <= seen.read).rfind(brought) else {
        return Err((false, format!("the provider never sent {figure}")));
    };
    let age = seen.read.duration_since(call.instant);
    if age > MAX_AGE + SLACK {
        return Err((false, format!("an answer is {age:?} old: {reply:?}")));
    }
    // A caller without a demand may get an invalidated balance when the read fails.
    let is_last_resort = seen.is_plain && reply.header("cache-status").contains("stale-if-error");
    let not_before = seen.not_before.filter(|_| !is_last_resort);
    if let Some(not_before) = not_before.filter(|not_before| call.instant < *not_before) {
        let earlier = not_before.duration_since(call.instant);
        let waited = seen.read.duration_since(seen.asked);
        return Err((
            false,
            format!("an answer is from {earlier:?} before it may be, after {waited:?}: {reply:?}"),
        ));
    }
    Ok(age)
}

fn most_in(calls: &[Call], span: Duration) -> usize {
    let within = |first: &Call| {
        calls
            .iter()
            .filter(|call| call.instant >= first.instant && call.instant - first.instant < span)
            .count()
    };
    calls.iter().map(within).max().unwrap_or(0)
}

impl fmt::Display for Judged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { violations, answers, failed, refused, oldest, calls, most_in_per, joined, faults } = self;
        let broken = violations.len();
        writeln!(
            f,
            "{answers} answers, {failed} failed, {refused} over the local share, {broken} violations"
        )?;
        writeln!(f, "the oldest was {oldest:?} old; {calls} calls, at most {most_in_per} in {PER:?}")?;
        writeln!(f, "sharing again {joined:?} after the last fault")?;
        faults.iter().try_for_each(|(fault, count)| writeln!(f, "{count} x {fault}"))
    }
}
