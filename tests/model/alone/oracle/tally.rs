//! Counts the cases that occurred, to show that the schedules reach every rule.

use std::collections::BTreeSet;

use super::caller::Expected;
use balance_gateway::cache::Absence;
use balance_gateway::domain::UpstreamError;
use balance_gateway::gateway::{Refusal, Via};

/// One case that a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Seen {
    // Answers.
    Hit,
    StaleWhileFailing,
    LastSnapshot,
    FirstRead,
    ReadOverOld,
    ForcedRead,
    SharedRead,
    Disabled,
    NotCached,
    DeadlineExceeded,
    ForcedLimit,
    HeldFailure,
    FailedRead,
    TooOldByAge,
    OverTheCeilingTwice,
    Defect,
    // What comes before them.
    Charge,
    BackgroundRead,
    PlainRead,
    DemandedRead,
    CertainRead,
    OlderAnswer,
    CeilingPassedAfterArrival,
    OwnWriteRead,
    ForgottenRefusal,
}

impl Seen {
    /// All cases that the schedules must reach.
    const ALL: [Self; 24] = [
        Self::Hit,
        Self::StaleWhileFailing,
        Self::LastSnapshot,
        Self::FirstRead,
        Self::ReadOverOld,
        Self::ForcedRead,
        Self::SharedRead,
        Self::NotCached,
        Self::DeadlineExceeded,
        Self::ForcedLimit,
        Self::HeldFailure,
        Self::FailedRead,
        Self::TooOldByAge,
        Self::OverTheCeilingTwice,
        Self::Defect,
        Self::Charge,
        Self::BackgroundRead,
        Self::PlainRead,
        Self::DemandedRead,
        Self::CertainRead,
        Self::OlderAnswer,
        Self::CeilingPassedAfterArrival,
        Self::OwnWriteRead,
        Self::ForgottenRefusal,
    ];

    pub(super) fn in_answer(given: Expected, is_at_once: bool) -> Self {
        match given {
            Expected::Served { via, .. } => match via {
                Via::Fallback => Self::LastSnapshot,
                Via::Memory { is_failing: false } => Self::Hit,
                Via::Memory { is_failing: true } => Self::StaleWhileFailing,
                Via::Read { is_collapsed: true, .. } => Self::SharedRead,
                Via::Read { absence: Absence::UriMiss, .. } => Self::FirstRead,
                Via::Read { absence: Absence::Stale, .. } => Self::ReadOverOld,
                Via::Read { absence: Absence::Request, .. } => Self::ForcedRead,
            },
            Expected::Refused(refusal) => match refusal {
                Refusal::Disabled => Self::Disabled,
                Refusal::NotCached => Self::NotCached,
                Refusal::DeadlineExceeded => Self::DeadlineExceeded,
                Refusal::ForcedLimit(_) => Self::ForcedLimit,
                Refusal::Failed(..) if is_at_once => Self::HeldFailure,
                Refusal::Failed(UpstreamError::Timeout, None) => Self::OverTheCeilingTwice,
                Refusal::Failed(UpstreamError::Invalid(_), None) => Self::TooOldByAge,
                Refusal::Failed(UpstreamError::Defect, _) => Self::Defect,
                Refusal::Failed(..) => Self::FailedRead,
            },
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Tally(BTreeSet<Seen>);

impl Tally {
    pub(crate) fn note(&mut self, seen: Seen) {
        self.0.insert(seen);
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    pub(crate) fn missing(&self) -> Vec<Seen> {
        Seen::ALL.into_iter().filter(|seen| !self.0.contains(seen)).collect()
    }
}
