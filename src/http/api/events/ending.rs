//! Decides when a stream ends: at the maximum age of a connection, or in a drain. After a reload, `stream.rs` decides
//! whether the stream continues.

use std::sync::Arc;
use std::time::Instant;

use tokio::time::sleep_until;

use crate::clock;
use crate::http::state::{Api, LongLived};

/// The end of one stream.
pub(super) struct Ending {
    long_lived: Arc<LongLived>,
    /// The moment of the end: `max_connection_age` after the start, or earlier in a drain.
    at: Instant,
    is_draining: bool,
}

impl Ending {
    /// The end of a stream that opens now.
    pub(super) fn of(api: &Api, opened: Instant) -> Self {
        api.long_lived.stream_ends.open();
        Self {
            long_lived: Arc::clone(&api.long_lived),
            at: opened + api.max_connection_age,
            is_draining: false,
        }
    }

    /// Waits until the stream must end. The wait may be dropped and started again.
    pub(super) async fn wait(&mut self, api: &Api) {
        let shutdown = &self.long_lived.shutdown;
        if !self.is_draining {
            tokio::select! {
                biased;
                () = shutdown.draining() => {}
                () = sleep_until(self.at.into()) => return,
            }
            self.is_draining = true;
            self.at = self.at.min(self.long_lived.stream_ends.next_end(clock::monotonic(), api.drain_delay));
        }
        tokio::select! {
            biased;
            () = shutdown.stopped_accepting() => {}
            () = sleep_until(self.at.into()) => {}
        }
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.long_lived.stream_ends.close();
    }
}
