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
    /// Notes how an attempt ended. What says nothing of the provider leaves the row as it is.
    pub(super) fn note(&mut self, now: Ms, error: Option<UpstreamError>) {
        match error {
            Some(UpstreamError::Status(500..)) => {
                self.row += 1;
                // While it is open, later failures change nothing; a failed probe opens it again.
                let is_probe = self.opened.is_some_and(|opened| now >= opened + cooldown());
                if self.row == BREAKER.failures || is_probe {
                    self.opened = Some(now);
                }
            }
            Some(UpstreamError::Unreachable(_) | UpstreamError::Timeout | UpstreamError::Defect) => {}
            Some(_) | None => (self.row, self.opened) = (0, None),
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
