//! Limits of one process, and shared limits with a store that is never called.

use super::*;
use crate::metrics::Metrics;
use crate::shared::SharedSettings;

const POLICY: LimitPolicy = LimitPolicy::Caller;

fn start() -> Instant {
    crate::clock::now().monotonic
}

fn settings(requests: u32, seconds: u64, burst: u32) -> LimitSettings {
    LimitSettings { requests, per: Duration::from_secs(seconds), burst }
}

fn caller() -> CallerName {
    CallerName::parse("checkout").unwrap()
}

fn limit(requests: u32, seconds: u64, burst: u32) -> Arc<Limit> {
    Limit::new(&caller(), POLICY, settings(requests, seconds, burst), None, None, start()).unwrap()
}

/// A store that is never called.
fn shared(replicas: u32) -> Arc<Shared> {
    let metrics = Metrics::new("0", "0").unwrap().shared().unwrap();
    let settings = SharedSettings::unreachable(replicas);
    Shared::new(settings, crate::clock::now, metrics).unwrap()
}

fn state(limit: &Limit, name: &str, now: Instant) -> String {
    let mut text = BytesMut::new();
    limit.write_state(name, now, &mut text);
    String::from_utf8(text.to_vec()).unwrap()
}

#[test]
fn the_burst_is_available_at_once_and_then_a_wait_is_returned() {
    let (limit, now) = (limit(1, 20, 3), start());

    assert_eq!(limit.take(1, now), Ok(()));
    assert_eq!(limit.take(2, now), Ok(()));
    assert_eq!(limit.take(1, now).unwrap_err().as_secs(), 20);
    assert_eq!(limit.take(2, now).unwrap_err().as_secs(), 40);
    assert_eq!(limit.take(3, now).unwrap_err().as_secs(), 60);
}

#[test]
fn a_batch_costs_at_most_the_burst() {
    let (limit, now) = (limit(1, 20, 3), start());

    assert_eq!(limit.take(100, now), Ok(()));
    limit.take(1, now).unwrap_err();
}

