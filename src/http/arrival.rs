//! What is noted of a request on its way in: one extension, to which each layer adds what it found.

use std::sync::Arc;

use axum::extract::Request;
use http::header::HeaderValue;

use super::caller::Caller;
use super::problem::{Code, Problem};
use super::state::{Api, OpenAccount};
use crate::domain::Moment;

/// When a request came, its id, and what was admitted.
#[derive(Clone)]
pub(super) struct Arrival {
    pub(super) moment: Moment,
    pub(super) request_id: HeaderValue,
    admitted: Option<Admitted>,
}

/// A caller's request that may be answered. All of it is of one configuration.
#[derive(Clone)]
pub(super) struct Admitted {
    pub(super) api: Arc<Api>,
    pub(super) caller: Arc<Caller>,
    /// The account of a path that has one; the caller may see it.
    pub(super) account: Option<Arc<OpenAccount>>,
}

impl Arrival {
    pub(super) fn new(moment: Moment, request_id: HeaderValue) -> Self {
        Self { moment, request_id, admitted: None }
    }

    /// What the layers in front noted.
    pub(super) fn of(request: &Request) -> Result<&Self, Problem> {
        request.extensions().get().ok_or_else(|| defect("a request that no layer has seen"))
    }

    /// Notes that the request was admitted.
    pub(super) fn admit(request: &mut Request, admitted: Admitted) {
        if let Some(arrival) = request.extensions_mut().get_mut::<Self>() {
            arrival.admitted = Some(admitted);
        }
    }

    /// The API of the configuration that the request was admitted under.
    pub(super) fn api(&self) -> Result<&Arc<Api>, Problem> {
        self.admitted().map(|admitted| &admitted.api)
    }

    /// The caller of the request.
    pub(super) fn caller(&self) -> Result<&Caller, Problem> {
        self.admitted().map(|admitted| &*admitted.caller)
    }

    /// The account of a path that has one.
    pub(super) fn account(&self) -> Result<&OpenAccount, Problem> {
        self.admitted()?.account.as_deref().ok_or_else(|| defect("a path without an account"))
    }

    fn admitted(&self) -> Result<&Admitted, Problem> {
        self.admitted.as_ref().ok_or_else(|| defect("a request that was not admitted"))
    }
}

/// What the order of the layers makes impossible.
fn defect(what: &'static str) -> Problem {
    tracing::error!(what, "a defect in the order of the layers");
    Problem::new(Code::Internal, "a defect; see the gateway's log")
}
