//! Header values with a number of seconds, for each second up to the ceiling. All answers share them.

use http::header::HeaderValue;

/// The number of values: 0 to 60 seconds.
const COUNT: usize = 61;

/// One value for each number of seconds, all with this prefix.
macro_rules! seconds {
    ($prefix:literal) => {
        seconds!($prefix;
            0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30
            31 32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60)
    };
    ($prefix:literal; $($second:literal)*) => {
        [$(HeaderValue::from_static(concat!($prefix, $second))),*]
    };
}

static AGES: [HeaderValue; COUNT] = seconds!("");
static FRESH_HITS: [HeaderValue; COUNT] = seconds!("balance-gateway; hit; ttl=");

/// The value of `Age`.
pub(super) fn age(seconds: u64) -> HeaderValue {
    of(&AGES, seconds).unwrap_or_else(|| HeaderValue::from(seconds))
}

/// The value of `Cache-Status` for a hit that stays fresh for this many seconds; `None` above the ceiling.
pub(super) fn fresh_hit(ttl: u64) -> Option<HeaderValue> {
    of(&FRESH_HITS, ttl)
}

fn of(values: &'static [HeaderValue], seconds: u64) -> Option<HeaderValue> {
    values.get(usize::try_from(seconds).ok()?).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::MaxAge;

    #[test]
    fn every_second_has_its_text() {
        for second in 0..=MaxAge::CEILING.get().as_secs() {
            assert_eq!(age(second), second.to_string());
            assert_eq!(fresh_hit(second).unwrap(), format!("balance-gateway; hit; ttl={second}"));
        }
        assert_eq!(age(61), "61");
        assert_eq!(fresh_hit(61), None);
    }
}
