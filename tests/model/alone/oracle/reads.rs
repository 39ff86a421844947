//! The running reads of each balance, the entries that they store, and the rules for a new read.

use std::collections::BTreeSet;

use super::caller::State;
use super::tally::Seen;
use super::{Ms, Oracle, Outcome, Place, Point, Verdict};
use balance_gateway::domain::{Priority, UpstreamError};

/// The expected state of one balance at one gateway.
#[derive(Debug, Default)]
pub(super) struct Store {
    /// The entry that was stored after each ended read.
    pub(super) entries: Vec<Entry>,
    pub(super) running: Option<usize>,
    /// When the balance was last invalidated.
    pub(super) mark: Option<Ms>,
    /// The entries for which a background refresh began: at most one for each.
    refreshed: BTreeSet<usize>,
    /// A caller got a stale answer, and no refresh has begun yet.
    pub(super) is_refresh_due: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    /// The read that brought the youngest snapshot.
    pub(super) snapshot: Option<usize>,
    pub(super) last: usize,
    /// Whether the failure of the last read no longer counts.
    is_forgiven: bool,
}

#[derive(Debug)]
pub(super) struct Read {
    pub(super) place: Place,
    pub(super) by: usize,
    pub(super) priority: Priority,
    pub(super) begun: Ms,
    /// When the last attempt was sent.
    pub(super) sent: Option<Point>,
    ended: Option<(Point, Outcome)>,
}

/// Why a read failed, and for how long that is held.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failed {
    pub(super) error: UpstreamError,
    pub(super) retry_at: Option<Ms>,
    pub(super) is_held: bool,
}

impl Failed {
    pub(super) fn holds_at(&self, mono: Ms) -> bool {
        self.is_held && self.retry_at.is_some_and(|retry_at| mono < retry_at)
    }
}

impl Read {
    pub(super) fn new(place: Place, by: usize, priority: Priority, begun: Ms) -> Self {
        Self { place, by, priority, begun, sent: None, ended: None }
    }

    pub(super) fn end(&mut self, at: Point, outcome: &Outcome) {
        self.ended = Some((at, outcome.clone()));
    }

    pub(super) fn failed(&self) -> Option<Failed> {
        match self.ended.as_ref()?.1 {
            Outcome::Brought { .. } => None,
            Outcome::Failed { error, retry_at, is_held } => Some(Failed { error, retry_at, is_held }),
            Outcome::Panicked => {
                Some(Failed { error: UpstreamError::Defect, retry_at: None, is_held: false })
            }
        }
    }

    pub(super) fn amount(&self) -> Option<&str> {
        match &self.ended.as_ref()?.1 {
            Outcome::Brought { amount, .. } => Some(amount),
            Outcome::Failed { .. } | Outcome::Panicked => None,
        }
    }

    pub(super) fn age(&self) -> Ms {
        match self.ended {
            Some((_, Outcome::Brought { age, .. })) => age,
            _ => 0,
        }
    }

    /// When it was sent, less the answer's `Age`.
    pub(super) fn requested_at(&self) -> Option<Point> {
        Some(self.sent?.earlier_by(self.age()))
    }

    /// Callers that arrived by this moment may share the result: the sending of the read, or its end if never sent.
    pub(super) fn joined_at(&self) -> Option<Ms> {
        let (ended, outcome) = self.ended.as_ref()?;
        let sent = self.sent.filter(|_| *outcome != Outcome::Panicked);
        Some(sent.unwrap_or(*ended).mono)
    }
}

impl Oracle {
    /// How the last read of an entry failed.
    pub(super) fn failed(&self, entry: Entry) -> Option<Failed> {
        self.reads[entry.last].failed().filter(|_| !entry.is_forgiven)
    }

    /// Ends the hold after refused credentials.
    pub(super) fn forget(&mut self, place: Place) {
        let Some(entry) = self.entry(place) else { return };
        if self.failed(entry).is_some_and(|failed| failed.error == UpstreamError::Refused) {
            self.tally.note(Seen::ForgottenRefusal);
            self.store(place).entries.push(Entry { is_forgiven: true, ..entry });
        }
    }

    pub(super) fn entry(&self, place: Place) -> Option<Entry> {
        self.stores.get(&place)?.entries.last().copied()
    }

