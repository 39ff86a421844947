//! The rules, judged from the log of events. While the clock stands still, every ready task runs, so events of the same
//! moment may have happened in any order.

use std::collections::BTreeMap;

use super::log::{Event, Given, What};
use super::provider::amount;
use super::schedule::{AccountState, Ask, CallerState, Setting};
use crate::alone::clock::{Ms, SECOND};

const MAX_AGE: Ms = 60 * SECOND;

/// A case that the schedules must reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Seen {
    RefusedBeforeTheBody,
    MovedDuringTheBody,
    SwitchedOffDuringTheBody,
    RemovedDuringTheBody,
    HiddenDuringTheBody,
    RevokedDuringTheBody,
    MovedDuringTheRead,
    SwitchedOffDuringTheRead,
    ServedFromMemory,
}

impl Seen {
    pub(super) const ALL: [Self; 9] = [
        Self::RefusedBeforeTheBody,
        Self::MovedDuringTheBody,
        Self::SwitchedOffDuringTheBody,
        Self::RemovedDuringTheBody,
        Self::HiddenDuringTheBody,
        Self::RevokedDuringTheBody,
        Self::MovedDuringTheRead,
        Self::SwitchedOffDuringTheRead,
        Self::ServedFromMemory,
    ];
}

/// The answer to a request under one configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    Problem(&'static str),
    /// The balance at this address.
    Balance(usize),
}

impl Setting {
    /// The answer before the body ends: it depends only on the caller and its permission.
    fn at_the_door(self) -> Option<Verdict> {
        match (self.caller, self.account) {
            (CallerState::Unknown, _) => Some(Verdict::Problem("unauthenticated")),
            (CallerState::SeesOther, _) | (_, AccountState::Absent) => {
                Some(Verdict::Problem("account_not_found"))
            }
            (CallerState::SeesAccount, AccountState::On | AccountState::Off) => None,
        }
    }

    fn verdict(self) -> Verdict {
        self.at_the_door().unwrap_or(match self.account {
            AccountState::Off => Verdict::Problem("disabled"),
            AccountState::On | AccountState::Absent => Verdict::Balance(self.address),
        })
    }
}

/// A request that is not answered yet.
struct Request {
    ask: Ask,
    arrived: Ms,
    /// When the body had ended.
    complete: Option<Ms>,
}

struct Oracle {
    /// The configurations, and when each came into force.
    settings: Vec<(Ms, Setting)>,
    requests: BTreeMap<usize, Request>,
    /// When each call was sent, and where to.
    calls: Vec<(Ms, usize)>,
    seen: Vec<Seen>,
}

/// Judges a log. The error is the index of the event that breaks a rule, and the rule.
pub(super) fn judge(first: Setting, events: &[Event]) -> Result<Vec<Seen>, (usize, String)> {
    let settings = vec![(Ms::MIN, first)];
    let mut oracle = Oracle { settings, requests: BTreeMap::new(), calls: Vec::new(), seen: Vec::new() };
    for (place, event) in events.iter().enumerate() {
        oracle.follow(event).map_err(|rule| (place, rule))?;
    }
    match oracle.requests.keys().next() {
        Some(request) => Err((events.len(), format!("request {request} has no answer"))),
        None => Ok(oracle.seen),
    }
}

impl Oracle {
    fn follow(&mut self, event: &Event) -> Result<(), String> {
        let now = event.at;
        match &event.what {
            What::Reloaded(setting) => self.settings.push((now, *setting)),
            What::Arrived { request, ask } => {
                let complete = ask.body.is_none().then_some(now);
                self.requests.insert(*request, Request { ask: *ask, arrived: now, complete });
            }
            What::Sent { request } => {
                if let Some(request) = self.requests.get_mut(request) {
                    request.complete = Some(now);
                }
            }
            What::Called { call, address } => {
                assert_eq!(*call, self.calls.len());
                self.calls.push((now, *address));
                return self.may_call(*address, now);
            }
            What::Answered { request, given } => {
                let request = self.requests.remove(request).unwrap();
                return self.may_answer(&request, given, now);
            }
        }
        Ok(())
    }

    /// The indices of the configurations in force at a moment: several if a reload happened at that moment.
    fn in_force(&self, at: Ms) -> impl Iterator<Item = usize> {
        let before = self.settings.iter().rposition(|(since, _)| *since < at).unwrap_or(0);
        let until = self.settings.iter().rposition(|(since, _)| *since <= at).unwrap_or(0);
        before..=until
    }

    /// A call needs an account that is switched on, or an accepted request that waits for that address.
    fn may_call(&self, address: usize, now: Ms) -> Result<(), String> {
        let is_on = |place: usize| {
            let (_, setting) = self.settings[place];
            setting.account == AccountState::On && setting.address == address
        };
        let waits = |request: &Request| {
            request
                .complete
                .is_some_and(|complete| self.allowed(complete, now).contains(&Verdict::Balance(address)))
        };
        if self.in_force(now).any(is_on) || self.requests.values().any(waits) {
            Ok(())
        } else {
            Err(format!("no account has address {address} now"))
        }
    }