#[test]
fn a_refused_batch_costs_nothing_and_waits_for_all_of_its_units() {
    let (limit, now) = (limit(12, 60, 2), start());
    limit.take(4, now).unwrap();

    assert_eq!(limit.take(4, now).unwrap_err().as_secs(), 10);
    assert_eq!(limit.take(1, now).unwrap_err().as_secs(), 5);
    assert_eq!(state(&limit, "x", now), r#""x";r=0;t=5"#);
}

#[test]
fn units_that_are_given_back_can_be_taken_again_and_overfill_nothing() {
    for shared in [None, Some(shared(1))] {
        let now = start();
        let made = Limit::new(&caller(), POLICY, settings(1, 20, 3), None, shared.as_ref(), now);
        let limit = made.unwrap();
        limit.take(3, now).unwrap();

        limit.put_back(2);

        assert_eq!(state(&limit, "x", now), r#""x";r=2;t=20"#);
        assert_eq!((limit.take(1, now), limit.take(1, now)), (Ok(()), Ok(())));
        limit.take(1, now).unwrap_err();
        limit.put_back(9);
        assert_eq!(state(&limit, "x", now), r#""x";r=3;t=0"#);
        assert_eq!(limit.take(3, now), Ok(()));
        limit.take(1, now).unwrap_err();
    }
}

#[test]
fn the_shown_units_are_those_left_now() {
    let (limit, now) = (limit(1, 20, 3), start());
    let after = |seconds| state(&limit, "x", now + Duration::from_secs(seconds));
    limit.take(2, now).unwrap();

    assert_eq!(after(0), r#""x";r=1;t=20"#);
    assert_eq!(after(20), r#""x";r=2;t=20"#);
    assert_eq!(after(40), r#""x";r=3;t=0"#);
    limit.take(3, now).unwrap_err();
    assert_eq!(after(0), r#""x";r=1;t=20"#, "a refusal takes nothing");
}

#[test]
fn the_fields_can_be_read_by_a_parser_of_structured_fields() {
    let (limit, now) = (limit(600, 60, 100), start());
    let (policy, full) = (limit.policy("caller"), state(&limit, "forced", now));
    limit.take(1, now).unwrap();
    let taken = state(&limit, "caller", now);

    assert_eq!(policy, r#""caller";q=100;w=10"#);
    assert_eq!(full, r#""forced";r=100;t=0"#);
    assert_eq!(taken, r#""caller";r=99;t=1"#);
    for text in [policy, full, taken] {
        sfv::Parser::new(&text).parse::<sfv::List>().unwrap();
    }
}

#[test]
fn without_an_answer_of_the_store_only_the_local_share_applies() {
    let (shared, now) = (shared(5), start());
    let limit = Limit::new(&caller(), POLICY, settings(1, 20, 17), None, Some(&shared), now).unwrap();

    assert_eq!(
        (limit.policy("x"), state(&limit, "x", now)),
        (r#""x";q=17;w=340"#.into(), r#""x";r=3;t=0"#.into())
    );
    assert_eq!(limit.take(100, now), Ok(()), "a batch costs at most the local share");
    assert_eq!(limit.take(1, now).unwrap_err().as_secs(), 20);
    assert_eq!(state(&limit, "x", now), r#""x";r=0;t=20"#);
}

#[test]
fn a_limit_that_did_not_change_keeps_its_state() {
    let (stores, now) = ([shared(2), shared(2)], start());
    let made = |settings, before: Option<&Arc<Limit>>, shared: Option<&Arc<Shared>>| {
        Limit::new(&caller(), POLICY, settings, before, shared, now).unwrap()
    };
    let (usual, changed) = (settings(1, 20, 4), settings(1, 20, 5));
    for (first, then) in [
        (None, None),
        (Some(&stores[0]), Some(&stores[0])),
        (None, Some(&stores[0])),
        (Some(&stores[0]), None),
        (Some(&stores[0]), Some(&stores[1])),
    ] {
        let before = made(usual, None, first);
        before.take(2, now).unwrap();
        let is_same_store = first.map(Arc::as_ptr) == then.map(Arc::as_ptr);

        let after = made(usual, Some(&before), then);
        let other = made(changed, Some(&before), then);

        assert_eq!(Arc::ptr_eq(&before, &after), is_same_store);
        assert_eq!((after.whole.remaining(now), other.whole.remaining(now)), (2, 5));
        assert_eq!(after.shared.is_some(), then.is_some());
    }
}

/// A limit of five replicas that holds this many units; the next one is available in 15 s.
fn holding(units: u64, now: Instant) -> Arc<Limit> {
    let shared = shared(5);
    let limit = Limit::new(&caller(), POLICY, settings(1, 20, 17), None, Some(&shared), now).unwrap();
    limit.shared.as_ref().unwrap().units.give(units, Duration::from_secs(15), now);
    limit
}

#[test]
fn held_units_are_used_without_the_store() {
    let now = start();
    let limit = holding(7, now);

    assert_eq!(state(&limit, "x", now), r#""x";r=7;t=20"#);
    assert_eq!(limit.take(7, now), Ok(()));
    assert_eq!(state(&limit, "x", now), r#""x";r=0;t=20"#);
    assert_eq!(limit.take(1, now).unwrap_err().as_secs(), 15);
    assert_eq!(limit.take(3, now).unwrap_err().as_secs(), 55, "all three must be paid for");
}

#[test]
fn the_whole_limit_applies_to_one_replica_whatever_the_store_grants() {
    let now = start();
    let limit = holding(30, now);

    assert_eq!(limit.take(17, now), Ok(()));
    assert_eq!(limit.take(2, now).unwrap_err().as_secs(), 40);
    let units = &limit.shared.as_ref().unwrap().units;
    assert_eq!(units.remaining(now), Some(13), "refused units are put back");
}

#[test]
fn units_from_the_store_also_count_in_the_local_share() {
    let now = start();
    let limit = holding(3, now);
    assert_eq!(limit.take(3, now), Ok(()));

    let when_nothing_is_known = now + Duration::from_secs(1);

    assert_eq!(limit.take(1, when_nothing_is_known).unwrap_err().as_secs(), 1, "the store is asked now");
}
