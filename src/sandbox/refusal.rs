//! Answers that refuse a request, in the form of the NTX platform.

use super::{
    book::quote,
    http::{Response, reason},
};

/// An error in the form of the NTX platform.
pub(super) fn answer_error(status: u16) -> Response {
    let message = quote(reason(status));
    let body = format!(r#"{{"statusCode":{status},"message":{message}}}"#);
    Response::json(status, body)
}

/// The answer to a method that the path does not support.
pub(super) fn answer_wrong_method(allowed: &str) -> Response {
    answer_error(405).with_header("Allow", allowed)
}