    /// When the snapshot of an entry was requested.
    pub(super) fn requested_at(&self, entry: Entry) -> Option<(usize, Point)> {
        let read = entry.snapshot?;
        Some((read, self.reads[read].requested_at()?))
    }

    /// Stores the end of a read. A failure keeps the last snapshot, and so does an answer that is older because of its
    /// `Age`.
    pub(super) fn keep(&mut self, read: usize, now: Point) -> usize {
        let place = self.reads[read].place;
        let before = self.entry(place).and_then(|entry| self.requested_at(entry));
        let brought = self.reads[read].requested_at().filter(|_| self.reads[read].failed().is_none());
        let has_age = self.reads[read].age() > 0;
        let snapshot = match (before, brought) {
            (Some((younger, before)), Some(brought))
                if has_age && before.age_at(now) < brought.age_at(now) =>
            {
                self.tally.note(Seen::OlderAnswer);
                Some(younger)
            }
            (_, Some(_)) => Some(read),
            (before, None) => before.map(|(last, _)| last),
        };
        let store = self.store(place);
        store.running = None;
        store.entries.push(Entry { snapshot, last: read, is_forgiven: false });
        store.entries.len()
    }

    /// A caller that may cause reads got a stale answer: a refresh is due, unless the last failure says to wait.
    pub(super) fn want_refresh(&mut self, id: usize) {
        let place = self.callers[&id].request.place;
        let (now, fresh_for) = (self.point(place), self.callers[&id].request.ages.fresh_for);
        let Some(entry) = self.entry(place) else { return };
        let waits = self.retry_at(entry).is_some_and(|retry_at| now.mono < retry_at);
        let is_old = self.requested_at(entry).is_some_and(|(_, at)| at.age_at(now) >= fresh_for);
        if waits || !is_old {
            return;
        }
        let version = self.stores[&place].entries.len();
        let tick = self.now.tick;
        self.caller(id).refresh = Some((tick, version));
        let store = self.store(place);
        store.is_refresh_due |= store.running.is_none();
    }

    fn retry_at(&self, entry: Entry) -> Option<Ms> {
        self.failed(entry)?.retry_at
    }

    /// Whether a read has a cause, and no rule forbids it.
    pub(super) fn may_begin(&mut self, by: usize, priority: Priority) -> Verdict {
        let place = self.callers[&by].request.place;
        let now = self.point(place);
        if let Some(running) = self.stores[&place].running {
            return Err(format!("read {running} of this balance still runs"));
        }
        if self.callers[&by].request.call.asks.only_if_cached {
            return Err("only-if-cached never causes a read".to_owned());
        }
        let entry = self.entry(place);
        let failed = entry.and_then(|entry| self.failed(entry));
        if failed.is_some_and(|failed| failed.holds_at(now.mono)) {
            return Err("a failure is held".to_owned());
        }
        if priority == Priority::Background {
            return self.may_refresh(by, now);
        }
        let tick = self.now.tick;
        let caller = self.caller(by);
        let expected = caller.priority();
        if priority != expected {
            return Err(format!("its priority is {priority:?}, the caller's is {expected:?}"));
        }
        if caller.state != State::Waiting && caller.state != State::Gone(tick) {
            return Err("its caller does not wait".to_owned());
        }
        caller.own_reads += 1;
        if caller.own_reads > 2 {
            return Err("the caller's third read".to_owned());
        }
        let (pass, ages) = (caller.pass, caller.request.ages);
        let stored = entry.and_then(|entry| self.requested_at(entry));
        if let Some((read, at)) = stored
            && pass.accepts(at)
            && at.age_at(now) < ages.latest_start()
        {
            return Err(format!("the balance of read {read} is good enough for its caller"));
        }
        Ok(())
    }

    fn may_refresh(&mut self, by: usize, now: Point) -> Verdict {
        let (place, tick) = (self.callers[&by].request.place, self.now.tick);
        let Some((_, version)) = self.caller(by).refresh.filter(|(asked, _)| *asked == tick) else {
            return Err("no refresh is due for its caller".to_owned());
        };
        if !self.store(place).refreshed.insert(version) {
            return Err("this entry has been refreshed".to_owned());
        }
        let entry = self.entry(place);
        if let Some(retry_at) = entry.and_then(|entry| self.retry_at(entry)).filter(|at| now.mono < *at) {
            return Err(format!("the last failure asks to wait until {retry_at} ms"));
        }
        Ok(())
    }
}
