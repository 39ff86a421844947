//! Liveness: while provider and store work, a requested balance is refreshed in time.

use super::tally::Seen;
use super::{Caller, Oracle, Verdict};
use crate::alone::clock::{Ms, SECOND};
use crate::replicas::chance::DEADLINE;
use balance_gateway::gateway::Via;

/// A background refresh brings a newer balance within one deadline.
const REFRESHED_WITHIN: Ms = DEADLINE + SECOND;

impl Oracle<'_> {
    /// A cached answer must not stay stale after an earlier stale answer began a refresh.
    pub(super) fn is_refreshed(
        &mut self,
        id: usize,
        caller: &Caller,
        amount: &str,
        true_age: Ms,
        via: Via,
    ) -> Verdict {
        let is_well = self.schedule.is_well() && matches!(via, Via::Memory { .. });
        let place = (caller.call.replica, caller.call.balance);
        if !is_well || true_age < self.schedule.ages.fresh_for {
            self.stale.remove(&place);
            return Ok(());
        }
        let now = self.now;
        let (stale, since) = self.stale.entry(place).or_insert_with(|| (amount.to_owned(), now));
        if *stale != amount {
            (*stale, *since) = (amount.to_owned(), now);
        }
        let waited = now - *since;
        self.tally.note(Seen::Stale);
        // By the clocks, the balances of other replicas may be over the ceiling. Then the replica reads itself, after
        // theirs.
        let reads = if self.schedule.clocks_apart() + DEADLINE < self.schedule.ages.max_age { 1 } else { 3 };
        if waited > reads * REFRESHED_WITHIN {
            return Err(format!(
                "caller {id} gets a balance that has been stale for {waited} ms without a refresh"
            ));
        }
        Ok(())
    }
}
