//! The log of callers whose forced reads spend an account's budget.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::targets;
use crate::domain::{AccountName, CallerName};

/// Shortest time between two log lines about one account, and the length of one period of counting.
const MINUTE: Duration = Duration::from_mins(1);
/// The number of callers in a line.
const CALLERS_IN_A_LINE: usize = 3;

/// The callers that forced reads of each account, in the current and the previous minute.
#[derive(Debug, Default)]
pub(super) struct ForcedLog(Mutex<HashMap<AccountName, ForcedReads>>);

#[derive(Debug, Default)]
struct ForcedReads {
    /// Forced reads per caller: in the current minute, and in the previous one.
    counts: [HashMap<CallerName, u64>; 2],
    since: Option<Instant>,
    logged: Option<Instant>,
}

impl ForcedLog {
    /// Counts a forced read of an account.
    pub(super) fn note(&self, account: &AccountName, caller: &CallerName, now: Instant) {
        let mut accounts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let forced_reads = accounts.entry(account.clone()).or_default();
        forced_reads.begin_minute(now);
        *forced_reads.counts[0].entry(caller.clone()).or_default() += 1;
    }

    /// Logs the callers that spent an account's budget, at most once a minute.
    pub(super) fn note_exhausted_budget(&self, account: &AccountName, now: Instant) {
        if let Some(callers) = self.callers_to_log(account, now) {
            tracing::warn!(
                target: targets::FORCED_LOG,
                event = "budget_spent_by_forced_reads",
                account = account.as_str(),
                callers,
                "forced reads have spent their share of the account's budget"
            );
        }
    }

    fn callers_to_log(&self, account: &AccountName, now: Instant) -> Option<String> {
        let mut accounts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let forced_reads = accounts.entry(account.clone()).or_default();
        let is_early = |logged: Instant| now.saturating_duration_since(logged) < MINUTE;
        if forced_reads.logged.is_some_and(is_early) {
            return None;
        }
        forced_reads.begin_minute(now);
        forced_reads.logged = Some(now);
        Some(forced_reads.most())
    }
}

impl ForcedReads {
    /// Begins another minute when the current one is over.
    fn begin_minute(&mut self, now: Instant) {
        let passed = self.since.map_or(MINUTE * 2, |since| now.saturating_duration_since(since));
        if passed >= MINUTE {
            let last = std::mem::take(&mut self.counts[0]);
            self.counts[1] = if passed < MINUTE * 2 { last } else { HashMap::new() };
            self.since = Some(now);
        }
    }

    /// The callers with the most forced reads, and their counts.
    fn most(&self) -> String {
        let mut all: HashMap<&CallerName, u64> = HashMap::new();
        for (caller, count) in self.counts.iter().flatten() {
            *all.entry(caller).or_default() += count;
        }
        let mut all: Vec<_> = all.into_iter().collect();
        all.sort_by(|(a, first), (b, second)| second.cmp(first).then(a.cmp(b)));
        let named = all.iter().take(CALLERS_IN_A_LINE).map(|(caller, count)| format!("{caller} ({count})"));
        named.collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    #[test]
    fn the_callers_that_spent_most_are_named_once_a_minute() {
        let (log, now) = (ForcedLog::default(), clock::monotonic());
        let account = AccountName::parse("treasury").unwrap();
        let force = |caller: &str, times: usize, at: Instant| {
            (0..times).for_each(|_| log.note(&account, &CallerName::parse(caller).unwrap(), at));
        };
        force("shop", 9, now);
        force("billing", 2, now);
        let after = |seconds| now + Duration::from_secs(seconds);

        assert_eq!(log.callers_to_log(&account, now).as_deref(), Some("shop (9), billing (2)"));
        assert_eq!(log.callers_to_log(&account, after(59)), None);
        force("billing", 1, after(61));
        assert_eq!(log.callers_to_log(&account, after(61)).as_deref(), Some("shop (9), billing (3)"));
        assert_eq!(log.callers_to_log(&account, after(200)).as_deref(), Some(""));
    }
}
