//! What several replicas promise together, judged from the log of events in whole milliseconds of a clock that none of
//! them reads. Of the code under test, the oracle uses only the names of answers.

mod answer;
mod breaker;
mod budget;
mod holds;
mod limit;
mod liveness;
mod promptness;
mod reads;
mod streams;
mod tally;

use std::collections::{BTreeMap, BTreeSet};

pub(crate) use tally::{Seen, Tally};

use super::clock::REPLICAS;
use super::log::{Event, What};
use super::schedule::{BALANCES, Call, Schedule};
use crate::alone::clock::{Ms, SECOND};
use balance_gateway::domain::{ParseError, UpstreamError};
use breaker::Breaker;
use budget::Disturbance;
use limit::Spendings;
use reads::{LOOK_UP, Read, Request};
use streams::Streams;

/// After the last disturbance every replica shares again, and has caught up.
const REJOINED_WITHIN: Ms = 4 * SECOND;

/// How a balance over the ceiling counts for the breakers.
const TOO_OLD: UpstreamError =
    UpstreamError::Invalid(ParseError { field: "Age", problem: "older than max_age" });

/// The error names the broken rule.
type Verdict = Result<(), String>;

/// The state of a schedule so far.
pub(crate) struct Oracle<'a> {
    schedule: &'a Schedule,
    now: Ms,
    tick: Ms,
    callers: BTreeMap<usize, Caller>,
    reads: Vec<Read>,
    /// Every call that the provider received.
    requests: Vec<Request>,
    invalidations: Vec<Invalidation>,
    /// The marks that each replica received, kept because an invalidation may return later than its mark arrives.
    told: Vec<(usize, usize, u64)>,
    /// The last invalidation of each balance that each replica knows.
    known: [[Option<Ms>; BALANCES]; REPLICAS],
    /// The stale amount of each balance that each replica served, and since when.
    stale: BTreeMap<(usize, usize), (String, Ms)>,
    breaker: Breaker,
    own_breakers: [Breaker; REPLICAS],
    /// The numbers of all reads that have ended.
    numbers: BTreeSet<u64>,
    disturbance: Disturbance,
    spendings: Spendings,
    streams: Streams,
    tally: Tally,
}

#[derive(Clone, Debug)]
struct Caller {
    call: Call,
    arrived: Ms,
    tick: Ms,
    /// The earliest request instant that the caller may get, and the reason.
    not_before: Option<(Ms, Why)>,
    is_answered: bool,
    /// When the balance that the caller got was requested.
    requested_at: Option<Ms>,
}

/// Why a caller must not get an older balance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Why {
    /// Its replica knows of an invalidation.
    Known,
    /// Its replica must know of an invalidation by now.
    Told,
    /// The caller sent `max-age`.
    MaxAge,
    /// The caller sent `no-cache`.
    NoCache,
    /// The caller passes the `not_before` of an invalidation on.
    PassedOn,
}

#[derive(Clone, Copy, Debug)]
struct Invalidation {
    balance: usize,
    at: Ms,
    returned: Option<Ms>,
    mark: Option<u64>,
}

/// Judges a log. Returns the cases that occurred, or the index of the first event that breaks a rule, and the rule.
pub(crate) fn judge(schedule: &Schedule, events: &[Event]) -> Result<Tally, (usize, String)> {
    let mut oracle = Oracle {
        schedule,
        now: 0,
        tick: 0,
        callers: BTreeMap::new(),
        reads: Vec::new(),
        requests: Vec::new(),
        invalidations: Vec::new(),
        told: Vec::new(),
        known: [[None; BALANCES]; REPLICAS],
        stale: BTreeMap::new(),
        breaker: Breaker::default(),
        own_breakers: [(); REPLICAS].map(|()| Breaker::of_one_replica()),
        numbers: BTreeSet::new(),
        disturbance: Disturbance::of(schedule),
        spendings: Spendings::default(),
        streams: Streams::default(),
        tally: Tally::default(),
    };
    for (index, event) in events.iter().enumerate() {
        (oracle.now, oracle.tick) = (event.at, event.tick);
        oracle.happen(&event.what).map_err(|rule| (index, rule))?;
    }
    oracle.end().map_err(|rule| (events.len(), rule))?;
    Ok(oracle.tally)
}

