//! Reads of an account whose every answer holds all balances: one read runs at a time, and the waiting reads share its
//! answer.

use std::sync::Arc;

use super::whole::WholeAnswers;
use crate::domain::{Answer, ReadRequest, Snapshot};
use crate::upstream::Upstream;

impl Upstream {
    /// Reads one balance, and with it all the others. If a read was running or has just ended, its answer may be shared
    /// instead.
    pub(in crate::upstream) async fn read_whole(
        self: &Arc<Self>,
        whole: &WholeAnswers,
        index: usize,
        request: ReadRequest,
    ) -> Answer {
        let began = self.provider.now().monotonic;
        let _reading = whole.reading.lock().await;
        if let Some(answer) = whole.known(index, &request, began) {
            return answer;
        }
        let answer = self.read_alone(index, request.priority).await;
        if let Err(failure) = answer.result {
            let known_at = self.provider.now().monotonic;
            whole.note_failed(answer.sent_at, known_at, failure);
        }
        answer
    }

    /// The other balances of an answer, each with its index. The first call returns them; later calls return none.
    #[must_use]
    pub fn brought_along(&self, index: usize, answer: &Answer) -> Vec<(usize, Arc<Snapshot>)> {
        self.whole.as_ref().map(|whole| whole.pass_on(index, answer)).unwrap_or_default()
    }
}
