//! Holds: no replica asks during one, and a caller is refused because of one only while it lasts.

use super::reads::{Ended, LOOK_UP, Read};
use super::tally::Seen;
use super::{Oracle, Verdict};
use crate::alone::clock::{Ms, SECOND};
use balance_gateway::domain::UpstreamError;

/// How long a failure is held, by the contract.
struct Rule {
    first: Ms,
    most: Ms,
    is_of_account: bool,
    /// Whether the provider said so to every replica.
    is_said: bool,
}

fn rule(error: UpstreamError) -> Option<Rule> {
    let of_balance = |first, most, is_said| Some(Rule { first, most, is_of_account: false, is_said });
    match error {
        UpstreamError::Unreachable(_) | UpstreamError::Timeout => of_balance(SECOND, 10 * SECOND, false),
        UpstreamError::Status(_) => of_balance(SECOND, 10 * SECOND, true),
        UpstreamError::Invalid(_) => of_balance(5 * SECOND, 5 * SECOND, true),
        UpstreamError::Throttled(None) => {
            Some(Rule { first: 5 * SECOND, most: 60 * SECOND, is_of_account: true, is_said: true })
        }
        _ => None,
    }
}

impl Oracle<'_> {
    /// Whether a read may make its first call now.
    pub(super) fn may_ask(&mut self, id: usize, read: &Read) -> Verdict {
        for (other, failed) in self.reads.iter().enumerate() {
            let Some(Ended { at, error: Some(error) }) = failed.ended else { continue };
            let Some(rule) = rule(error).filter(|_| failed.first_call.is_some()) else { continue };
            let is_concerned = rule.is_of_account || failed.balance == read.balance;
            let is_held = self.now < at + rule.first;
            let is_own = failed.replica == read.replica;
            // What the provider said to another replica is known after a look-up.
            let is_told = rule.is_said && self.schedule.is_calm && at + LOOK_UP < self.now;
            if is_concerned && is_held && (is_own || is_told) {
                return Err(format!("read {id} asks while {error:?} of read {other} is held"));
            }
            if is_concerned && !is_own && rule.is_said {
                self.tally.note(Seen::AfterAHold);
            }
        }
        Ok(())
    }

    /// Whether a failure of this kind may still be why a caller is refused.
    pub(super) fn may_be_held(&self, balance: usize, error: UpstreamError) -> Verdict {
        let Some(rule) = rule(error).filter(|_| self.schedule.is_calm) else { return Ok(()) };
        let is_why = |read: &Read| {
            let Some(Ended { at, error: Some(failed) }) = read.ended else { return false };
            std::mem::discriminant(&failed) == std::mem::discriminant(&error)
                && (rule.is_of_account || read.balance == balance)
                && self.now <= at + rule.most + SECOND
        };
        // An answer with an `Age` may be too old for its caller without a hold.
        let has_age =
            |request: &super::reads::Request| request.brought.as_ref().is_some_and(|(_, age)| *age > 0);
        let is_too_old = matches!(error, UpstreamError::Invalid(_)) && self.requests.iter().any(has_age);
        if is_too_old || self.reads.iter().any(is_why) {
            return Ok(());
        }
        Err(format!("{error:?} is held longer than it may be"))
    }
}
