//! Passes an admitted request to its handler. A request for one balance skips the router, which would box every cached
//! hit. All other requests use the router.

use axum::Router;
use axum::extract::Request;
use http::Method;
use tower::Service as _;

use super::answer::{self, Reply};
use super::api::balance;
use super::problem::Problem;
use super::request_info::RequestInfo;
use super::route::Route;

/// Answers an admitted request of a caller.
pub(super) async fn dispatch(
    router: &Router,
    info: &RequestInfo,
    request: &mut Request,
) -> Result<Reply, Problem> {
    // The router answers HEAD like GET, without the body.
    if info.route == Route::Balance && request.method() == Method::GET {
        let mut headers = std::mem::take(request.headers_mut());
        return balance::answer(info, request.uri(), &mut headers).await;
    }
    request.extensions_mut().insert(info.clone());
    Ok(through_router(router, request).await)
}

/// Lets the router choose the handler.
pub(super) async fn through_router(router: &Router, request: &mut Request) -> Reply {
    let request = std::mem::take(request);
    // Boxed, since it would make the future of every hit larger.
    let Ok(response) = Box::pin(router.clone().call(request)).await;
    answer::from_router(response)
}
