//! Holds: no replica calls the provider during one, and a caller is refused because of one only while it lasts.

use super::reads::{Ended, LOOK_UP, Read, Request};
use super::tally::Seen;
use super::{Caller, Oracle, Verdict};
use crate::alone::clock::{Ms, SECOND};
use crate::alone::schedule::Asks;
use crate::replicas::clock::REPLICAS;
use balance_gateway::domain::{Priority, UpstreamError};

/// How long a failure is held, by the contract.
struct Rule {
    first: Ms,
    most: Ms,
    is_of_account: bool,
    /// Whether the provider answered, so that the hold applies at every replica.
    is_said: bool,
}

fn rule(error: UpstreamError) -> Option<Rule> {
    let of_balance = |first, most, is_said| Some(Rule { first, most, is_of_account: false, is_said });
    match error {
        UpstreamError::Unreachable(_) | UpstreamError::Timeout => of_balance(SECOND, 10 * SECOND, false),
        UpstreamError::Status(_) => of_balance(SECOND, 10 * SECOND, true),
        UpstreamError::Invalid(_) => of_balance(5 * SECOND, 5 * SECOND, true),
        UpstreamError::Throttled(Some(told)) => {
            let told = Ms::try_from(told.as_millis()).unwrap();
            Some(Rule { first: told, most: told, is_of_account: true, is_said: true })
        }
        UpstreamError::Throttled(None) => {
            Some(Rule { first: 5 * SECOND, most: 60 * SECOND, is_of_account: true, is_said: true })
        }
        _ => None,
    }
}

