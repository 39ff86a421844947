//! One caller, and the results it may take.

use super::pass::Pass;
use super::{CallerRequest, Ms, Point};
use balance_gateway::cache::Absence;
use balance_gateway::domain::Priority;
use balance_gateway::gateway::{Refusal, Via};

#[derive(Debug)]
pub(super) struct Caller {
    pub(super) request: CallerRequest,
    pub(super) deadline: Ms,
    pub(super) state: State,
    pub(super) pass: Pass,
    /// The answer that the caller must get next.
    pub(super) must: Option<Expected>,
    pub(super) is_charge_due: bool,
    pub(super) is_hold_due: bool,
    /// Why no cached snapshot was good enough.
    pub(super) absence: Absence,
    pub(super) looked: Ms,
    /// The entries that were stored since this tick began.
    pub(super) candidates: Vec<Candidate>,
    /// How many reads the caller began.
    pub(super) own_reads: usize,
    /// How many shared reads brought a balance that was already over the ceiling.
    pub(super) late_reads: usize,
    /// When a background refresh after its stale answer became due, and for which entry.
    pub(super) refresh: Option<(Ms, usize)>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum State {
    Queued,
    Waiting,
    /// The caller was answered or left, in this tick.
    Gone(Ms),
}

/// An entry that may be the answer of a waiting caller.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    /// The entry's number, from one.
    pub(super) version: usize,
    /// The read that stored it while the caller waited, if the caller may share that read.
    pub(super) shared: Option<SharedRead>,
    /// Whether the caller must take it.
    pub(super) is_due: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct SharedRead {
    /// Whether the caller began it.
    pub(super) is_own: bool,
    /// Whether the read succeeded. Then the caller waits on only because the balance is over the ceiling.
    pub(super) is_success: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Expected {
    Served { read: usize, via: Via },
    Refused(Refusal),
}

impl Caller {
    pub(super) fn new(request: CallerRequest, arrived: Point) -> Self {
        Self {
            deadline: arrived.mono + request.call.wait,
            state: State::Queued,
            pass: Pass::new(&request, arrived, None),
            must: None,
            is_charge_due: false,
            is_hold_due: false,
            absence: Absence::UriMiss,
            looked: 0,
            candidates: Vec::new(),
            own_reads: 0,
            late_reads: 0,
            refresh: None,
            request,
        }
    }

    pub(super) fn priority(&self) -> Priority {
        if self.request.not_before.is_some() {
            Priority::Certain
        } else if self.pass.is_own {
            Priority::Demanded
        } else {
            Priority::Plain
        }
    }

    /// Whether the caller began to wait before this tick, so that it cannot have missed the end of a read.
    pub(super) fn waits_since_before(&self, tick: Ms) -> bool {
        self.looked < tick
    }

    pub(super) fn end_tick(&mut self) {
        let late = |candidate: &Candidate| candidate.shared.is_some_and(|shared| shared.is_success);
        self.late_reads += self.candidates.drain(..).filter(late).count();
    }
}
