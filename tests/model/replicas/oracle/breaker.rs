//! The breaker: after a row of failures that the provider answered, no replica calls it for a while.

use super::Verdict;
use super::reads::LOOK_UP;
use crate::alone::clock::Ms;
use crate::replicas::provider::BREAKER;
use crate::replicas::schedule::Schedule;
use balance_gateway::domain::UpstreamError;

/// The row of failed attempts of all replicas.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    row: u32,
    opened: Option<Ms>,
}

impl Breaker {
    /// Notes how an attempt ended that was sent then. Only a balance ends the row.
    pub(super) fn note(&mut self, now: Ms, sent: Ms, error: Option<UpstreamError>) {
        if let Some(opened) = self.opened {
            // An attempt that was sent before the breaker opened does not count.
            if sent >= opened + cooldown() {
                self.end_probe(now, error);
            }
            return;
        }
        match error {
            Some(UpstreamError::Status(500..)) => self.row += 1,
            None => self.row = 0,
            Some(_) => {}
        }
        if self.row >= BREAKER.failures {
            self.opened = Some(now);
        }
    }

    fn end_probe(&mut self, now: Ms, error: Option<UpstreamError>) {
        match error {
            Some(UpstreamError::Status(500..)) => self.opened = Some(now),
            Some(UpstreamError::Unreachable(_) | UpstreamError::Timeout | UpstreamError::Defect) => {}
            Some(_) | None => *self = Self::default(),
        }
    }

    /// Whether a call may leave now, while so many that were sent since it opened are under way. Calls that were
    /// admitted before it opened still may.
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

    /// When it opened last, without a success since.
    pub(super) fn opened(&self) -> Option<Ms> {
        self.opened
    }
}

fn cooldown() -> Ms {
    Ms::try_from(BREAKER.cooldown.as_millis()).unwrap()
}
