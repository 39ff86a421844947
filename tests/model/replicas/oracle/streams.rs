//! Streams and notifications: no event is over the ceiling, the newest value arrives, and a storm costs few reads.

use super::answer::PROMISE;
use super::reads::LOOK_UP;
use super::tally::Seen;
use super::{Oracle, Verdict};
use crate::alone::clock::{Ms, SECOND};
use crate::replicas::schedule::{Ending, Stream};

/// The time within which notifications of one account count as one.
const TOGETHER: Ms = SECOND;
/// The largest difference of wall clocks that cannot change which of two balances is younger.
const ALIKE: Ms = SECOND;

/// The streams and notifications so far.
#[derive(Debug, Default)]
pub(super) struct Streams {
    open: Vec<Open>,
    pub(super) notified: Vec<Ms>,
}

#[derive(Clone, Debug)]
struct Open {
    opened: Ms,
    of: Stream,
    /// The request instant of the event that was written last.
    last: Option<Ms>,
}

impl Streams {
    pub(super) fn open(&mut self, now: Ms, of: &Stream) {
        self.open.push(Open { opened: now, of: of.clone(), last: None });
    }

    /// Whether a notification may have invalidated a balance requested at this moment.
    pub(super) fn is_notified_after(&self, requested_at: Ms) -> bool {
        self.notified.iter().any(|at| at + TOGETHER + SECOND >= requested_at)
    }
}

impl Oracle<'_> {
    /// An event may be written while its balance is below the ceiling.
    pub(super) fn may_stream(&mut self, stream: usize, amount: &str) -> Verdict {
        let Stream { balance, .. } = self.streams.open[stream].of;
        let requested_at = self.brought(amount, balance)?.requested_at();
        let age = self.now - requested_at;
        self.streams.open[stream].last = Some(requested_at);
        self.tally.note(Seen::Streamed);
        if age >= self.schedule.ages.max_age.min(PROMISE) {
            return Err(format!("promise 2: stream {stream} writes a balance requested {age} ms ago"));
        }
        Ok(())
    }

    /// While no message is lost, a stream has written the newest balance that its client had the time to read.
    pub(super) fn has_seen_the_newest(&mut self, stream: usize) -> Verdict {
        let Open { opened, of, last } = self.streams.open[stream].clone();
        if !self.schedule.is_calm() {
            return Ok(());
        }
        let skews = self.schedule.skews;
        let until = self.now - of.pause - SECOND;
        // While its replica reads the balance itself, the stream gets the result of that read.
        let is_reading = |replied: Ms| {
            self.reads.iter().any(|it| {
                (it.replica, it.balance) == (of.replica, of.balance)
                    && it.begun <= replied + LOOK_UP
                    && it.ended.is_none_or(|ended| ended.at >= until)
            })
        };
        let is_due = |request: &&super::Request| {
            let read = &self.reads[request.read];
            read.balance == of.balance
                && (skews[read.replica] - skews[of.replica]).abs() < ALIKE
                && request.brought.as_ref().is_some_and(|(_, age)| *age == 0)
                && request.replied.is_some_and(|replied| {
                    // A retry after an invalidation still has the read's earlier number.
                    let first = read.first_call.map_or(*request, |first| &self.requests[first]);
                    replied > opened + LOOK_UP
                        && replied < until
                        && !is_reading(replied)
                        && !self.is_invalidated_between(first, replied + LOOK_UP)
                })
                && self.now - request.at + ALIKE < self.schedule.ages.max_age
        };
        let newest = self.requests.iter().filter(is_due).map(|request| request.at).max();
        let Some(newest) = newest else { return Ok(()) };
        self.tally.note(Seen::Newest);
        if last.is_none_or(|last| last < newest) {
            return Err(format!(
                "stream {stream} never writes the balance requested at {newest} ms, last {last:?}"
            ));
        }
        Ok(())
    }

    /// Notifications cost at most two reads of a balance in a second.
    pub(super) fn may_read_behind(&mut self, balance: usize) -> Verdict {
        self.tally.note(Seen::ReadBehind);
        let is_kind = |ending: &Ending| matches!(ending, Ending::Success { age: 0 });
        let succeeds = self.schedule.replies.iter().all(|reply| is_kind(&reply.ending));
        if !self.schedule.is_calm() || !self.streams.open.is_empty() || !succeeds {
            return Ok(());
        }
        // Claiming a notification, and the look-up after it, delay a read a little.
        let since = self.now - TOGETHER + 2 * LOOK_UP;
        let is_counted = |request: &&super::Request| {
            let read = &self.reads[request.read];
            read.by.is_none() && read.balance == balance && request.at > since
        };
        // The current read is logged after it is judged.
        let reads = self.requests.iter().filter(is_counted).count() + 1;
        if reads > 2 {
            return Err(format!("{reads} reads of balance {balance} within a second"));
        }
        Ok(())
    }
}
