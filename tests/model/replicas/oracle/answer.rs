//! The rules for an answer, whichever replica gives it.

use super::reads::{LOOK_UP, Read, Request};
use super::tally::Seen;
use super::{Caller, Oracle, Verdict, Why};
use crate::alone::clock::{Ms, SECOND};
use crate::replicas::chance::DEADLINE;
use crate::replicas::log::Given;
use crate::replicas::schedule::{Action, Ending};
use crate::replicas::world::TIMEOUT;
use balance_gateway::domain::{Priority, UpstreamError};
use balance_gateway::gateway::{Refusal, Via};

/// "At most 60 seconds."
pub(super) const PROMISE: Ms = 60 * SECOND;
/// How long a caller may wait: for a running read, then for a read that never ends, then for its own read.
const LONGEST: Ms = 3 * DEADLINE;

impl Oracle<'_> {
    pub(super) fn answer(&mut self, id: usize, given: &Given) -> Verdict {
        let caller = self.callers.get_mut(&id).expect("an answer comes after the arrival");
        caller.is_answered = true;
        let caller = caller.clone();
        let waited = self.tick - caller.tick;
        // At its deadline a caller may still look at what the store has: one operation, which ends within `timeout`.
        // If the results may be too old for the caller, the same wait may follow once more.
        let rounds = if caller.not_before.is_none() && self.schedule.answers_are_new() { 1 } else { 2 };
        if waited > caller.call.wait.min(rounds * LONGEST) + TIMEOUT {
            return Err(format!("caller {id} waits for {waited} ms"));
        }
        match given {
            Given::Served { amount, age, via } => {
                let request = self.brought(amount, caller.call.balance)?;
                let asked = self.reads[request.read].replica;
                let got = self.callers.get_mut(&id).expect("it was just found");
                got.requested_at = Some(request.requested_at());
                self.may_have(id, &caller, &request, *age, *via)?;
                self.is_prompt(&caller)?;
                self.is_youngest_stored(id, &caller, &request, *via)?;
                self.is_refreshed(id, &caller, amount, self.now - request.requested_at(), *via)?;
                self.note_served(&caller, asked, *via);
                Ok(())
            }
            Given::Refused(refusal) => {
                self.tally.note(Seen::Refused);
                self.is_prompt(&caller)?;
                self.may_refuse(id, &caller, *refusal).map_err(|rule| format!("caller {id}: {rule}"))
            }
        }
    }

    fn note_served(&mut self, caller: &Caller, asked: usize, via: Via) {
        let is_read = matches!(via, Via::Read { .. });
        self.tally.note(match (asked == caller.call.replica, is_read) {
            (true, true) => Seen::OwnRead,
            (true, false) => Seen::OwnMemory,
            (false, true) => Seen::ReadElsewhere,
            (false, false) => Seen::MemoryFromElsewhere,
        });
        let seen = caller.not_before.map(|(_, why)| match why {
            Why::Known | Why::Told => Seen::KnownInvalidation,
            Why::MaxAge => Seen::Younger,
            Why::NoCache => Seen::NewRead,
            Why::PassedOn => Seen::PassedOn,
        });
        if let Some(seen) = seen {
            self.tally.note(seen);
        }
    }

    /// A caller that reads slowly has taken its answer before that reaches the ceiling.
    pub(super) fn is_taken_in_time(&mut self, id: usize) -> Verdict {
        let requested_at = self.callers[&id].requested_at.expect("only a balance is taken");
        let age = self.now - requested_at;
        self.tally.note(Seen::SlowTaker);
        if age >= self.schedule.ages.max_age.min(PROMISE) {
            return Err(format!("promise 2: caller {id} takes a balance that was requested {age} ms ago"));
        }
        Ok(())
    }

    /// The call that brought an amount.
    pub(super) fn brought(&self, amount: &str, balance: usize) -> Result<Request, String> {
        let is_it = |request: &&Request| request.brought.as_ref().is_some_and(|(it, _)| it == amount);
        let request = self.requests.iter().find(is_it).cloned();
        let request = request.ok_or_else(|| format!("promise 1: the provider never sent {amount}"))?;
        if self.reads[request.read].balance != balance {
            return Err(format!("promise 1: {amount} is another balance's"));
        }
        Ok(request)
    }

    fn may_have(&self, id: usize, caller: &Caller, request: &Request, age: Ms, via: Via) -> Verdict {
        let requested_at = request.requested_at();
        let true_age = self.now - requested_at;
        let max_age = self.schedule.ages.max_age;
        if true_age >= max_age.min(PROMISE) {
            return Err(format!(
                "promise 2: caller {id} gets a balance that was requested {true_age} ms ago"
            ));
        }
        // The shown age is rounded down to whole milliseconds.
        if age + 1 < true_age {
            return Err(format!("caller {id} gets an `Age` of {age} ms, the true age is {true_age} ms"));
        }
        let Some((not_before, why)) = caller.not_before else { return Ok(()) };
        // A caller without a demand gets an invalidated balance as the last resort.
        let is_last_resort = matches!(why, Why::Known | Why::Told) && via == Via::Fallback;
        if requested_at < not_before && !is_last_resort {
            return Err(format!(
                "caller {id} arrived at {} ms and gets a balance of {requested_at} ms, {why:?} of {not_before} ms",
                caller.arrived
            ));
        }
        Ok(())
    }

    /// While no message is lost, a caller gets a time-out only if it waited for a call, or if a call timed out before.
    fn was_asked_in_vain(&self, caller: &Caller, error: UpstreamError) -> Verdict {
        let balance = caller.call.balance;
        let is_awaited = |request: &Request| {
            self.reads[request.read].balance == balance
                && request.replied.is_none_or(|replied| replied >= caller.arrived)
        };
        let has_failed = |read: &Read| {
            read.balance == balance
                && read.ended.is_some_and(|ended| ended.error == Some(UpstreamError::Timeout))
        };
        if !self.schedule.is_calm()
            || error != UpstreamError::Timeout
            || self.requests.iter().any(is_awaited)
            || self.reads.iter().any(has_failed)
        {
            return Ok(());
        }
        Err("a time-out, although the provider was not asked".to_owned())
    }

    /// A caller gets the balance of its own read, whatever number the read has.
    fn is_own_read_served(&self, id: usize, caller: &Caller, error: UpstreamError) -> Verdict {
        let balance = caller.call.balance;
        let is_brought = |request: &&Request| {
            self.reads[request.read].by == Some(id)
                && request.brought.as_ref().is_some_and(|(_, age)| *age == 0)
                && self.now - request.at < SECOND
                && !self.invalidations.iter().any(|it| it.balance == balance && it.at + LOOK_UP >= request.at)
        };
        let is_undisturbed = self.disturbance.is_over(self.now, self.now - caller.arrived);
        let is_alone = self.streams.notified.is_empty() && is_undisturbed;
        match self.requests.iter().position(|request| is_brought(&request)).filter(|_| is_alone) {
            Some(call) => Err(format!("{error:?}, although its own call {call} has brought a balance")),
            None => Ok(()),
        }
    }

    /// The provider is suspended only while a breaker is open, or while its probe is in flight.
    fn may_be_suspended(&self, caller: &Caller, error: UpstreamError) -> Verdict {
        let own = &self.own_breakers[caller.call.replica];
        let is_probing = self.reads.iter().any(|read| self.has_just_begun(read))
            || self.requests.iter().any(|it| it.replied.is_none_or(|at| at + LOOK_UP > self.now));
        if !self.schedule.is_calm()
            || error != UpstreamError::Suspended
            || own.was_open(self.now)
            || self.breaker.suspends(self.now)
            || self.breaker.was_open(self.now) && is_probing
        {
            return Ok(());
        }
        Err("the provider is suspended, and no breaker is open".to_owned())
    }

    /// A store that is slow, unreachable or wrong must never make a request fail.
    fn may_refuse(&mut self, id: usize, caller: &Caller, refusal: Refusal) -> Verdict {
        let Refusal::Failed(error, retry) = refusal else {
            return match refusal {
                Refusal::DeadlineExceeded => Ok(()),
                other => Err(format!("{other:?} has no cause")),
            };
        };
        if error == UpstreamError::BudgetExhausted {
            self.is_spent(Priority::Plain)?;
            self.may_wait_for_calls(retry)?;
        }
        self.may_be_held(caller, error)?;
        self.is_not_stored(caller, error)?;
        self.was_asked_in_vain(caller, error)?;
        self.is_own_read_served(id, caller, error)?;
        self.may_be_suspended(caller, error)?;
        let schedule = self.schedule;
        let may_spend = schedule.budget.requests < 100;
        let is_over_the_ceiling = schedule.ages.max_age < 2 * DEADLINE
            || schedule
                .steps
                .iter()
                .any(|step| matches!(step.action, Action::Freeze(_) | Action::StepClock { .. }));
        let has_cause = |ending: &Ending| match (ending, error) {
            // A row of failures opens the breaker. A second attempt may run into the deadline of its read.
            (Ending::Failure(_), UpstreamError::Suspended)
            | (Ending::Failure(UpstreamError::Unreachable(_)), UpstreamError::Timeout)
            | (Ending::Panic, UpstreamError::Defect) => true,
            (Ending::Failure(said), error) => std::mem::discriminant(said) == std::mem::discriminant(&error),
            (Ending::Success { age }, UpstreamError::Invalid(_) | UpstreamError::Timeout) => *age > 0,
            _ => false,
        };
        if may_spend || is_over_the_ceiling || schedule.replies.iter().any(|reply| has_cause(&reply.ending)) {
            return Ok(());
        }
        Err(format!("{error:?} has no cause"))
    }
}
