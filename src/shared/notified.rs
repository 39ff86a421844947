//! Which replica acts on a provider's notifications: one of them, once in a while, for all.

use std::time::Duration;

use serde::Serialize;

use super::account::LIFE;
use super::script::Action;
use super::store::Trouble;
use super::{Shared, SharedAccount};
use crate::domain::BalanceKey;
use crate::domain::turn::micros;

/// Who acts on a notification of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// This replica.
    Ours,
    /// Another replica has acted since it came.
    Done,
    /// A replica has acted shortly before it came; ask again after this.
    After(Duration),
}

/// What the script is asked.
#[derive(Serialize)]
struct Ask {
    /// How long ago the notification came.
    since: u64,
    pause: u64,
    /// In milliseconds.
    life: u64,
}

impl Shared {
    /// Claims a notification that came `since` ago for the account of a balance. Replicas act once in a `pause`, each
    /// for itself while the store is of no use.
    pub async fn claim(&self, key: &BalanceKey, since: Duration, pause: Duration) -> Claim {
        if !self.is_sharing() {
            return Claim::Ours;
        }
        let Some((account, _)) = self.find(key) else { return Claim::Ours };
        self.ask_for_claim(&account, since, pause).await.unwrap_or(Claim::Ours)
    }

    async fn ask_for_claim(
        &self,
        account: &SharedAccount,
        since: Duration,
        pause: Duration,
    ) -> Result<Claim, Trouble> {
        let keys = [account.state_key.as_str()];
        let ask = Ask { since: micros(since), pause: micros(pause), life: LIFE };
        let answered = self.store.run(Action::Notified, &keys, &ask, &mut self.store.wait()).await;
        let answer = account.checked(answered, None)?.answer;
        match answer.kind() {
            "ours" => Ok(Claim::Ours),
            "done" => Ok(Claim::Done),
            "wait" => Ok(Claim::After(Duration::from_micros(answer.number(0)?).min(pause))),
            _ => Err(account.protocol_error(Action::Notified.operation())),
        }
    }
}
