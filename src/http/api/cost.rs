//! What a request costs its caller, known before anything of it is answered.

use axum::extract::Request;
use http::Method;

use super::batch::Choice;
use super::{balances, reconciliation};
use crate::http::caller::Caller;
use crate::http::query::Query;
use crate::http::route::Route;
use crate::http::state::Api;

/// One unit for each balance that the request asks for, and at least one. A request that is refused as it stands
/// costs one.
pub(crate) fn of(api: &Api, caller: &Caller, request: &Request) -> usize {
    let parameters = match Route::of(request.uri().path()) {
        Route::Balances => balances::PARAMETERS,
        Route::Reconciliation
            if reconciliation::content_negotiation::negotiate(request.headers()).is_some() =>
        {
            reconciliation::PARAMETERS
        }
        _ => return 1,
    };
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let query = Query::parse(request.uri().query(), parameters).ok();
    let query = query.filter(|query| is_read && query.not_before().is_ok());
    let choice = query.as_ref().and_then(|query| Choice::of(api, caller, query).ok());
    choice.map_or(1, |choice| choice.len().max(1))
}
