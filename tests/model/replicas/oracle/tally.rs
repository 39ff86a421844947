//! Counts the cases that occurred, to show that the schedules reach every rule.

use std::collections::BTreeSet;

/// One case that a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Seen {
    // Answers.
    OwnMemory,
    OwnRead,
    MemoryFromElsewhere,
    ReadElsewhere,
    Refused,
    // The rules that applied to them.
    KnownInvalidation,
    Younger,
    NewRead,
    PassedOn,
    // What comes before them.
    SharedRead,
    LonelyRead,
    SharedMark,
    LonelyMark,
    Linked,
    Broken,
    // Rules of time.
    AfterAHold,
    Stale,
    Spent,
    ExactBudget,
    NewEpoch,
    Stored,
    SlowTaker,
    Streamed,
    Newest,
    ReadBehind,
    Units,
    LocalUnits,
    NoUnits,
}

impl Seen {
    /// All cases that the schedules must reach.
    const ALL: [Self; 28] = [
        Self::OwnMemory,
        Self::OwnRead,
        Self::MemoryFromElsewhere,
        Self::ReadElsewhere,
        Self::Refused,
        Self::KnownInvalidation,
        Self::Younger,
        Self::NewRead,
        Self::PassedOn,
        Self::SharedRead,
        Self::LonelyRead,
        Self::SharedMark,
        Self::LonelyMark,
        Self::Linked,
        Self::Broken,
        Self::AfterAHold,
        Self::Stale,
        Self::Spent,
        Self::ExactBudget,
        Self::NewEpoch,
        Self::Stored,
        Self::SlowTaker,
        Self::Streamed,
        Self::Newest,
        Self::ReadBehind,
        Self::Units,
        Self::LocalUnits,
        Self::NoUnits,
    ];
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
