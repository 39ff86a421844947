//! The facts that the layers know about a request. Behind the router they are an extension of the request.

use std::sync::Arc;

use axum::extract::Request;
use http::header::HeaderValue;

use super::caller::Caller;
use super::problem::{Code, Problem};
use super::route::Route;
use super::state::{Api, OpenAccount};
use super::targets;
use crate::domain::Moment;
use crate::server::Peer;

/// The facts about one request: from its arrival, and from its admission.
#[derive(Clone)]
pub(super) struct RequestInfo {
    pub(super) moment: Moment,
    pub(super) route: Route,
    pub(super) peer: Peer,
    pub(super) request_id: HeaderValue,
    /// The seconds of `Prefer: wait`.
    pub(super) wait: Option<u64>,
    /// Set by the admission of a caller.
    pub(super) admitted: Option<Admitted>,
}

/// The result of admission. All parts belong to one configuration.
#[derive(Clone)]
pub(super) struct Admitted {
    pub(super) api: Arc<Api>,
    pub(super) caller: Arc<Caller>,
    /// The account that the path names, if it names one. The caller may see it.
    pub(super) account: Option<Arc<OpenAccount>>,
}

impl RequestInfo {
    /// Returns the facts about a handler's request.
    pub(super) fn of(request: &Request) -> Result<&Self, Problem> {
        request.extensions().get().ok_or_else(|| missing_layer("a request that skipped the layers"))
    }

    /// The API of the configuration that the request was admitted under.
    pub(super) fn api(&self) -> Result<&Arc<Api>, Problem> {
        self.admitted().map(|admitted| &admitted.api)
    }

    /// The caller of the request.
    pub(super) fn caller(&self) -> Result<&Caller, Problem> {
        self.admitted().map(|admitted| &*admitted.caller)
    }

    /// The account that the path names.
    pub(super) fn account(&self) -> Result<&OpenAccount, Problem> {
        self.admitted()?.account.as_deref().ok_or_else(|| missing_layer("a path without an account"))
    }

    /// The result of admission.
    pub(super) fn admitted(&self) -> Result<&Admitted, Problem> {
        self.admitted.as_ref().ok_or_else(|| missing_layer("a request that was not admitted"))
    }
}

/// Reports a state that the order of the layers rules out.
fn missing_layer(what: &'static str) -> Problem {
    tracing::error!(target: targets::REQUEST_INFO, what, "a defect in the order of the layers");
    Problem::new(Code::Internal, "a defect; see the gateway's log")
}
