//! `GET /v1/events`: the balances that the caller may see, as they change, in server-sent events.

mod ending;
mod followed;
mod frame;
mod stream;

use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use futures_util::stream as futures;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};

use crate::domain::{MaxAge, RetryAfter};
use crate::http::arrival::Arrival;
use crate::http::problem::{Code, Problem};
use crate::http::query::Query;
use crate::http::state::Api;
use crate::live::Live;
use crate::server::OpenEnded;
use stream::EventStream;

/// The parameters of its query.
pub(crate) const PARAMETERS: &[&str] = &["account", "provider", "refresh"];
/// How old a streamed balance may get, unless the request says otherwise.
const REFRESH: Duration = Duration::from_secs(30);
/// Tells nginx to pass events on at once.
const BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// `GET /v1/events`.
pub(crate) async fn open(State(live): State<Live<Api>>, request: Request) -> Result<Response, Problem> {
    let arrival = Arrival::of(&request)?;
    let api = arrival.api()?;
    let caller = arrival.caller()?;
    let query = Query::parse(request.uri().query(), PARAMETERS)?;
    let refresh = refresh(&query)?;
    if request.method() == http::Method::HEAD {
        query.one("provider")?;
        let endless = futures::pending::<Result<Vec<u8>, std::io::Error>>();
        return Ok(answer(Body::from_stream(endless), OpenEnded::default()));
    }
    let too_many = || {
        Problem::new(Code::RateLimited, "as many event streams of this caller are open as it may have")
            .retry_after(RetryAfter::ONE_SECOND)
    };
    let place = caller.open_stream().ok_or_else(too_many)?;
    let stream = EventStream::open(&live, api, &request, refresh, place)?;
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

/// Whole seconds; more than any ceiling is as much as the ceiling.
pub(crate) fn refresh(query: &Query<'_>) -> Result<Duration, Problem> {
    let Some(text) = query.one("refresh")? else { return Ok(REFRESH) };
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Problem::new(Code::InvalidRequest, "refresh is no whole number of seconds"));
    }
    let seconds = text.parse().map_or(MaxAge::CEILING.get(), Duration::from_secs);
    Ok(seconds.min(MaxAge::CEILING.get()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refresh_is_whole_seconds_and_saturates() {
        let read = |query| refresh(&Query::parse(Some(query), PARAMETERS)?).map(|refresh| refresh.as_secs());

        assert_eq!(read("").unwrap(), 30);
        for (query, seconds) in [
            ("refresh=0", 0),
            ("refresh=007", 7),
            ("refresh=61", 60),
            ("refresh=99999999999999999999999", 60),
        ] {
            assert_eq!(read(query).unwrap(), seconds, "{query}");
        }
        for query in
            ["refresh=", "refresh=1.5", "refresh=-1", "refresh=%2B5", "refresh=5s", "refresh=5&refresh=5"]
        {
            assert_eq!(read(query).unwrap_err().code, Code::InvalidRequest, "{query}");
        }
    }
}
