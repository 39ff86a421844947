//! Requests and renews the token of an account. `token.rs` decides when.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::timeout_at;

use crate::domain::{FailureSeries, Hold, Priority, UpstreamError};
use crate::metrics::Operation;
use crate::upstream::Upstream;
use crate::upstream::call::Call;
use crate::upstream::credentials::{Credentials, Exchangeable, Rotation, Token};
use crate::upstream::failure::FailedRead;
use crate::upstream::read_context::ReadContext;
use crate::upstream::targets;

/// The first and the longest pause after a renewal ahead of time failed.
const RETRY_PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));

impl Upstream {
    /// The account's token. Without one it requests one, or waits for the read that already does.
    pub(super) async fn live_token(
        self: &Arc<Self>,
        rotation: &Rotation<Exchangeable>,
        context: &ReadContext,
    ) -> Result<Arc<Token>, FailedRead> {
        let now = self.provider.now().monotonic;
        if let Some(token) = self.tokens.use_live(now) {
            if rotation.is_trial_due(now) {
                self.try_newest();
            }
            return Ok(token);
        }
        let lock = timeout_at(context.deadline.into(), self.tokens.minting.lock()).await;
        let Ok(_minting) = lock else { return Err(self.busy()) };
        if self.tokens.use_live(self.provider.now().monotonic).is_none() {
            self.check_hold()?;
            self.mint(rotation, context).await?;
        }
        self.token_in_time(context.deadline)
    }

    /// The token for the second try of a call that was answered with 401 or 403.
    pub(super) async fn token_after_refusal(
        self: &Arc<Self>,
        rotation: &Rotation<Exchangeable>,
        refused: &Arc<Token>,
        context: &ReadContext,
    ) -> Result<Arc<Token>, FailedRead> {
        self.tokens.drop_refused(refused);
        let lock = timeout_at(context.deadline.into(), self.tokens.minting.lock()).await;
        let Ok(_minting) = lock else { return Err(self.busy()) };
        if self.tokens.use_live(self.provider.now().monotonic).is_none() {
            self.check_hold()?;
            self.tokens
                .take_refused_renewal(self.provider.now().monotonic)
                .map_err(FailedRead::refused_again)?;
            self.mint(rotation, context).await?;
        }
        self.token_in_time(context.deadline)
    }

    /// Fails if the account is held now: a hold may have begun while this read waited.
    pub(super) fn check_hold(&self) -> Result<(), FailedRead> {
        let now = self.provider.now().monotonic;
        let held = self
            .holds
            .held(now)
            .map(|(error, until)| FailedRead::unsent(error, until.saturating_duration_since(now)));
        held.map_or(Ok(()), Err)
    }

    fn token_in_time(&self, deadline: Instant) -> Result<Arc<Token>, FailedRead> {
        let token = self.tokens.use_live(self.provider.now().monotonic);
        token.filter(|_| self.has_time_to_connect(deadline)).ok_or_else(|| self.busy())
    }

    /// Requests a token with the newest credentials. If they are refused, it uses their replacement. The caller holds
    /// the lock `minting`.
    async fn mint(
        self: &Arc<Self>,
        rotation: &Rotation<Exchangeable>,
        context: &ReadContext,
    ) -> Result<(), FailedRead> {
        let chosen = rotation.choose(self.provider.now().monotonic);
        let result = self.ask_token(rotation, &chosen, context).await;
        if result.as_ref().is_err_and(|failed| failed.error == UpstreamError::Refused)
            && let Some(other) = self.note_refused(rotation, &chosen)
        {
            return self.ask_token(rotation, &other, context).await;
        }
        result
    }

    /// Tries the newest credentials again in the background. Meanwhile reads use a token of the previous ones.
    fn try_newest(self: &Arc<Self>) {
        let account = Arc::clone(self);
        tokio::spawn(async move {
            let Credentials::Client(rotation) = &*account.credentials else { return };
            let Ok(_minting) = account.tokens.minting.try_lock() else { return };
            let now = account.provider.now().monotonic;
            if rotation.is_trial_due(now) && account.check_hold().is_ok() {
                let deadline = now + account.provider.settings.deadline;
                let newest = rotation.choose(now);
                let context = ReadContext::counted(Priority::Background, deadline, account.gate.store_wait());
                let result = account.ask_token(rotation, &newest, &context).await;
                if let Err(failed) = result {
                    account.hold_if_throttled(&failed);
                    if failed.error == UpstreamError::Refused {
                        account.note_refused(rotation, &newest);
                    }
                }
            }
        });
    }

