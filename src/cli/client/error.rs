//! Why a call to the gateway failed.

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use url::Url;

/// The body of an error answer.
#[derive(Debug, Deserialize)]
pub(in crate::cli) struct Problem {
    pub(in crate::cli) title: String,
    pub(in crate::cli) detail: String,
    pub(in crate::cli) code: String,
    pub(in crate::cli) retry_after: Option<u64>,
}

/// Why a call to the gateway failed.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum ClientError {
    /// The URL or the key cannot be used.
    #[error("{0}")]
    Unusable(&'static str),
    /// A file with certificates or a key cannot be used.
    #[error("{}: {reason}", .path.display())]
    File { path: PathBuf, reason: String },
    /// The TLS library rejects its settings.
    #[error("TLS cannot be used: {0}")]
    Tls(#[from] rustls::Error),
    /// The connection failed, broke or timed out.
    #[error("no answer from {address}: {cause}")]
    Unreachable { address: String, cause: String },
    /// The gateway does not know the key.
    #[error("the gateway does not know this key (401)")]
    Unauthenticated,
    /// The gateway answered with another problem.
    #[error("{} ({status} {}): {}{}", .problem.title, .problem.code, .problem.detail, again(.problem))]
    Refused { status: u16, problem: Problem },
    /// The answer is not one of a balance gateway.
    #[error("{address} answered {status}, but not as a balance gateway")]
    NotAGateway { address: String, status: u16 },
}

fn again(problem: &Problem) -> String {
    problem.retry_after.map(|seconds| format!("; retry in {seconds} s")).unwrap_or_default()
}

/// An address without a slash at the end, as people write it.
pub(super) fn shown(url: &Url) -> String {
    url.as_str().trim_end_matches('/').to_owned()
}

impl ClientError {
    /// The innermost cause; the outer ones only repeat the address.
    pub(super) fn unreachable(url: &Url, error: &reqwest::Error) -> Self {
        let mut cause: &dyn Error = error;
        while let Some(source) = cause.source() {
            cause = source;
        }
        let mut cause = cause.to_string();
        if cause.ends_with("UnknownIssuer") {
            cause.push_str(" (name its CA with --ca)");
        }
        Self::Unreachable { address: shown(url), cause }
    }

    /// How long to wait before the next request.
    pub(in crate::cli) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { problem, .. } => problem.retry_after.map(Duration::from_secs),
            Self::Unusable(_)
            | Self::File { .. }
            | Self::Tls(_)
            | Self::Unreachable { .. }
            | Self::Unauthenticated
            | Self::NotAGateway { .. } => None,
        }
    }
}
