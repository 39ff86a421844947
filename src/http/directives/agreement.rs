//! Compares our age arithmetic with an independent implementation of HTTP caching.

use std::time::{Duration, Instant};

use http::{Request, Response};
use http_cache_semantics::{CacheOptions, CachePolicy};
use jiff::Timestamp;
use proptest::prelude::*;

use super::{CACHE_CONTROL, parse};
use crate::domain::{FreshFor, Limits, MaxAge, Moment};

/// A provider's answer with this `Age`, evaluated this long after its arrival.
#[derive(Clone, Copy, Debug)]
struct Stored {
    age: u64,
    since: Duration,
    limits: Limits,
}

fn stored() -> impl Strategy<Value = Stored> {
    // `since` begins at 1 ms: at the very instant of arrival both sides of a comparison are equal, a case that HTTP
    // does not have.
    (0_u64..60, 1_u64..120_000, 1_u64..=60, 1_u64..=60).prop_map(|(age, since, one, other)| {
        let [fresh_for, max_age] = [one.min(other), one.max(other)].map(Duration::from_secs);
        let limits =
            Limits { fresh_for: FreshFor::new(fresh_for).unwrap(), max_age: MaxAge::new(max_age).unwrap() };
        Stored { age, since: Duration::from_millis(since), limits }
    })
}

#[expect(clippy::disallowed_methods, reason = "a test needs some moment to count from")]
fn some_moment() -> Moment {
    Moment { monotonic: Instant::now(), wall: Timestamp::now() }
}

fn request(directives: &str) -> Request<()> {
    Request::get("/").header(CACHE_CONTROL, directives).body(()).unwrap()
}

/// Whether we would serve the answer, and its age.
fn ours(stored: Stored, directives: &str) -> (bool, Duration) {
    let received = some_moment();
    let requested_at = received.earlier_by(Duration::from_secs(stored.age));
    let arrived = received.later_by(stored.since);
    let demand = parse(request(directives).headers(), None).demand(arrived, stored.limits);
    let age = requested_at.age_at(arrived);
    (demand.accepts(requested_at, None) && age < stored.limits.max_age.get(), age)
}

/// Whether the other implementation would serve an answer that is fresh for `lifetime`, and its age.
fn theirs(stored: Stored, lifetime: Duration, directives: &str) -> (bool, Duration) {
    let response = Response::builder()
        .header(CACHE_CONTROL, format!("max-age={}", lifetime.as_secs()))
        .header("age", stored.age)
        .body(())
        .unwrap();
    let received = std::time::SystemTime::UNIX_EPOCH + Duration::from_hours(24);
    let policy = CachePolicy::new_options(&request(""), &response, received, CacheOptions::default());
    let now = received + stored.since;
    (policy.before_request(&request(directives), now).satisfies_without_revalidation(), policy.age(now))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn the_age_is_equal(stored in stored()) {
        let ceiling = stored.limits.max_age.get();
        prop_assert_eq!(ours(stored, ""), theirs(stored, ceiling, ""));
    }

    #[test]
    fn max_age_and_no_cache_decide_equally(stored in stored(), allowed in 0_u64..130, is_forced: bool) {
        let ceiling = stored.limits.max_age.get();
        let directives = format!("max-age={allowed}{}", if is_forced { ", no-cache" } else { "" });
        prop_assert_eq!(ours(stored, &directives), theirs(stored, ceiling, &directives));
    }

    /// `min-fresh` counts from `fresh_for`. `left` begins at 1: with `min-fresh=0`, the other implementation's lifetime
    /// ends an instant earlier.
    #[test]
    fn min_fresh_decides_equally(stored in stored(), left in 1_u64..130) {
        let directives = format!("min-fresh={left}");
        let fresh_for = stored.limits.fresh_for.get();
        prop_assert_eq!(ours(stored, &directives), theirs(stored, fresh_for, &directives));
    }

    #[test]
    fn max_age_with_min_fresh_decides_equally(stored in stored(), allowed in 0_u64..70, left in 1_u64..70) {
        let (max_age, min_fresh) = (format!("max-age={allowed}"), format!("min-fresh={left}"));
        let (by_age, _) = theirs(stored, stored.limits.max_age.get(), &max_age);
        let (by_rest, _) = theirs(stored, stored.limits.fresh_for.get(), &min_fresh);
        prop_assert_eq!(ours(stored, &format!("{max_age}, {min_fresh}")).0, by_age && by_rest);
    }
}
