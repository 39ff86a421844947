//! A running read of another replica.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::error::Unavailable;
use super::tier::Tier;
use crate::domain::Turn;

/// A running read of another replica.
pub(super) struct Running {
    /// Its turn.
    pub(super) turn: Turn,
    /// Its lease, which another replica takes over when it expires.
    pub(super) token: String,
    ends: watch::Receiver<u64>,
    tier: Arc<Tier>,
}

impl Running {
    pub(super) fn new(turn: Turn, token: String, ends: watch::Receiver<u64>, tier: Arc<Tier>) -> Self {
        Self { turn, token, ends, tier }
    }

    /// Waits for the end of the read, for at most `longest`; false if it has not ended. It is an error if no message
    /// would arrive.
    pub(super) async fn ended(&mut self, longest: Duration) -> Result<bool, Unavailable> {
        let number = self.turn.number;
        tokio::select! {
            biased;
            ended = self.ends.wait_for(|ended| *ended >= number) => ended.map(|_| true).map_err(|_| Unavailable),
            () = self.tier.silence() => Err(Unavailable),
            () = tokio::time::sleep(longest) => Ok(false),
        }
    }
}
