//! The watches of the configuration in force, as one unit that starts and stops.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::gateway::Gateway;

/// The running watches.
pub(super) struct Watches {
    /// Ends the running watches and all later ones.
    end: CancellationToken,
    /// Stops the running watches.
    stop: CancellationToken,
}

impl Watches {
    /// Starts the watches of a gateway. They, or the watches of later gateways, run until `end`.
    pub(super) fn start(gateway: &Arc<Gateway>, end: CancellationToken) -> Self {
        let mut watches = Self { stop: end.child_token(), end };
        watches.restart(gateway);
        watches
    }

    /// Stops the running watches and starts those of another gateway.
    pub(super) fn restart(&mut self, gateway: &Arc<Gateway>) {
        self.stop.cancel();
        self.stop = self.end.child_token();
        let (gateway, stop) = (Arc::clone(gateway), self.stop.clone());
        tokio::spawn(async move { gateway.watch(&stop).await });
    }
}
