//! One subscription: the balances that it follows, and its inbox.

use std::sync::Arc;
use std::time::Duration;

use super::channel::{Channel, Follower};
use super::inbox::Inbox;
use super::report::Report;
use crate::domain::Snapshot;
use crate::gateway::refusal::Refusal;

/// Follows some balances until it is dropped.
#[derive(Debug)]
pub struct Subscription {
    inbox: Arc<Inbox>,
    /// `None` for a balance of a disabled account: it has no events.
    followed: Vec<Option<Follower>>,
}

impl Subscription {
    /// Follows these channels, and keeps each balance at most this old.
    pub(in crate::gateway) fn new(channels: Vec<Option<(Arc<Channel>, Duration)>>) -> Self {
        let inbox = Arc::new(Inbox::of(channels.len()));
        let follow = |(index, channel): (usize, Option<(Arc<Channel>, Duration)>)| {
            channel.map(|(channel, refresh)| channel.follow(&inbox, index, refresh))
        };
        let followed = channels.into_iter().enumerate().map(follow).collect();
        Self { inbox, followed }
    }

    /// Adds the state of a balance that was looked up. An event since the look-up takes precedence.
    pub fn add_current(&self, index: usize, current: Result<Arc<Snapshot>, Refusal>) {
        match (current, self.followed.get(index)) {
            (Ok(snapshot), Some(Some(follower))) => {
                self.inbox.add_current(index, &follower.report_of(snapshot));
            }
            (Ok(_), _) => {}
            (Err(refusal), _) => self.inbox.add_problem(index, refusal),
        }
    }

    /// Records the snapshot that the subscriber already has, so that it causes no event.
    pub fn note_known(&self, index: usize, report: &Arc<Report>) {
        self.inbox.note_known(index, report);
    }

    /// Where events arrive.
    #[must_use]
    pub fn inbox(&self) -> &Arc<Inbox> {
        &self.inbox
    }
}
