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
    /// The token of its lease. Another replica may take the lease over when it expires.
    pub(super) token: String,
    ends: watch::Receiver<u64>,
    tier: Arc<Tier>,
}

impl Running {
    pub(super) fn new(turn: Turn, token: String, ends: watch::Receiver<u64>, tier: Arc<Tier>) -> Self {
        Self { turn, token, ends, tier }
    }

    /// Waits until the read ends, for at most `longest`. Returns false if it has not ended by then. Fails when this
    /// replica stops sharing, because no message would arrive.
    pub(super) async fn ended(&mut self, longest: Duration) -> Result<bool, Unavailable> {
        let number = self.turn.number;
        tokio::select! {
            biased;
            ended = self.ends.wait_for(|ended| *ended >= number) => ended.map(|_| true).map_err(|_| Unavailable),
            () = self.tier.wait_until_alone() => Err(Unavailable),
            () = tokio::time::sleep(longest) => Ok(false),
        }
    }
}