impl Oracle<'_> {
    /// Whether a read may make its first call now.
    pub(super) fn may_ask(&mut self, id: usize, read: &Read) -> Verdict {
        // A hold does not stop the second attempt of a read that runs.
        let is_first_attempt = |other: &Read| {
            let Some(Ended { at, error: Some(_) }) = other.ended else { return false };
            (other.by, other.replica, other.balance) == (None, read.replica, read.balance)
                && at + SECOND > self.now
        };
        if read.by.is_none() && self.reads.iter().any(is_first_attempt) {
            return Ok(());
        }
        for (other, failed) in self.reads.iter().enumerate() {
            let Some(Ended { at, error: Some(error) }) = failed.ended else { continue };
            // A read for a stream or a notification may retry within the read.
            let is_whole = failed.first_call.is_some() && failed.by.is_some();
            let Some(rule) = rule(error).filter(|_| is_whole) else { continue };
            let is_concerned = rule.is_of_account || failed.balance == read.balance;
            let is_held = self.now < at + self.held_for(other, &rule, error);
            let is_own = failed.replica == read.replica;
            // A replica learns of another replica's failure with its next look-up.
            let is_told = rule.is_said && self.schedule.is_calm() && at + LOOK_UP < self.now;
            if is_concerned && is_held && (is_own || is_told) {
                return Err(format!("read {id} calls the provider while {error:?} of read {other} is held"));
            }
            if is_concerned && !is_own && rule.is_said {
                self.tally.note(Seen::AfterAHold);
            }
        }
        Ok(())
    }

    /// The shortest time that a failure is held. Each failure in a row doubles it; a success ends the row.
    fn held_for(&self, read: usize, rule: &Rule, error: UpstreamError) -> Ms {
        // The log does not say which attempts for a stream belong to one read.
        let is_known = self.reads.iter().all(|read| read.by.is_some());
        if !is_known || !self.schedule.is_calm() || !matches!(error, UpstreamError::Status(_)) {
            return rule.first;
        }
        let balance = self.reads[read].balance;
        let is_alike = |it: &&Read| {
            it.balance == balance
                && it.first_call.is_some()
                && (it.by.is_some() || it.ended.is_some_and(|ended| ended.error.is_none()))
        };
        let before = self.reads[..=read].iter().filter(is_alike);
        let mut ended: Vec<_> = before.filter_map(|it| it.ended).collect();
        ended.sort_by_key(|ended| ended.at);
        let last_success = ended.iter().rposition(|ended| ended.error.is_none());
        let row = &ended[last_success.map_or(0, |at| at + 1)..];
        let is_counted = |ended: &&Ended| matches!(ended.error, Some(UpstreamError::Status(_)));
        let times = u32::try_from(row.iter().filter(is_counted).count().min(10)).unwrap();
        (rule.first << times.saturating_sub(1)).min(rule.most)
    }

    /// The longest time that a failure is held. Failures of reads that ran at the same time count once in the row. Each
    /// replica also counts a row of its own.
    fn held_for_at_most(&self, failed: &Read, rule: &Rule, error: UpstreamError) -> Ms {
        let is_alike = |read: &&Read| {
            read.first_call.is_some() && (rule.is_of_account || read.balance == failed.balance)
        };
        let is_simple = |read: &Read| read.balance == failed.balance || rule.is_of_account;
        let is_doubling = matches!(error, UpstreamError::Status(_) | UpstreamError::Throttled(None));
        let failures = self.reads.iter().filter(|read| read.ended.is_some_and(|ended| ended.error.is_some()));
        let is_known = self.reads.iter().all(|read| read.by.is_some());
        if !is_known || !is_doubling || !failures.clone().all(is_simple) {
            return rule.most + SECOND;
        }
        let row = |of: Option<usize>| {
            let of_row = self.reads.iter().filter(is_alike).filter(|it| of.is_none_or(|of| it.replica == of));
            let began = |read: &Read| read.first_call.map_or(0, |call| self.requests[call].at);
            let mut ended: Vec<_> = of_row.filter_map(|it| Some((it.ended?, began(it)))).collect();
            ended.sort_by_key(|(ended, _)| ended.at);
            // A success that was sent before the previous failure was known does not end the row.
            let ends_the_series = |place: &usize| {
                let (end, began) = ended[*place];
                let failure = ended[..*place].iter().rev().find(|(before, _)| before.error.is_some());
                end.error.is_none() && failure.is_none_or(|(before, _)| before.at + LOOK_UP <= began)
            };
            let begins = (0..ended.len()).rev().find(ends_the_series).map_or(0, |place| place + 1);
            let row: Vec<_> =
                ended[begins..].iter().rev().filter(|(ended, _)| ended.error.is_some()).collect();
            // Reads that began before the previous failure had ended count together with it.
            let apart = row.windows(2).filter(|pair| pair[0].1 >= pair[1].0.at).count();
            apart + usize::from(!row.is_empty())
        };
        // Counts all failures until now, not only those until this failure, so the bound is never too low.
        let longest = (0..REPLICAS).map(|replica| row(Some(replica))).chain([row(None)]).max().unwrap();
        let times = u32::try_from(longest.clamp(1, 10)).unwrap();
        (rule.first << (times - 1)).min(rule.most) + SECOND / 5
    }

    /// A read that waits for another replica's read gets its failure, and makes no call itself.
    pub(super) fn takes_failure_of_another(&self, id: usize, read: &Read) -> Verdict {
        // A read without a demand shares any running read; a refresh shares one that is younger than `fresh_for`.
        let is_invalidated = !self.streams.notified.is_empty()
            || self.invalidations.iter().any(|it| it.balance == read.balance);
        let takes = |call: usize| match read.priority {
            Priority::Plain => !is_invalidated,
            Priority::Background => {
                !is_invalidated
                    && read.begun - self.requests[call].at < self.schedule.ages.fresh_for - LOOK_UP
            }
            Priority::Demanded | Priority::Certain => false,
        };
        let is_joined = |other: &Read| {
            let Some(Ended { at, error: Some(error) }) = other.ended else { return false };
            let is_of_the_provider = !matches!(
                error,
                UpstreamError::BudgetExhausted
                    | UpstreamError::Busy
                    | UpstreamError::Suspended
                    | UpstreamError::Defect
            );
            let began_later = |call: usize| self.requests[call].at > read.begun + LOOK_UP;
            is_of_the_provider
                && other.by.is_some()
                && (other.balance, other.replica != read.replica) == (read.balance, true)
                && other.first_call.is_some_and(|call| takes(call) || began_later(call))
                && at >= read.begun
        };
        match self.reads.iter().position(is_joined).filter(|_| self.schedule.is_calm()) {
            Some(other) => Err(format!(
                "read {id} calls the provider, although it waited for read {other}, which failed"
            )),
            None => Ok(()),
        }
    }

    /// Whether a hold after such a failure may still refuse this caller.
    pub(super) fn may_be_held(&self, caller: &Caller, error: UpstreamError) -> Verdict {
        let Some(rule) = rule(error).filter(|_| self.schedule.is_calm()) else { return Ok(()) };
        let balance = caller.call.balance;
        // If another replica could not reach the provider, only callers that were allowed to wait for its read may get
        // that failure.
        // A read of this replica that waits for the other one ends a little later.
        let is_waiting = self.reads.iter().any(|it| {
            it.replica == caller.call.replica
                && it.balance == balance
                && it.begun < caller.arrived
                && it.ended.is_none_or(|ended| ended.at >= caller.arrived)
        });
        let concerns = |read: &Read, ended: Ms, call: usize| {
            // For a notification, a failed attempt may be repeated.
            let ended = if read.by.is_some() { ended } else { ended + SECOND };
            let is_awaited = (is_waiting || ended >= caller.arrived) && self.may_wait_for(caller, call);
            rule.is_said || read.replica == caller.call.replica || is_awaited
        };
        let is_why = |read: &Read| {
            let Some(Ended { at, error: Some(failed) }) = read.ended else { return false };
            // A read that a hold refused is not its own reason.
            read.first_call.is_some_and(|call| concerns(read, at, call))
                && std::mem::discriminant(&failed) == std::mem::discriminant(&error)
                && (rule.is_of_account || read.balance == balance)
                && self.now <= at + self.held_for_at_most(read, &rule, error)
        };
        // An answer with an `Age` may be too old for its caller without a hold.
        let has_age = |request: &Request| request.brought.as_ref().is_some_and(|(_, age)| *age > 0);
        let is_too_old = matches!(error, UpstreamError::Invalid(_)) && self.requests.iter().any(has_age);
        if is_too_old || self.reads.iter().any(is_why) {
            return Ok(());
        }
        Err(format!("{error:?} is held longer or further than it may be"))
    }

    /// Whether the caller was allowed to wait for a read whose first call is `call`: it began late enough.
    fn may_wait_for(&self, caller: &Caller, call: usize) -> bool {
        let at = self.requests[call].at;
        caller.not_before.is_none_or(|(not_before, _)| at + LOOK_UP >= not_before)
    }

    /// A replica that cannot reach the provider finds the balance that another replica has read meanwhile.
    pub(super) fn is_not_stored(&self, caller: &Caller, error: UpstreamError) -> Verdict {
        let is_own = rule(error).is_some_and(|rule| !rule.is_said);
        let is_demanding = caller.not_before.is_some() || caller.call.asks != Asks::default();
        if !self.schedule.is_calm() || !is_own || is_demanding || !self.streams.notified.is_empty() {
            return Ok(());
        }
        let (balance, max_age) = (caller.call.balance, self.schedule.ages.max_age);
        let is_stored = |request: &&Request| {
            let read = &self.reads[request.read];
            let ahead = self.schedule.skews[caller.call.replica] - self.schedule.skews[read.replica];
            read.balance == balance
                && read.by.is_some()
                && request.brought.as_ref().is_some_and(|(_, age)| *age == 0)
                && request.replied.is_some_and(|replied| replied + LOOK_UP < caller.arrived)
                && self.now - request.at + ahead.max(0) + SECOND < max_age
                && !self.invalidations.iter().any(|it| it.balance == balance && it.at + LOOK_UP >= request.at)
        };
        match self.requests.iter().position(|request| is_stored(&request)) {
            Some(call) => Err(format!("{error:?}, although call {call} brought what would do")),
            None => Ok(()),
        }
    }
}
