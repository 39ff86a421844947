//! The budget: all replicas together make no more calls than it allows, and no call that it allows is refused.

use super::reads::{LOOK_UP, Read, Request};
use super::tally::Seen;
use super::{Oracle, REJOINED_WITHIN, Verdict};
use crate::alone::clock::{Ms, SECOND};
use crate::replicas::chance::DEADLINE;
use crate::replicas::clock::REPLICAS;
use crate::replicas::schedule::{Action, Schedule};
use balance_gateway::domain::{Priority, RetryAfter, UpstreamError};

/// When the store, a network or a clock was disturbed last.
pub(super) struct Disturbance {
    last: Option<Ms>,
    has_calm_network: [bool; REPLICAS],
    is_linked: [bool; REPLICAS],
    /// When each replica's link broke.
    breaks: [Vec<Ms>; REPLICAS],
}

impl Disturbance {
    pub(super) fn of(schedule: &Schedule) -> Self {
        let has_calm_network = schedule.weathers.map(crate::store::Weather::is_calm);
        Self { last: None, has_calm_network, is_linked: [false; REPLICAS], breaks: Default::default() }
    }

    pub(super) fn note(&mut self, now: Ms) {
        self.last = Some(now);
    }

    pub(super) fn note_weather(&mut self, now: Ms, replica: usize, is_calm: bool) {
        self.has_calm_network[replica] = is_calm;
        self.note(now);
    }

    pub(super) fn note_link(&mut self, now: Ms, replica: usize, is_linked: bool) {
        self.is_linked[replica] = is_linked;
        if !is_linked {
            self.breaks[replica].push(now);
        }
        // The very first link is no disturbance: no call was made before it.
        if now > SECOND {
            self.note(now);
        }
    }

    /// The first time after `since` at which this replica's link broke.
    pub(super) fn first_break_since(&self, replica: usize, since: Ms) -> Option<Ms> {
        self.breaks[replica].iter().copied().find(|broke| *broke > since)
    }

    /// Whether nothing was disturbed in a span that ends now.
    pub(super) fn is_over(&self, now: Ms, span: Ms) -> bool {
        let is_calm = self.has_calm_network.iter().chain(&self.is_linked).all(|is_well| *is_well);
        is_calm && self.last.is_none_or(|last| now > last + span)
    }
}

