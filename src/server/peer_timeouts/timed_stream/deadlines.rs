//! The deadlines of a stream: of a head, of silence, and of bytes that the peer must have received.

use std::io;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::TimedStream;
use crate::server::wire::Wire;

/// Bounds of the interval between checks whether the kernel has sent the due bytes.
const LONGEST_CHECK: Duration = Duration::from_secs(1);
const SHORTEST_CHECK: Duration = Duration::from_millis(5);

impl<T: Wire> TimedStream<T> {
    /// The deadline for the peer's next bytes; `None` while the peer waits for our answer.
    fn read_deadline(&mut self) -> Option<Instant> {
        let limits = self.state.limits;
        if let Some(since) = self.state.unread_since() {
            Some(since + limits.request_timeout)
        } else if self.state.is_busy() {
            None
        } else if self.awaits_head() {
            Some(*self.head_since.get_or_insert_with(Instant::now) + limits.header_timeout)
        } else {
            Some(self.state.idle_since() + limits.idle_timeout)
        }
    }

    /// Ready with the error once the deadline has passed. The timer wakes the task at that moment.
    fn poll_late(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<io::Error> {
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if timer.deadline() > deadline {
            timer.as_mut().reset(deadline);
        }
        ready!(timer.as_mut().poll(cx));
        if timer.deadline() < deadline {
            timer.as_mut().reset(deadline);
            ready!(timer.as_mut().poll(cx));
        }
        Poll::Ready(io::ErrorKind::TimedOut.into())
    }

    /// Checks at intervals whether the kernel has sent all due bytes. Resets the connection after the deadline.
    fn check_due(&mut self, now: Instant) -> io::Result<()> {
        let Some(due) = self.state.due() else { return Ok(()) };
        if self.check_at.is_some_and(|check_at| now < check_at) && now < due {
            return Ok(());
        }
        if self.check_at.is_some() && self.blocked_since.is_none() && !self.io.has_unsent() {
            self.state.untaken.note_all_sent();
        }
        let Some(due) = self.state.due() else {
            self.check_at = None;
            return Ok(());
        };
        let left = due.saturating_duration_since(now);
        if left.is_zero() {
            return Err(self.reset());
        }
        self.check_at = Some(now + (left / 2).clamp(SHORTEST_CHECK, LONGEST_CHECK).min(left));
        Ok(())
    }

    /// Checks the deadline before a write: after a suspend of the machine it may have passed.
    pub(super) fn check_before_write(&mut self) -> io::Result<()> {
        if self.state.due().is_none() {
            return Ok(());
        }
        let now = Instant::now();
        self.state.wrote.store(self.state.micros(now), Ordering::Release);
        self.check_due(now)
    }

    /// Makes the close a reset, which drops the bytes that the kernel holds. Returns the error.
    fn reset(&self) -> io::Error {
        self.io.reset_on_close();
        io::ErrorKind::TimedOut.into()
    }

    /// Repeats the check for due bytes; ready with the error when a deadline has passed.
    pub(super) fn poll_due(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        while let Some(due) = self.state.due() {
            if self.is_check_scheduled(cx, due) {
                break;
            }
            let now = Instant::now();
            if let Err(error) = self.check_due(now) {
                return Poll::Ready(error);
            }
            let Some(check_at) = self.check_at else { break };
            if check_at > now {
                // Ready only if the deadline has passed since the check.
                let _ = ready!(self.poll_late(cx, check_at));
            }
        }
        Poll::Pending
    }

    /// Whether the timer is still to wake the task for the next check, at or before `due`. Then the clock need not be
    /// read now.
    fn is_check_scheduled(&mut self, cx: &mut Context<'_>, due: Instant) -> bool {
        let Some(check_at) = self.check_at.filter(|check_at| *check_at <= due) else { return false };
        let timer = self.timer.as_mut().filter(|timer| timer.deadline() <= check_at);
        timer.is_some_and(|timer| timer.as_mut().poll(cx).is_pending())
    }

    pub(super) fn poll_late_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        if let Poll::Ready(error) = self.poll_due(cx) {
            return Poll::Ready(error);
        }
        let Some(deadline) = self.read_deadline() else { return Poll::Pending };
        let error = ready!(self.poll_late(cx, deadline));
        // A peer that never sent a byte is idle, not late with a head.
        let is_late = self.has_read && !self.state.is_busy() && self.awaits_head();
        self.state.is_late.fetch_or(is_late, Ordering::AcqRel);
        if self.state.unread_since().is_some() {
            self.io.reset_on_close();
        }
        Poll::Ready(error)
    }

    pub(super) fn bound_write<O>(
        &mut self,
        cx: &mut Context<'_>,
        write: Poll<io::Result<O>>,
    ) -> Poll<io::Result<O>> {
        if write.is_ready() {
            return write;
        }
        let since = *self.blocked_since.get_or_insert_with(Instant::now);
        let deadline = since + self.state.limits.request_timeout;
        let deadline = self.state.due().map_or(deadline, |due| deadline.min(due));
        self.poll_late(cx, deadline).map(|_| Err(self.reset()))
    }
}
