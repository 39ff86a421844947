//! What is noted of a request on its way in: one extension, to which each layer adds what it found.

use std::sync::Arc;

use axum::extract::Request;
use http::header::HeaderValue;

use super::caller::Caller;
use super::problem::{Code, Problem};
use super::state::OpenAccount;
use crate::domain::Moment;

/// When a request came, its id, and who was let in for what.
#[derive(Clone)]
pub(super) struct Arrival {
    pub(super) moment: Moment,
    pub(super) request_id: HeaderValue,
    caller: Option<Arc<Caller>>,
    account: Option<Arc<OpenAccount>>,
}

impl Arrival {
    pub(super) fn new(moment: Moment, request_id: HeaderValue) -> Self {
        Self { moment, request_id, caller: None, account: None }
    }

    /// What the layers in front noted.
    pub(super) fn of(request: &Request) -> Result<&Self, Problem> {
        request.extensions().get().ok_or_else(|| defect("a request that no layer has seen"))
    }

    /// Notes who was let in, and the account that the path is about, which the caller may see.
    pub(super) fn admit(request: &mut Request, caller: &Arc<Caller>, account: Option<Arc<OpenAccount>>) {
        if let Some(arrival) = request.extensions_mut().get_mut::<Self>() {
            arrival.caller = Some(Arc::clone(caller));
            arrival.account = account;
        }
    }

    /// Who was let in.
    pub(super) fn caller(&self) -> Result<&Caller, Problem> {
        self.caller.as_deref().ok_or_else(|| defect("a request that nobody let in"))
    }

    /// The account of a path that has one.
    pub(super) fn account(&self) -> Result<&OpenAccount, Problem> {
        self.account.as_deref().ok_or_else(|| defect("a path without an account"))
    }
}

/// What the order of the layers makes impossible.
fn defect(what: &'static str) -> Problem {
    tracing::error!(what, "a defect in the order of the layers");
    Problem::new(Code::Internal, "a defect; see the gateway's log")
}
