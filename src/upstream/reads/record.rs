//! Records the first body of a provider: one call whose body is kept unchanged.

use std::sync::Arc;

use crate::clock;
use crate::domain::{Priority, UpstreamError};
use crate::metrics::Operation;
use crate::upstream::Upstream;
use crate::upstream::call::Call;
use crate::upstream::credentials::Credentials;
use crate::upstream::failure::FailedRead;
use crate::upstream::read_context::ReadContext;

impl Upstream {
    /// Requests the first balance once, without a retry, and returns the body of a success as it came.
    ///
    /// # Errors
    /// [`UpstreamError`] when no such body arrived.
    pub async fn record(self: &Arc<Self>) -> Result<Vec<u8>, UpstreamError> {
        self.try_record().await.map_err(|failed| failed.error)
    }

    async fn try_record(self: &Arc<Self>) -> Result<Vec<u8>, FailedRead> {
        let settings = &self.provider.settings;
        let context = ReadContext::alone(Priority::Plain, clock::now().monotonic + settings.deadline);
        let authorisation = match &*self.credentials {
            Credentials::Client(rotation) => self.live_token(rotation, &context).await?.authorisation(),
            Credentials::Static(rotation) => (*rotation.choose(clock::now().monotonic)).clone(),
        };
        let Some(balance) = self.balances.first() else {
            return Err(FailedRead::unsent(UpstreamError::Defect, std::time::Duration::ZERO));
        };
        let request = settings.adapter.request(&settings.balance_endpoint, &balance.selector, &authorisation);
        let request = request.map_err(|error| FailedRead::defect(&error))?;
        let call = Call { operation: Operation::Balance, request, gate: &self.gate, context: &context };
        self.provider.attempt(call, |answer, _| Ok(answer.body.to_vec())).await
    }
}