    fn may_answer(&mut self, request: &Request, given: &Given, now: Ms) -> Result<(), String> {
        let given = match given {
            Given::Problem(code) => problem(code),
            Given::Balance { amount, age } => self.balance(request, amount, *age, now)?,
        };
        let at_the_door = |place: usize| self.settings[place].1.at_the_door();
        let refused: Vec<_> = self.in_force(request.arrived).filter_map(at_the_door).collect();
        let Some(complete) = request.complete else {
            self.seen.push(Seen::RefusedBeforeTheBody);
            return if refused.contains(&given) { Ok(()) } else { Err(format!("{given:?} before the body")) };
        };
        let allowed = self.allowed(complete, now);
        let is_refused_at_once = now == request.arrived && refused.contains(&given);
        if !is_refused_at_once && !allowed.contains(&given) {
            return Err(format!(
                "{given:?} instead of one of {allowed:?}: the answer of an earlier configuration"
            ));
        }
        self.note(request, complete, given, now);
        Ok(())
    }

    /// The address of a balance, whose age and demand are judged, too.
    fn balance(&self, request: &Request, given: &str, age: Ms, now: Ms) -> Result<Verdict, String> {
        let call: usize =
            given.split('.').next().unwrap_or_default().parse().map_err(|_| "no amount of ours")?;
        let (sent, address) = *self.calls.get(call).ok_or("an amount that no call brought")?;
        if given != amount(call, address) {
            return Err(format!("call {call} brought another amount than {given}"));
        }
        if age != (now - sent + SECOND - 1) / SECOND || now - sent > MAX_AGE {
            return Err(format!("age {age}, although it was requested {} ms ago", now - sent));
        }
        if request.ask.is_new && sent < request.arrived {
            return Err("no-cache, but it was requested before the request arrived".to_owned());
        }
        Ok(Verdict::Balance(address))
    }

    /// The answers that a request may get now if its body ended at that moment.
    fn allowed(&self, complete: Ms, now: Ms) -> Vec<Verdict> {
        let mut allowed = Vec::new();
        for first in self.in_force(complete) {
            let mut outcomes = vec![Outcome { verdict: self.settings[first].1.verdict(), is_reached: true }];
            for (since, setting) in &self.settings[first + 1..] {
                let after: Vec<_> = outcomes.iter().map(|outcome| outcome.after(*setting)).collect();
                if *since != complete && *since != now {
                    outcomes.clear();
                }
                outcomes.extend(after);
                outcomes.sort_unstable();
                outcomes.dedup();
            }
            allowed.extend(outcomes.into_iter().map(|outcome| outcome.verdict));
        }
        allowed
    }

    fn note(&mut self, request: &Request, complete: Ms, given: Verdict, now: Ms) {
        let setting_at = |at: Ms| self.in_force(at).last().map(|place| self.settings[place].1);
        let (Some(arrived), Some(after)) = (setting_at(request.arrived), setting_at(complete)) else {
            return;
        };
        let case = match (arrived.verdict(), after.verdict(), given) {
            (Verdict::Balance(before), Verdict::Balance(_), Verdict::Balance(given)) if before != given => {
                if after.address == given {
                    Seen::MovedDuringTheBody
                } else {
                    Seen::MovedDuringTheRead
                }
            }
            (_, Verdict::Balance(_), Verdict::Problem("disabled")) => Seen::SwitchedOffDuringTheRead,
            (Verdict::Balance(_), _, Verdict::Problem("disabled")) => Seen::SwitchedOffDuringTheBody,
            (Verdict::Balance(_), _, Verdict::Problem("unauthenticated")) => Seen::RevokedDuringTheBody,
            (Verdict::Balance(_), _, Verdict::Problem("account_not_found"))
                if after.account == AccountState::Absent =>
            {
                Seen::RemovedDuringTheBody
            }
            (Verdict::Balance(_), _, Verdict::Problem("account_not_found")) => Seen::HiddenDuringTheBody,
            (_, _, Verdict::Balance(_)) if now == complete => Seen::ServedFromMemory,
            _ => return,
        };
        self.seen.push(case);
    }
}

fn problem(code: &str) -> Verdict {
    let known = ["unauthenticated", "account_not_found", "disabled"];
    known.into_iter().find(|known| *known == code).map_or(Verdict::Problem("another"), Verdict::Problem)
}

/// The answer of a request, and whether it still depends on later reloads.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Outcome {
    verdict: Verdict,
    is_reached: bool,
}

impl Outcome {
    /// The same after a reload, which moves a waiting request to the account's new identity.
    fn after(self, setting: Setting) -> Self {
        let Verdict::Balance(address) = self.verdict else { return self };
        let is_moved = self.is_reached && setting.address != address;
        match setting.account {
            AccountState::On if is_moved => Self { verdict: Verdict::Balance(setting.address), ..self },
            AccountState::Off if is_moved => {
                Self { verdict: Verdict::Problem("disabled"), is_reached: false }
            }
            AccountState::On | AccountState::Off => self,
            // A removed account has no new identity.
            AccountState::Absent => Self { is_reached: false, ..self },
        }
    }
}
