//! What the layers know of a request. Behind the router it is an extension of the request.

use std::sync::Arc;

use axum::extract::Request;
use http::header::HeaderValue;

use super::caller::Caller;
use super::problem::{Code, Problem};
use super::route::Route;
use super::state::{Api, OpenAccount};
use crate::domain::Moment;
use crate::server::Peer;

/// A request as it arrived, and as it was admitted.
#[derive(Clone)]
pub(super) struct RequestInfo {
    pub(super) moment: Moment,
    pub(super) route: Route,
    pub(super) peer: Peer,
    pub(super) request_id: HeaderValue,
    /// The seconds of `Prefer: wait`.
    pub(super) wait: Option<u64>,
    pub(super) admitted: Option<Admitted>,
}

/// A caller's request that may be answered. All of it is of one configuration.
#[derive(Clone)]
pub(super) struct Admitted {
    pub(super) api: Arc<Api>,
    pub(super) caller: Arc<Caller>,
    /// The account of a path that has one; the caller may see it.
    pub(super) account: Option<Arc<OpenAccount>>,
}

impl RequestInfo {
    /// Returns what the layers know of the request of a handler.
    pub(super) fn of(request: &Request) -> Result<&Self, Problem> {
        request.extensions().get().ok_or_else(|| defect("a request that did not pass the layers"))
    }

    /// The same request, admitted.
    pub(super) fn admitted_as(&self, admitted: Admitted) -> Self {
        Self { admitted: Some(admitted), ..self.clone() }
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

/// Reports what the order of the layers makes impossible.
fn defect(what: &'static str) -> Problem {
    tracing::error!(what, "a defect in the order of the layers");
    Problem::new(Code::Internal, "a defect; see the gateway's log")
}
