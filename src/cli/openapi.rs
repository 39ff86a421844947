//! `openapi`: prints the document of `/openapi.json`.

use std::process::ExitCode;

use crate::http::pages::openapi;

pub(super) fn run() -> ExitCode {
    super::print(openapi::json())
}
