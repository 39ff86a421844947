//! Records the first body of a provider: one call whose body is kept unchanged.

use std::sync::Arc;

use super::call::Call;
use super::credentials::Credentials;
use super::failed_read::FailedRead;
use super::read_context::ReadContext;
use super::{Operation, Upstream};
use crate::clock;
use crate::domain::{Priority, UpstreamError};

impl Upstream {
    /// Requests the first balance once, without a retry, and returns the body of a success as it came.
    ///
    /// # Errors
    /// Why there is no such body.
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
