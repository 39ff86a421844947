//! The rules, over the log of what happened. While the clock stands still, everything that is ready runs; what happens at
//! the same moment may have happened in either order.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::provider::amount;
use super::schedule::{AccountState, Ask, CallerState, Setting};
use crate::alone::clock::{self, Ms, SECOND};

const MAX_AGE: Ms = 60 * SECOND;

#[derive(Clone, Debug)]
pub(super) struct Event {
    at: Ms,
    what: What,
}

#[derive(Clone, Debug)]
pub(super) enum What {
    Reloaded(Setting),
    Arrived {
        request: usize,
        ask: Ask,
    },
    /// The rest of the body is sent.
    Sent {
        request: usize,
    },
    /// The provider is called at this address.
    Called {
        call: usize,
        address: usize,
    },
    Answered {
        request: usize,
        given: Given,
    },
}

#[derive(Clone, Debug)]
pub(super) enum Given {
    /// `age` in seconds.
    Balance { amount: String, age: Ms },
    /// The code of a problem.
    Problem(String),
}

#[derive(Debug, Default)]
pub(super) struct Log(Mutex<Vec<Event>>);

impl Log {
    pub(super) fn write(&self, what: What) {
        let event = Event { at: clock::reading().mono, what };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(event);
    }

    pub(super) fn take(&self) -> Vec<Event> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

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

/// What a configuration says to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    Problem(&'static str),
    /// The balance at this address.
    Balance(usize),
}

impl Setting {
    /// Before the body: only the caller and its permission are judged.
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

/// Judges what happened. The error is the place of the event that breaks a rule, and the rule.
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

    /// The places of the configurations that were in force at a moment: several when there was a reload at it.
    fn in_force(&self, at: Ms) -> impl Iterator<Item = usize> {
        let before = self.settings.iter().rposition(|(since, _)| *since < at).unwrap_or(0);
        let until = self.settings.iter().rposition(|(since, _)| *since <= at).unwrap_or(0);
        before..=until
    }

    /// A call needs an account that is on, or a request that was let through to that address and waits.
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
            Err(format!("no account asks address {address} now"))
        }
    }

    fn may_answer(&mut self, request: &Request, given: &Given, now: Ms) -> Result<(), String> {
        let given = match given {
            Given::Problem(code) => self.problem(code),
            Given::Balance { amount, age } => self.balance(request, amount, *age, now)?,
        };
        let at_the_door = |place: usize| self.settings[place].1.at_the_door();
        let refused: Vec<_> = self.in_force(request.arrived).filter_map(at_the_door).collect();
        let Some(complete) = request.complete else {
            self.seen.push(Seen::RefusedBeforeTheBody);
            return if refused.contains(&given) { Ok(()) } else { Err(format!("{given:?} before the body")) };
        };
        let allowed = self.allowed(complete, now);
        if !allowed.contains(&given) && !(now == request.arrived && refused.contains(&given)) {
            return Err(format!(
                "{given:?}, and one of {allowed:?} is due: the answer of an earlier configuration"
            ));
        }
        self.note(request, complete, given, now);
        Ok(())
    }

    fn problem(&self, code: &str) -> Verdict {
        let known = ["unauthenticated", "account_not_found", "disabled"];
        known.into_iter().find(|known| *known == code).map_or(Verdict::Problem("another"), Verdict::Problem)
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
            return Err(format!("age {age}, and it was asked for {} ms ago", now - sent));
        }
        if request.ask.is_new && sent < request.arrived {
            return Err("no-cache, and it was asked for before".to_owned());
        }
        Ok(Verdict::Balance(address))
    }

    /// What a request may get now whose body has ended then. A reload moves a request that waits to the account's new
    /// identity; a removed account has no new one.
    fn allowed(&self, complete: Ms, now: Ms) -> Vec<Verdict> {
        let mut allowed = Vec::new();
        for first in self.in_force(complete) {
            let mut current = vec![(self.settings[first].1.verdict(), true)];
            for (since, setting) in &self.settings[first + 1..] {
                let may_come_later = *since == complete || *since == now;
                let moved = current.iter().filter_map(|(verdict, follows)| {
                    let moved = verdict.moved(*setting).filter(|_| *follows)?;
                    Some((moved, setting.account == AccountState::On))
                });
                let moved: Vec<_> = moved.collect();
                let is_gone = setting.account == AccountState::Absent;
                let stays = |(verdict, follows): &(Verdict, bool)| {
                    let moves = *follows && verdict.moved(*setting).is_some();
                    (may_come_later || !moves)
                        .then_some((*verdict, *follows && !(is_gone && !may_come_later)))
                };
                current = current.iter().filter_map(stays).chain(moved).collect();
                current.sort_unstable();
                current.dedup();
            }
            allowed.extend(current.into_iter().map(|(verdict, _)| verdict));
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

impl Verdict {
    /// What a request that waits for a balance gets after a reload to this setting; `None` if it waits on.
    fn moved(self, setting: Setting) -> Option<Self> {
        let Self::Balance(address) = self else { return None };
        match setting.account {
            AccountState::On if setting.address != address => Some(Self::Balance(setting.address)),
            AccountState::Off if setting.address != address => Some(Self::Problem("disabled")),
            _ => None,
        }
    }
}
