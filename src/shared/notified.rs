//! Which replica acts on a provider's notifications: one replica for all, at most once per pause.

use std::time::Duration;

use serde::Serialize;

use super::account::SharedAccount;
use super::error::StoreError;
use super::script::Action;
use crate::domain::turn::micros;

/// Whether this replica acts on a notification of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// This replica acts.
    Ours,
    /// A replica has already acted since the notification came.
    Done,
    /// A replica acted shortly before the notification came; claim it again after this time.
    After(Duration),
}

/// The script's arguments.
#[derive(Serialize)]
struct NotifiedArguments {
    /// How long ago the notification came, in microseconds.
    since: u64,
    /// The shortest time between two acts, in microseconds.
    pause: u64,
    /// In milliseconds.
    life: u64,
}

impl SharedAccount {
    /// Claims a notification that came `since` ago.
    pub(super) async fn claim(&self, since: Duration, pause: Duration) -> Claim {
        self.ask_for_claim(since, pause).await.unwrap_or(Claim::Ours)
    }

    async fn ask_for_claim(&self, since: Duration, pause: Duration) -> Result<Claim, StoreError> {
        let (keys, store) = ([self.state_key.as_str()], self.store());
        let arguments = NotifiedArguments { since: micros(since), pause: micros(pause), life: self.life };
        let answered = store.run(Action::Notified, &keys, &arguments, &mut store.wait()).await;
        let answer = self.checked(answered, None)?.answer;
        match answer.kind() {
            "ours" => Ok(Claim::Ours),
            "done" => Ok(Claim::Done),
            "wait" => Ok(Claim::After(Duration::from_micros(answer.number(0)?).min(pause))),
            _ => Err(self.protocol_error(Action::Notified.operation())),
        }
    }
}