impl Oracle<'_> {
    fn happen(&mut self, what: &What) -> Verdict {
        match what {
            What::Arrived { caller, call, after } => {
                self.arrive(*caller, call, *after);
                Ok(())
            }
            What::Answered { caller, given } => self.answer(*caller, given),
            What::Begun { read, by, replica, balance, priority } => {
                let begun = Read {
                    by: *by,
                    replica: *replica,
                    balance: *balance,
                    priority: *priority,
                    begun: self.now,
                    first_call: None,
                    ended: None,
                    is_leased: false,
                };
                self.begin(*read, begun)
            }
            What::Called { call, read } => self.request(*call, *read),
            What::Replied { call, brought } => {
                let request = &mut self.requests[*call];
                (request.replied, request.brought) = (Some(self.now), brought.clone().ok());
                let error = match brought {
                    // A balance over the ceiling is no success.
                    Ok((_, age)) if *age >= self.schedule.ages.max_age => Some(TOO_OLD),
                    Ok(_) => None,
                    Err(error) => Some(*error),
                };
                let at = request.at;
                self.breaker.note(self.now, at, error);
                self.own_breakers[self.reads[request.read].replica].note(self.now, at, error);
                Ok(())
            }
            What::Ended { read, number, error } => self.finish(*read, *number, *error),
            What::Invalidating { invalidation, replica, balance } => {
                let (replica, balance, at) = (*replica, *balance, self.now);
                assert_eq!(*invalidation, self.invalidations.len(), "they come in order");
                self.invalidations.push(Invalidation { balance, at, returned: None, mark: None });
                self.know(replica, balance, at);
                Ok(())
            }
            What::Invalidated { invalidation, mark } => {
                let returned = &mut self.invalidations[*invalidation];
                (returned.returned, returned.mark) = (Some(self.now), *mark);
                let Invalidation { balance, at, .. } = *returned;
                let told = self.told.iter().filter(|told| (told.1, Some(told.2)) == (balance, *mark));
                let replicas: Vec<_> = told.map(|told| told.0).collect();
                for replica in replicas {
                    self.know(replica, balance, at);
                }
                self.tally.note(if mark.is_some() { Seen::SharedMark } else { Seen::LonelyMark });
                Ok(())
            }
            What::Told { replica, balance, mark } => {
                self.told.push((*replica, *balance, *mark));
                let is_it = |it: &&Invalidation| (it.balance, it.mark) == (*balance, Some(*mark));
                if let Some(Invalidation { at, .. }) = self.invalidations.iter().find(is_it).copied() {
                    self.know(*replica, *balance, at);
                }
                Ok(())
            }
            What::Taken { caller } => self.is_taken_in_time(*caller),
            What::Opened { of, .. } => {
                self.streams.open(self.now, of);
                Ok(())
            }
            What::Streamed { stream, amount } => self.may_stream(*stream, amount),
            What::Closed { stream } => self.has_seen_the_newest(*stream),
            What::Notified => {
                self.streams.notified.push(self.now);
                Ok(())
            }
            What::Spent { replica, cost, units, is_local } => self.spend(*replica, *cost, *units, *is_local),
            What::Disturbed => {
                self.spendings.note_disturbance(self.now);
                self.disturbance.note(self.now);
                Ok(())
            }
            What::Weather { replica, is_calm } => {
                self.disturbance.note_weather(self.now, *replica, *is_calm);
                Ok(())
            }
            What::Linked { replica, stands } => {
                self.disturbance.note_link(self.now, *replica, *stands);
                self.tally.note(if *stands { Seen::Linked } else { Seen::Broken });
                Ok(())
            }
        }
    }

    fn know(&mut self, replica: usize, balance: usize, at: Ms) {
        let known = &mut self.known[replica][balance];
        *known = (*known).max(Some(at));
    }

    fn arrive(&mut self, id: usize, call: &Call, after: Option<usize>) {
        let passed_on = after.map(|after| self.invalidations[after]).filter(|it| it.mark.is_some());
        let max_age = call.asks.max_age.filter(|age| age * SECOND < self.schedule.ages.max_age);
        let demands = [
            self.known[call.replica][call.balance].map(|at| (at, Why::Known)),
            self.told_by_now(call.balance).map(|at| (at, Why::Told)),
            max_age.filter(|age| *age > 0).map(|age| (self.now - age * SECOND, Why::MaxAge)),
            max_age.filter(|age| *age == 0).map(|_| (self.now, Why::NoCache)),
            passed_on.map(|it| (it.at, Why::PassedOn)),
        ];
        let not_before = demands.into_iter().flatten().max();
        let caller = Caller {
            call: call.clone(),
            arrived: self.now,
            tick: self.tick,
            not_before,
            is_answered: false,
            requested_at: None,
        };
        self.callers.insert(id, caller);
    }

    /// The last invalidation of a balance that every replica must know of by now.
    fn told_by_now(&self, balance: usize) -> Option<Ms> {
        let is_told = |returned: Ms| returned + LOOK_UP < self.now;
        let of_balance = self.invalidations.iter().filter(|it| it.balance == balance);
        let told = of_balance.filter(|it| it.returned.is_some_and(is_told)).map(|it| it.at);
        let is_undisturbed =
            self.disturbance.is_over(self.now, REJOINED_WITHIN) && self.schedule.takes_writes_at(self.now);
        told.max().filter(|_| self.schedule.is_calm() || is_undisturbed)
    }

    fn end(&self) -> Verdict {
        match self.callers.iter().find(|(_, caller)| !caller.is_answered) {
            Some((id, _)) => Err(format!("caller {id} was never answered")),
            None => Ok(()),
        }
    }
}
