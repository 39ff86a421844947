//! `GET /v1/events`: the balances that the caller may see, as they change, in server-sent events.

mod ending;
mod followed;
mod frame;
mod query;
mod stream;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use futures_util::stream as futures;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};

use crate::domain::RetryAfter;
use crate::http::problem::{Code, Problem};
use crate::http::query::Query;
use crate::http::request_info::RequestInfo;
use crate::http::state::Api;
use crate::live::Live;
use crate::server::OpenEnded;
pub(crate) use query::{PARAMETERS, refresh};
use stream::EventStream;

/// Tells nginx not to buffer the stream.
const BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// `GET /v1/events`.
pub(crate) async fn open(State(live): State<Live<Api>>, request: Request) -> Result<Response, Problem> {
    let info = RequestInfo::of(&request)?;
    let api = info.api()?;
    let caller = info.caller()?;
    let query = Query::parse(request.uri().query(), PARAMETERS)?;
    let refresh = refresh(&query)?;
    if request.method() == http::Method::HEAD {
        query.one("provider")?;
        let endless = futures::pending::<Result<Vec<u8>, std::io::Error>>();
        return Ok(answer(Body::from_stream(endless), OpenEnded::default()));
    }
    let too_many = || {
        Problem::new(Code::RateLimited, "limit of open event streams reached for this caller")
            .retry_after(RetryAfter::ONE_SECOND)
    };
    let permit = caller.open_stream().ok_or_else(too_many)?;
    let stream = EventStream::open(&live, api, &request, refresh, permit)?;
    let frames = OpenEnded::default();
    Ok(answer(Body::from_stream(stream.into_stream(frames.clone())), frames))
}

fn answer(body: Body, frames: OpenEnded) -> Response {
    let mut response = Response::new(body);
    response.extensions_mut().insert(frames);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(BUFFERING, HeaderValue::from_static("no"));
    response
}
