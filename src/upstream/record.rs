//! One call whose body is kept as it came: how the first body of a provider is recorded.

use std::sync::Arc;

use super::credentials::Credentials;
use super::gate::Terms;
use super::provider::Call;
use super::stop::Stop;
use super::{Operation, Upstream};
use crate::clock;
use crate::domain::{Priority, UpstreamError};

impl Upstream {
    /// Requests the first balance once, without a retry, and returns the body of a success as it came.
    ///
    /// # Errors
    /// Why there is no such body.
    pub async fn record(self: &Arc<Self>) -> Result<Vec<u8>, UpstreamError> {
        self.try_record().await.map_err(|stop| stop.error)
    }

    async fn try_record(self: &Arc<Self>) -> Result<Vec<u8>, Stop> {
        let settings = &self.provider.settings;
        let terms = Terms::alone(Priority::Plain, clock::now().monotonic + settings.deadline);
        let authorisation = match &*self.credentials {
            Credentials::Client(rotation) => self.live_token(rotation, &terms).await?.authorisation(),
            Credentials::Static(rotation) => (*rotation.choose(clock::now().monotonic)).clone(),
        };
        let Some(balance) = self.balances.first() else {
            return Err(Stop::refused(UpstreamError::Defect, std::time::Duration::ZERO));
        };
        let request = settings.adapter.request(&settings.balance_endpoint, &balance.selector, &authorisation);
        let request = request.map_err(|error| Stop::defect(&error))?;
        let call = Call { operation: Operation::Balance, request, gate: &self.gate, terms: &terms };
        self.provider.attempt(call, |answer, _| Ok(answer.body.to_vec())).await
    }
}
