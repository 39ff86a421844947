//! The units that a request costs its caller, computed before the request is handled.

use axum::extract::Request;
use http::Method;

use super::batch::Choice;
use super::reconciliation::content_negotiation;
use super::{balances, events, reconciliation};
use crate::http::caller::Caller;
use crate::http::query::Query;
use crate::http::route::Route;
use crate::http::state::Api;

/// Returns the units: one for each requested balance, and at least one. A request that is refused before any look-up
/// costs one unit.
pub(crate) fn of(api: &Api, caller: &Caller, route: Route, request: &Request) -> usize {
    let parameters = match route {
        Route::Balances => balances::PARAMETERS,
        Route::Reconciliation => reconciliation::PARAMETERS,
        Route::Events => events::PARAMETERS,
        _ => return 1,
    };
    let is_legal = |query: &Query<'_>| match route {
        Route::Reconciliation => {
            query.not_before().is_ok() && content_negotiation::negotiate(request.headers()).is_some()
        }
        Route::Events => events::refresh(query).is_ok(),
        _ => query.not_before().is_ok(),
    };
    let is_read = match *request.method() {
        Method::GET => true,
        // HEAD on an event stream requests no balance.
        Method::HEAD => route != Route::Events,
        _ => false,
    };
    let query = Query::parse(request.uri().query(), parameters).ok();
    let query = query.filter(|query| is_read && is_legal(query));
    let choice = query.as_ref().and_then(|query| Choice::of(api, caller, query).ok());
    choice.map_or(1, |choice| choice.len().max(1))
}
