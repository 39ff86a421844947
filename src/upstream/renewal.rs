//! Getting and renewing an account's token: the calls behind `token.rs`, which decides when they are due.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::timeout_at;

use super::credentials::{Credentials, Exchangeable};
use super::gate::Terms;
use super::provider::Call;
use super::rotation::Rotation;
use super::stop::Stop;
use super::{Operation, Token, Upstream};
use crate::domain::{Hold, HoldRow, Priority, UpstreamError};

/// The first and the longest pause after a renewal ahead of time failed.
const RETRY_PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));

impl Upstream {
    /// The account's token; asks for one where there is none, or waits for the read that is asking already.
    pub(super) async fn live_token(
        self: &Arc<Self>,
        rotation: &Rotation<Exchangeable>,
        terms: &Terms,
    ) -> Result<Arc<Token>, Stop> {
        let now = self.provider.now().monotonic;
        if let Some(token) = self.tokens.use_live(now) {
            if rotation.is_trial_due(now) {
                self.try_newest();
            }
            return Ok(token);
        }
        let turn = timeout_at(terms.deadline.into(), self.tokens.asking.lock()).await;
        let Ok(_turn) = turn else { return Err(self.busy()) };
        if self.tokens.use_live(self.provider.now().monotonic).is_none() {
            self.not_held()?;
            self.mint(rotation, terms).await?;
        }
        self.token_in_time(terms.deadline)
    }

    /// The token to repeat a call with that was answered with 401 or 403.
    pub(super) async fn token_after_refusal(
        self: &Arc<Self>,
        rotation: &Rotation<Exchangeable>,
        refused: &Arc<Token>,
        terms: &Terms,
    ) -> Result<Arc<Token>, Stop> {
        self.tokens.drop_refused(refused);
        let turn = timeout_at(terms.deadline.into(), self.tokens.asking.lock()).await;
        let Ok(_turn) = turn else { return Err(self.busy()) };
        if self.tokens.use_live(self.provider.now().monotonic).is_none() {
            self.not_held()?;
            self.tokens.take_refused_renewal(self.provider.now().monotonic).map_err(Stop::refused_again)?;
            self.mint(rotation, terms).await?;
        }
        self.token_in_time(terms.deadline)
    }

    /// A hold of the account may have begun while something was waited for.
    pub(super) fn not_held(&self) -> Result<(), Stop> {
        let now = self.provider.now().monotonic;
        let held = self
            .holds
            .held(now)
            .map(|(error, until)| Stop::refused(error, until.saturating_duration_since(now)));
        held.map_or(Ok(()), Err)
    }

    fn token_in_time(&self, deadline: Instant) -> Result<Arc<Token>, Stop> {
        let token = self.tokens.use_live(self.provider.now().monotonic);
        token.filter(|_| self.has_time_to_connect(deadline)).ok_or_else(|| self.busy())
    }

    /// Asks for a token with the newest credentials, and where they are refused with those in their place. Whoever calls
    /// holds the turn.
    async fn mint(self: &Arc<Self>, rotation: &Rotation<Exchangeable>, terms: &Terms) -> Result<(), Stop> {
        let chosen = rotation.choose(self.provider.now().monotonic);
        let result = self.ask_token(rotation, &chosen, terms).await;
        if result.as_ref().is_err_and(|stop| stop.error == UpstreamError::Refused)
            && let Some(other) = self.note_refused(rotation, &chosen)
        {
            return self.ask_token(rotation, &other, terms).await;
        }
        result
    }

    /// Tries the newest credentials again, behind the reads that go on with a token of those before it.
    fn try_newest(self: &Arc<Self>) {
        let account = Arc::clone(self);
        tokio::spawn(async move {
            let Credentials::Client(rotation) = &*account.credentials else { return };
            let Ok(_turn) = account.tokens.asking.try_lock() else { return };
            let now = account.provider.now().monotonic;
            if rotation.is_trial_due(now) && account.not_held().is_ok() {
                let deadline = now + account.provider.settings.deadline;
                let newest = rotation.choose(now);
                let terms = Terms::counted(Priority::Background, deadline, account.gate.store_wait());
                let result = account.ask_token(rotation, &newest, &terms).await;
                if let Err(stop) = result {
                    account.hold_if_throttled(&stop);
                    if stop.error == UpstreamError::Refused {
                        account.note_refused(rotation, &newest);
                    }
                }
            }
        });
    }

    /// Asks for a token and takes it into use. Whoever calls holds the turn.
    async fn ask_token(
        self: &Arc<Self>,
        rotation: &Rotation<Exchangeable>,
        credentials: &Arc<Exchangeable>,
        terms: &Terms,
    ) -> Result<(), Stop> {
        let request = credentials
            .exchange(&self.provider.settings.adapter, &self.provider.settings.token_endpoint)
            .map_err(|error| Stop::defect(&error))?;
        let call = Call { operation: Operation::Token, request, gate: &self.gate, terms };
        let issued = self
            .provider
            .attempt(call, |answer, sent| {
                let adapter = &self.provider.settings.adapter;
                let issued = credentials.parse_issued(adapter, &answer.body, sent.at.wall);
                Ok((issued.map_err(UpstreamError::Invalid)?, sent.at))
            })
            .await;
        let (issued, asked_at) = issued?;
        rotation.worked(credentials, self.provider.now().monotonic);
        let token = self.tokens.store(issued, asked_at);
        self.renew_ahead(token);
        Ok(())
    }

    /// Renews a token when its time comes and it was used, while it is the one in use; one task per token. It is renewed
    /// on the way of the configuration that is in force then.
    pub(super) fn renew_ahead(self: &Arc<Self>, token: Arc<Token>) {
        if !self.tokens.has_way() {
            self.tokens.renew_on(self);
        }
        let tokens = Arc::clone(&self.tokens);
        tokio::spawn(async move {
            tokio::time::sleep_until(token.renew_at.into()).await;
            // One that nobody uses is not renewed, and its life ends here.
            if timeout_at(token.expires_at.monotonic.into(), token.used()).await.is_err() {
                return;
            }
            let (mut pause, longest) = RETRY_PAUSES;
            while let Some(account) = tokens.way()
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

    /// One renewal ahead of time. Its failure holds nothing, since the old token lives; unless the provider asked
    /// us to slow down, which concerns the account.
    async fn renew(self: &Arc<Self>, token: &Arc<Token>) -> Result<(), Stop> {
        let Credentials::Client(rotation) = &*self.credentials else { return Ok(()) };
        let _turn = self.tokens.asking.lock().await;
        let now = self.provider.now().monotonic;
        if !self.wants_renewal(token) || self.holds.held(now).is_some() {
            return Err(Stop::refused(UpstreamError::Busy, RETRY_PAUSES.0));
        }
        let deadline = now + self.provider.settings.deadline;
        let result = self
            .mint(rotation, &Terms::counted(Priority::Background, deadline, self.gate.store_wait()))
            .await;
        if let Err(stop) = &result {
            tracing::warn!(
                account = %self.account,
                provider = %self.provider.name(),
                error = &stop.error as &dyn std::error::Error,
                "a token is not renewed ahead of time"
            );
            self.hold_if_throttled(stop);
        }
        result
    }

    /// A call that nobody waited for holds the account only if the provider asked us to slow down.
    fn hold_if_throttled(&self, stop: &Stop) {
        if matches!(stop.hold, Hold::AsTold(_) | Hold::Doubling { row: HoldRow::Throttled, .. }) {
            let now = self.provider.now().monotonic;
            self.holds.begin(stop.error, stop.hold, stop.sent_at.unwrap_or(now), now);
        }
    }
}