    /// Requests a token and takes it into use. The caller holds the lock `minting`.
    async fn ask_token(
        self: &Arc<Self>,
        rotation: &Rotation<Exchangeable>,
        credentials: &Arc<Exchangeable>,
        context: &ReadContext,
    ) -> Result<(), FailedRead> {
        let request = credentials
            .exchange(&self.provider.settings.adapter, &self.provider.settings.token_endpoint)
            .map_err(|error| FailedRead::defect(&error))?;
        let call = Call { operation: Operation::Token, request, gate: &self.gate, context };
        let issued = self
            .provider
            .attempt(call, |answer, sent| {
                let adapter = &self.provider.settings.adapter;
                let issued = credentials.parse_issued(adapter, &answer.body, sent.moment.wall);
                Ok((issued.map_err(UpstreamError::Invalid)?, sent.moment))
            })
            .await;
        let (issued, asked_at) = issued?;
        rotation.worked(credentials, self.provider.now().monotonic);
        let token = self.tokens.store(issued, asked_at);
        self.renew_ahead(token);
        Ok(())
    }

    /// Renews a token when it is due, if it was used and is still the current one. Each token has one task. The upstream
    /// of the configuration in force at that time renews it.
    pub(in crate::upstream) fn renew_ahead(self: &Arc<Self>, token: Arc<Token>) {
        if !self.tokens.has_renewer() {
            self.tokens.renew_by(self);
        }
        let tokens = Arc::clone(&self.tokens);
        tokio::spawn(async move {
            tokio::time::sleep_until(token.renew_at.into()).await;
            // An unused token is not renewed: it expires here.
            if timeout_at(token.expires_at.monotonic.into(), token.used()).await.is_err() {
                return;
            }
            let (mut pause, longest) = RETRY_PAUSES;
            while let Some(account) = tokens.renewer()
                && account.wants_renewal(&token)
            {
                if account.renew(&token).await.is_ok() {
                    return;
                }
                drop(account);
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(longest);
            }
        });
    }

    fn wants_renewal(&self, token: &Arc<Token>) -> bool {
        self.is_enabled && self.tokens.is_current(token) && token.is_live(self.provider.now().monotonic)
    }

    /// One renewal ahead of time. Its failure causes no hold, because the old token is still valid. Only a 429, or 503 with
    /// `Retry-After`, holds the account.
    async fn renew(self: &Arc<Self>, token: &Arc<Token>) -> Result<(), FailedRead> {
        let Credentials::Client(rotation) = &*self.credentials else { return Ok(()) };
        let _minting = self.tokens.minting.lock().await;
        let now = self.provider.now().monotonic;
        if !self.wants_renewal(token) || self.holds.held(now).is_some() {
            return Err(FailedRead::unsent(UpstreamError::Busy, RETRY_PAUSES.0));
        }
        let deadline = now + self.provider.settings.deadline;
        let result = self
            .mint(rotation, &ReadContext::counted(Priority::Background, deadline, self.gate.store_wait()))
            .await;
        if let Err(failed) = &result {
            tracing::warn!(
                target: targets::RENEWAL,
                account = %self.account,
                provider = %self.provider.name(),
                error = &failed.error as &dyn std::error::Error,
                "renewing a token ahead of time failed"
            );
            self.hold_if_throttled(failed);
        }
        result
    }

    /// Holds the account if the provider asked us to slow down. No other failure of a background call does.
    fn hold_if_throttled(&self, failed: &FailedRead) {
        if matches!(
            failed.hold,
            Hold::RetryAfter(_) | Hold::Doubling { series: FailureSeries::Throttled, .. }
        ) {
            let now = self.provider.now().monotonic;
            self.holds.begin(failed.error, failed.hold, failed.sent_at.unwrap_or(now), now);
        }
    }
}
