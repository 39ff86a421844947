//! The breaker: after a row of failures that the provider answered, no replica calls it for a while.

use super::Verdict;
use super::reads::LOOK_UP;
use crate::alone::clock::Ms;
use crate::replicas::provider::BREAKER;
use crate::replicas::schedule::Schedule;
use balance_gateway::domain::UpstreamError;

/// A breaker with its failed attempts in a row: the common one of all replicas, or the own one of one replica.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    row: u32,
    opened: Option<Ms>,
    /// When a probe last closed it.
    closed: Option<Ms>,
    /// Whether it is the own breaker of one replica. That one also counts calls without an answer.
    is_own: bool,
}

impl Breaker {
    pub(super) fn of_one_replica() -> Self {
        Self { is_own: true, ..Self::default() }
    }

    fn is_failure(&self, error: UpstreamError) -> bool {
        let is_silence = matches!(error, UpstreamError::Unreachable(_) | UpstreamError::Timeout);
        matches!(error, UpstreamError::Status(500..)) || self.is_own && is_silence
    }

    /// Records the end of an attempt that was sent at this time. Only a balance ends the row of failures.
    pub(super) fn note(&mut self, now: Ms, sent: Ms, error: Option<UpstreamError>) {
        if let Some(opened) = self.opened {
            // An attempt that was sent before the breaker opened does not count.
            if sent >= opened + cooldown() {
                self.end_probe(now, error);
            }
            return;
        }
        match error {
            Some(error) if self.is_failure(error) => self.row += 1,
            None => self.row = 0,
            Some(_) => {}
        }
        if self.row >= BREAKER.failures {
            self.opened = Some(now);
        }
    }

    fn end_probe(&mut self, now: Ms, error: Option<UpstreamError>) {
        match error {
            Some(error) if self.is_failure(error) => self.opened = Some(now),
            Some(UpstreamError::Unreachable(_) | UpstreamError::Timeout | UpstreamError::Defect) => {}
            Some(_) | None => (self.row, self.opened, self.closed) = (0, None, Some(now)),
        }
    }

    /// Whether a call may be sent now, while this many calls sent since the breaker opened are in flight. Calls that
    /// were admitted before it opened may still be sent.
    pub(super) fn may_call(&self, now: Ms, schedule: &Schedule, probes: usize) -> Verdict {
        let Some(opened) = self.opened.filter(|_| schedule.is_calm()) else { return Ok(()) };
        if now > opened + LOOK_UP && now < opened + cooldown() {
            return Err(format!("a call {} ms after the breaker opened", now - opened));
        }
        if now >= opened + cooldown() && probes > 0 {
            return Err(format!("a second probe {} ms after the breaker opened", now - opened));
        }
        Ok(())
    }

    /// Whether no replica may make an attempt now.
    pub(super) fn suspends(&self, now: Ms) -> bool {
        self.opened.is_some_and(|opened| now < opened + cooldown() + LOOK_UP)
    }

    /// Whether it was open before this read began and still is, so that the read was not allowed to begin.
    pub(super) fn is_open_for(&self, begun: Ms, now: Ms) -> bool {
        self.opened.is_some_and(|opened| opened + LOOK_UP < begun && now < opened + cooldown())
    }

    /// Whether it is open, or was until just now.
    pub(super) fn was_open(&self, now: Ms) -> bool {
        self.opened.is_some() || self.closed.is_some_and(|closed| now < closed + LOOK_UP)
    }

    /// When the breaker last opened, if no success came since.
    pub(super) fn opened(&self) -> Option<Ms> {
        self.opened
    }
}

fn cooldown() -> Ms {
    Ms::try_from(BREAKER.cooldown.as_millis()).unwrap()
}
