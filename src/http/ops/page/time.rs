//! Writes moments relative to now, such as `90 s ago` and `in 60 min`.

use jiff::Timestamp;

/// The distance of a moment from now, such as `90 s ago` or `in 60 min`.
pub(super) fn relative(moment: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(moment).as_secs();
    let length = length(seconds.unsigned_abs());
    if seconds < 0 { format!("in {length}") } else { format!("{length} ago") }
}

/// A number of seconds in its largest unit, rounded down.
pub(super) fn length(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_in_its_largest_unit() {
        for (seconds, expected) in [
            (0, "0 s"),
            (119, "119 s"),
            (120, "2 min"),
            (7199, "119 min"),
            (7200, "2 h"),
            (172_799, "47 h"),
            (172_800, "2 d"),
        ] {
            assert_eq!(length(seconds), expected);
        }
    }

    #[test]
    fn a_moment_is_in_the_past_or_in_the_future() {
        let [before, now, after] = [0, 90, 3690].map(|second| Timestamp::from_second(second).unwrap());

        assert_eq!(relative(before, now), "90 s ago");
        assert_eq!(relative(after, now), "in 60 min");
    }
}