impl Oracle<'_> {
    pub(super) fn within_budget(&mut self) -> Verdict {
        let (terms, counted) = (self.schedule.budget, self.counted(0));
        let span = terms.per + DEADLINE + 5 * SECOND;
        let is_exact = self.schedule.is_calm() || self.disturbance.is_over(self.now, span);
        if is_exact && counted > 1 {
            self.tally.note(Seen::ExactBudget);
        }
        // A replica that is alone, or whose epoch is new, makes at most its local share of the calls.
        let local = |replica: usize| self.counted_of(replica).min(self.local_share());
        let alone = if is_exact { 0 } else { (0..REPLICAS).map(local).sum() };
        if counted > terms.requests + alone {
            let by_replica: Vec<_> = (0..REPLICAS).map(|replica| self.counted_of(replica)).collect();
            return Err(format!(
                "{counted} calls count {by_replica:?}, {} + {alone} are allowed",
                terms.requests
            ));
        }
        if counted > terms.requests
            && self.disturbance.is_over(self.now, REJOINED_WITHIN)
            && self.keeps_epoch()
        {
            return Err(format!(
                "{counted} calls count, {} are allowed, and the store knows them all",
                terms.requests
            ));
        }
        self.within_local_share()
    }

    /// Whether the schedule has only one epoch: each fail-over keeps data that was replicated after the first call, and
    /// the store loses nothing else.
    fn keeps_epoch(&self) -> bool {
        let first_call = self.requests.first().map_or(0, |first| first.at);
        let (mut at, mut has_epoch) = (SECOND, false);
        self.schedule.steps.iter().all(|step| {
            at += step.after;
            match step.action {
                Action::Replicate => has_epoch |= at > first_call + SECOND,
                Action::FailOver(0) => return has_epoch,
                Action::FailOver(_)
                | Action::Kill(_)
                | Action::Evict(_)
                | Action::StepClock { .. }
                | Action::Fill(_)
                | Action::WriteProtect(_)
                | Action::Freeze(_) => return false,
                _ => {}
            }
            true
        })
    }

    /// While the first epoch is new, a replica makes no more than its local share of the calls.
    fn within_local_share(&mut self) -> Verdict {
        let Some(first) = self.requests.first().filter(|_| self.schedule.is_calm()) else { return Ok(()) };
        let (read, settles) =
            (self.requests.last().map(|last| last.read), first.at + self.schedule.budget.per);
        let Some(replica) = read.map(|read| self.reads[read].replica) else { return Ok(()) };
        if self.now >= settles - LOOK_UP {
            return Ok(());
        }
        self.tally.note(Seen::NewEpoch);
        let (made, share) = (self.counted_of(replica), self.local_share());
        if made > share {
            return Err(format!("replica {replica} makes {made} calls in a new epoch, {share} are allowed"));
        }
        Ok(())
    }

    /// A caller is refused because of the budget only when that budget is really used up.
    pub(super) fn is_spent(&mut self, priority: Priority) -> Verdict {
        let terms = self.schedule.budget;
        // The first call after the store's clock was set begins an epoch, in which only local shares may be used.
        let disturbed = self.disturbance.last.unwrap_or(0);
        let first = self.requests.iter().find(|request| request.at >= disturbed);
        let is_settled = first.is_some_and(|first| self.now > first.at + terms.per + SECOND);
        let is_judged = self.schedule.is_calm() || self.schedule.only_sets_the_stores_clock();
        if !is_judged || !is_settled {
            return Ok(());
        }
        self.tally.note(Seen::Spent);
        let percent = if priority == Priority::Background { 60 } else { 80 };
        // A suspended read gives its call back a moment later.
        let holds_call = |read: &&Read| {
            let gives_back = read.first_call.is_none()
                && read.ended.is_some_and(|ended| {
                    ended.error == Some(UpstreamError::Suspended) && self.now - ended.at < LOOK_UP
                });
            gives_back || self.has_just_begun(read)
        };
        let begun = self.reads.iter().filter(holds_call).count();
        let counted = self.counted(SECOND) + u32::try_from(begun).unwrap();
        let share = (terms.requests * percent / 100).max(1);
        if counted < share {
            return Err(format!("refused by the budget: {counted} calls count, {share} are allowed"));
        }
        Ok(())
    }

    /// While the first epoch is new, `Retry-After` reaches no further than its first `per`.
    pub(super) fn may_wait_for_calls(&self, retry: Option<RetryAfter>) -> Verdict {
        let (Some(retry), Some(first)) = (retry, self.requests.first()) else { return Ok(()) };
        let seconds = retry.as_secs();
        let settles = first.at + self.schedule.budget.per;
        let ends = self.now + Ms::try_from(seconds).unwrap() * SECOND;
        if !self.schedule.is_calm() || self.now > settles || ends <= settles + 2 * SECOND {
            return Ok(());
        }
        Err(format!("{seconds} s to wait for the budget, although the epoch settles at {settles} ms"))
    }

    /// How many calls one replica may make while the store does not know all calls.
    fn local_share(&self) -> u32 {
        (self.schedule.budget.requests / u32::try_from(REPLICAS).unwrap()).max(1)
    }

    /// The calls that count now: the provider may have received each at any time until its answer.
    fn counted(&self, slack: Ms) -> u32 {
        self.count(slack, |_| true)
    }

    fn counted_of(&self, replica: usize) -> u32 {
        self.count(0, |request| self.reads[request.read].replica == replica)
    }

    fn count(&self, slack: Ms, is_meant: impl Fn(&Request) -> bool) -> u32 {
        let per = self.schedule.budget.per + slack;
        let counts = |request: &&Request| request.replied.is_none_or(|replied| self.now - replied < per);
        u32::try_from(self.requests.iter().filter(counts).filter(|request| is_meant(request)).count())
            .unwrap()
    }
}
