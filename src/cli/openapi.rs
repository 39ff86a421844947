//! `openapi`: the document that the API serves under `/openapi.json`.

use std::process::ExitCode;

use crate::http::pages::openapi;

pub(super) fn run() -> ExitCode {
    super::print(openapi::json())
}
