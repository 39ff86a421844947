//! The units as one replica sees them: the tests pass in `now` and the store's answers.

#![expect(clippy::disallowed_methods, reason = "a test needs some moment to count from")]

use jiff::Timestamp;

use super::*;
use crate::domain::Moment;
use crate::metrics::Metrics;
use crate::shared::SharedSettings;

const SECOND: Duration = Duration::from_secs(1);
const SETTINGS: LimitSettings = LimitSettings { requests: 1, per: SECOND, burst: 10 };

fn now() -> Moment {
    Moment { monotonic: Instant::now(), wall: Timestamp::UNIX_EPOCH }
}

/// One of five replicas, and the moment at which it was made.
fn units() -> (Arc<Units>, Instant) {
    let settings = SharedSettings::unreachable(5);
    let tier = Tier::new(settings, now, Metrics::new("0", "0").unwrap().shared().unwrap()).unwrap();
    let tier = Arc::new(tier);
    let units = of(&tier, "checkout", LimitPolicy::Caller, SETTINGS);
    tier.store.begin_sharing();
    let start = units.start;
    (units, start)
}

fn of(tier: &Arc<Tier>, caller: &str, policy: LimitPolicy, settings: LimitSettings) -> Arc<Units> {
    let caller = CallerName::parse(caller).unwrap();
    Arc::new(Units::new(tier, Arc::default(), (&caller, policy), settings))
}

impl Units {
    /// As if the store had just granted these units, and had its next unit after `empty_for`.
    pub(crate) fn give(&self, given: u64, empty_for: Duration, now: Instant) {
        self.tier.store.begin_sharing();
        let full_in = self.interval() * (self.settings.burst - 1) + empty_for;
        self.note_answer(given, full_in, now, now);
    }
}

#[test]
fn units_are_unknown_before_the_first_answer() {
    let (units, start) = units();

    assert_eq!((units.take(1, start), units.remaining(start)), (Taken::Unknown, None));
    assert_eq!((units.requested.load(SeqCst), units.keeper.load(SeqCst)), (1, WOKEN));
}

#[test]
fn held_units_are_used_before_the_local_share_of_the_rest() {
    let (units, start) = units();
    // 10 less the 4 that are still to come: 6 are left in the store, one for each of the five replicas.
    units.note_answer(2, 4 * SECOND, start, start);

    assert_eq!((units.remaining(start), units.take(2, start)), (Some(8), Taken::Paid));
    assert_eq!((units.take(2, start), units.take(1, start)), (Taken::Refused, Taken::Paid));
    assert_eq!((units.take(1, start), units.time_until(1, start)), (Taken::Refused, Duration::ZERO));
    assert_eq!((units.owed.load(SeqCst), units.remaining(start)), (1, Some(5)));
    assert_eq!((units.requested.load(SeqCst), units.remaining(start + SECOND / 2)), (6, Some(5)));
    units.put_back(1);
    assert_eq!((units.remaining(start), units.take(1, start)), (Some(6), Taken::Paid));
}

#[test]
fn a_refusal_has_the_time_until_the_units_are_available() {
    let (units, start) = units();
    // The bucket is half a unit below empty.
    units.note_answer(1, 10 * SECOND + SECOND / 2, start, start);

    for (wanted, after, wait) in [(1, 0, 0), (2, 0, 1500), (2, 300, 1200), (5, 0, 4500), (5, 5000, 0)] {
        let after = Duration::from_millis(after);
        assert_eq!(units.time_until(wanted, start + after), Duration::from_millis(wait), "{wanted}");
    }
    assert_eq!((units.take(1, start), units.take(1, start)), (Taken::Paid, Taken::Refused));
    assert_eq!(units.time_until(1, start), 3 * SECOND / 2);
    assert_eq!(units.remaining(start), Some(0));
    assert_eq!(units.remaining(start + 3 * SECOND / 4), Some(0));
}

#[test]
fn an_answer_expires_and_does_not_count_while_the_store_is_unavailable() {
    let (units, start) = units();
    let empty = 10 * SECOND;
    units.note_answer(0, empty, start, start);
    let last = start + KNOWN_FOR.mul_f64(0.999);

    assert_eq!(units.take(1, last), Taken::Refused);
    assert_eq!(units.take(1, start + KNOWN_FOR), Taken::Unknown);
    units.tier.store.end_sharing();
    assert_eq!((units.take(1, last), units.remaining(last)), (Taken::Unknown, None));
    units.put_back(1);
    assert_eq!(units.take(1, last), Taken::Paid, "a held unit stays usable");
}

#[test]
fn no_more_than_a_part_of_the_burst_is_owed() {
    let (units, _) = units();

    units.owe(1);
    assert_eq!(units.owed.load(SeqCst), 1);
    units.owe(2);
    assert_eq!(units.owed.load(SeqCst), 2);
}

#[test]
fn each_limit_has_its_own_name_which_reveals_nothing() {
    let (units, _) = units();
    let key = |caller, policy, settings| of(&units.tier, caller, policy, settings).key.clone();
    let (caller, forced) = (LimitPolicy::Caller, LimitPolicy::Forced);
    let keys = [
        units.key.clone(),
        key("dashboard", caller, SETTINGS),
        key("checkout", forced, SETTINGS),
        key("checkout", caller, LimitSettings { requests: 2, ..SETTINGS }),
        key("checkout", caller, LimitSettings { per: 2 * SECOND, ..SETTINGS }),
        key("checkout", caller, LimitSettings { burst: 11, ..SETTINGS }),
    ];

    assert_eq!(keys.iter().collect::<std::collections::HashSet<_>>().len(), keys.len());
    assert_eq!(key("checkout", caller, SETTINGS), units.key);
    for key in keys {
        assert!(key.starts_with("test:1:{") && key.ends_with("}:units"), "{key}");
        assert!(!key.contains("checkout") && !key.contains("dashboard"), "{key}");
    }
}
