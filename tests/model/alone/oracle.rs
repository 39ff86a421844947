//! The promises, judged from the log of events in whole milliseconds. Of the code under test, the oracle uses only the
//! names of answers.
//!
//! While the clocks stand still, every ready task runs. Such a moment is a tick: all that is due must have happened by
//! its end. If a clock jumps within a tick, the answer before the jump and the one after it are both right.

mod answer;
mod caller;
mod memory;
mod pass;
mod reads;
mod tally;
mod waiting;

use std::collections::BTreeMap;

pub(crate) use tally::Tally;

use super::clock::{Ms, Reading};
use super::log::{CallerRequest, Event, Given, Outcome, Place, What};
use balance_gateway::domain::Priority;
use caller::{Caller, State};
use reads::{Read, Store};
use tally::Seen;

/// The error names the broken rule.
type Verdict = Result<(), String>;

/// A moment on the monotonic clock and on one gateway's wall clock.
#[derive(Clone, Copy, Debug)]
struct Point {
    mono: Ms,
    wall: Ms,
}

impl Point {
    /// The larger of the differences on the two clocks.
    fn age_at(self, now: Self) -> Ms {
        (now.mono - self.mono).max(now.wall - self.wall)
    }

    fn earlier_by(self, length: Ms) -> Self {
        Self { mono: self.mono - length, wall: self.wall - length }
    }
}

/// The state of a schedule so far.
#[derive(Debug, Default)]
pub(crate) struct Oracle {
    now: Reading,
    /// Whether a clock jumped within this tick.
    jumped: bool,
    /// Whether a wall clock was stepped at any time.
    stepped: bool,
    stores: BTreeMap<Place, Store>,
    reads: Vec<Read>,
    callers: BTreeMap<usize, Caller>,
    tally: Tally,
}

/// Judges a log. Returns how often each case occurred, or the index of the first event that breaks a rule, and that
/// rule.
pub(crate) fn judge(events: &[Event]) -> Result<Tally, (usize, String)> {
    let mut oracle = Oracle::default();
    if let Some(first) = events.first() {
        oracle.now = first.at;
    }
    for (index, event) in events.iter().enumerate() {
        oracle.happen(event).map_err(|rule| (index, rule))?;
    }
    oracle.end_tick().map_err(|rule| (events.len(), rule))?;
    Ok(oracle.tally)
}

impl Oracle {
    fn happen(&mut self, event: &Event) -> Verdict {
        self.turn_clocks(event.at)?;
        match &event.what {
            What::ClockJumped => Ok(()),
            What::Invalidated(place) => {
                let mono = self.now.mono;
                self.store(*place).mark = Some(mono);
                Ok(())
            }
            What::Forgotten(place) => {
                self.forget(*place);
                Ok(())
            }
            What::Arrived(caller, request) => {
                self.arrive(*caller, request);
                Ok(())
            }
            What::Looked(caller) => {
                self.look(*caller);
                Ok(())
            }
            What::Charged(caller, is_granted) => self.charge(*caller, *is_granted),
            What::NotedHold(caller) => self.note_hold(*caller),
            What::Begun { read, by, priority } => self.begin(*read, *by, *priority),
            What::Sent(read) => {
                let at = self.point(self.reads[*read].place);
                self.reads[*read].sent = Some(at);
                Ok(())
            }
            What::Ended(read, outcome) => {
                self.end(*read, outcome);
                Ok(())
            }
            What::Cut(read) => Err(format!("read {read} was dropped: a read goes on when callers leave")),
            What::Answered(caller, given) => self.answer(*caller, given),
            What::Left(caller) => {
                let tick = self.now.tick;
                self.caller(*caller).state = State::Gone(tick);
                Ok(())
            }
        }
    }

