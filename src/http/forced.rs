//! The unit of the forced limit. A read costs one if only the caller's demand makes it necessary.

use std::time::Instant;

use super::caller::Caller;
use super::state::{Api, OpenAccount};
use crate::clock;
use crate::domain::{RetryAfter, UpstreamError};
use crate::gateway::Forced;

/// A unit of the forced limit that was taken for one read. It is spent unless it is given back.
pub(super) struct ForcedUnit<'a> {
    api: &'a Api,
    caller: &'a Caller,
    open: &'a OpenAccount,
    is_spent: bool,
}

impl<'a> ForcedUnit<'a> {
    /// Takes a unit for a read of this account.
    pub(super) fn take(
        api: &'a Api,
        caller: &'a Caller,
        open: &'a OpenAccount,
        now: Instant,
    ) -> Result<Self, RetryAfter> {
        caller.charge_forced(now)?;
        Ok(Self { api, caller, open, is_spent: true })
    }
}

impl Forced for ForcedUnit<'_> {
    fn give_back(mut self, error: UpstreamError) {
        self.is_spent = false;
        self.caller.give_forced_back();
        if error == UpstreamError::BudgetExhausted {
            self.api
                .long_lived
                .forced_log
                .note_exhausted_budget(self.open.account.name(), clock::monotonic());
        }
    }
}

impl Drop for ForcedUnit<'_> {
    fn drop(&mut self) {
        if self.is_spent {
            self.caller.note_forced_read();
            let (account, caller) = (self.open.account.name(), self.caller.name());
            self.api.long_lived.forced_log.note(account, caller, clock::monotonic());
        }
    }
}
