//! Every wait for a condition: an attempt is repeated with short pauses until it succeeds or its time is over.

use std::time::{Duration, Instant};

use super::TEST_TIMEOUT;

/// The usual time between two attempts.
const PAUSE: Duration = Duration::from_millis(5);

/// Repeats an attempt until it succeeds, and returns its result. The last attempt begins after the limit; its error is
/// returned.
pub(crate) async fn retry_within<T, E, F: Future<Output = Result<T, E>>>(
    limit: Duration,
    attempt: impl FnMut() -> F,
) -> Result<T, E> {
    retry_every(PAUSE, limit, attempt).await
}

/// As [`retry_within`], with another pause between two attempts.
pub(crate) async fn retry_every<T, E, F: Future<Output = Result<T, E>>>(
    pause: Duration,
    limit: Duration,
    mut attempt: impl FnMut() -> F,
) -> Result<T, E> {
    let end = Instant::now() + limit;
    loop {
        let is_last = Instant::now() >= end;
        let result = attempt().await;
        if result.is_ok() || is_last {
            return result;
        }
        tokio::time::sleep(pause).await;
    }
}

/// Polls until the condition is true.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, condition: impl FnMut() -> F) {
    eventually_within(TEST_TIMEOUT, what, condition).await;
}

/// Polls until the condition is true, for at most this long.
pub(crate) async fn eventually_within<F: Future<Output = bool>>(
    limit: Duration,
    what: &str,
    mut condition: impl FnMut() -> F,
) {
    let is_met = || {
        let condition = condition();
        async { condition.await.then_some(()).ok_or(()) }
    };
    retry_within(limit, is_met).await.unwrap_or_else(|()| panic!("timed out: {what}"));
}
