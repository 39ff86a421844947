//! Builds the answer to a request: the provider's normal answer, or the answer of a fault. Faults of delivery change
//! nothing here; `deliver` applies them.

use super::{
    bomb,
    calls::Operation,
    fault::FaultKind,
    http::{Request, Response},
    kind::Kind,
    ntxpay, pluggo,
    refusal::{answer_error, answer_wrong_method},
    scripted,
    state::State,
};

/// The answer to a call of a provider's API.
pub(super) fn answer(state: &State, request: &Request, fault: Option<&FaultKind>) -> Response {
    let Some(fault) = fault else {
        return answer_normally(state, request);
    };
    match fault {
        FaultKind::Status { status, retry_after, body } => {
            answer_status(*status, retry_after.as_deref(), body.as_deref())
        }
        FaultKind::Redirect { location } => Response::empty(302).with_header("Location", location),
        FaultKind::Body { text } => Response::json(200, text.as_str()),
        FaultKind::BodyBytes { bytes } => Response::json(200, bytes.as_slice()),
        FaultKind::ContentType { value } => {
            let mut response = answer_normally(state, request);
            response.headers.retain(|(name, _)| name != "Content-Type");
            response.with_header("Content-Type", value)
        }
        FaultKind::Headers { headers } => {
            let mut response = answer_normally(state, request);
            response.headers.extend_from_slice(headers);
            response
        }
        FaultKind::ExpireToken => {
            if let Some(token) = ntxpay::bearer(&request.head) {
                state.lock().tokens.revoke(token);
            }
            answer_error(401)
        }
        FaultKind::RefuseToken { status } => answer_error(*status),
        FaultKind::CompressedBomb => {
            Response::json(200, bomb::packed_zeros()).with_header("Content-Encoding", "deflate")
        }
        FaultKind::Delay { .. }
        | FaultKind::StallHead
        | FaultKind::StallBody
        | FaultKind::SlowBody { .. }
        | FaultKind::CutBody
        | FaultKind::Reset
        | FaultKind::Close
        | FaultKind::Garbage
        | FaultKind::HugeBody { .. }
        | FaultKind::ChunkedInvalid
        | FaultKind::CutChunk
        | FaultKind::EndlessHeaders
        | FaultKind::Informational { .. } => answer_normally(state, request),
    }
}

fn answer_normally(state: &State, request: &Request) -> Response {
    if state.kind == Kind::Declared {
        return scripted::answer(state, request);
    }
    let head = &request.head;
    let operation = state.kind.operation(&head.path);
    let is_pluggo = state.kind == Kind::Pluggo;
    if is_pluggo && !pluggo::is_authorised(state, head) {
        return pluggo::answer_error(state, 401);
    }
    match (operation, head.method.as_str()) {
        (Operation::Balance, "GET") if is_pluggo => pluggo::answer_balance(state, head),
        (Operation::Balance, "GET") => ntxpay::answer_balance(state, head),
        (Operation::Token, "POST") => ntxpay::issue_token(state, request),
        (Operation::Balance, _) => answer_wrong_method("GET"),
        (Operation::Token, _) => answer_wrong_method("POST"),
        (Operation::Other, _) => answer_error(404),
    }
}

fn answer_status(status: u16, retry_after: Option<&str>, body: Option<&str>) -> Response {
    let mut response = answer_error(status);
    if let Some(body) = body {
        response.body = body.as_bytes().to_vec();
    }
    match retry_after {
        Some(value) => response.with_header("Retry-After", value),
        None => response,
    }
}