    /// Records a jump of a clock, and checks that everything due in the last tick has happened.
    fn turn_clocks(&mut self, now: Reading) -> Verdict {
        let before = self.now;
        if now.tick != before.tick {
            self.end_tick()?;
            self.jumped = false;
            let passed = now.tick - before.tick;
            for (id, caller) in &self.callers {
                if caller.state == State::Waiting && caller.deadline < before.mono + passed {
                    return Err(format!("caller {id} waits past its deadline, {} ms", caller.deadline));
                }
            }
        }
        let skew = |reading: Reading| reading.walls.map(|wall| wall - reading.mono);
        let has_stepped = skew(now) != skew(before);
        self.stepped |= has_stepped;
        self.jumped |= has_stepped || now.mono - now.tick != before.mono - before.tick;
        self.now = now;
        Ok(())
    }

    fn end_tick(&mut self) -> Verdict {
        for (place, store) in &mut self.stores {
            if std::mem::take(&mut store.is_refresh_due) && !self.jumped {
                return Err(format!("no background refresh of {place:?} after the stale answer"));
            }
        }
        for (id, caller) in &mut self.callers {
            if caller.must.is_some() {
                return Err(format!("caller {id} does not get its answer at once: {:?}", caller.must));
            }
            if caller.state != State::Waiting {
                continue;
            }
            if !self.jumped && caller.candidates.iter().any(|candidate| candidate.is_due) {
                return Err(format!("caller {id} still waits after a read whose result it must take"));
            }
            if self.now.mono >= caller.deadline {
                return Err(format!("caller {id} still waits at its deadline, {} ms", caller.deadline));
            }
            if self.stores[&caller.request.place].running.is_none() {
                return Err(format!("caller {id} waits although no read runs"));
            }
            caller.end_tick();
        }
        Ok(())
    }

    fn arrive(&mut self, id: usize, request: &CallerRequest) {
        let arrived = self.point(request.place);
        self.store(request.place);
        self.callers.insert(id, Caller::new(request.clone(), arrived));
    }

    fn begin(&mut self, read: usize, by: usize, priority: Priority) -> Verdict {
        if read != self.reads.len() {
            return Err(format!("read {read} begins out of order"));
        }
        self.may_begin(by, priority).map_err(|rule| format!("read {read} of caller {by}: {rule}"))?;
        let (place, tick) = (self.caller(by).request.place, self.now.tick);
        let store = self.store(place);
        store.running = Some(read);
        store.is_refresh_due = false;
        self.reads.push(Read::new(place, by, priority, tick));
        self.tally.note(match priority {
            Priority::Background => Seen::BackgroundRead,
            Priority::Plain => Seen::PlainRead,
            Priority::Demanded => Seen::DemandedRead,
            Priority::Certain => Seen::CertainRead,
        });
        Ok(())
    }

    fn end(&mut self, read: usize, outcome: &Outcome) {
        let place = self.reads[read].place;
        let now = self.point(place);
        self.reads[read].end(now, outcome);
        let version = self.keep(read, now);
        let waiting: Vec<_> = self.waiting(place).collect();
        for id in waiting {
            self.offer(id, version, now);
        }
    }

    fn waiting(&self, place: Place) -> impl Iterator<Item = usize> {
        let waits = move |caller: &Caller| caller.state == State::Waiting && caller.request.place == place;
        self.callers.iter().filter(move |(_, caller)| waits(caller)).map(|(id, _)| *id)
    }

    fn answer(&mut self, id: usize, given: &Given) -> Verdict {
        self.may_get(id, given).map_err(|rule| format!("caller {id}: {rule}"))?;
        let tick = self.now.tick;
        let caller = self.caller(id);
        caller.must = None;
        caller.state = State::Gone(tick);
        Ok(())
    }

    fn point(&self, place: Place) -> Point {
        Point { mono: self.now.mono, wall: self.now.walls[place.gateway] }
    }

    fn store(&mut self, place: Place) -> &mut Store {
        self.stores.entry(place).or_default()
    }

    fn caller(&mut self, id: usize) -> &mut Caller {
        self.callers.get_mut(&id).expect("no event of a caller comes before its arrival")
    }
}
