//! The JSON shape of every error (RFC 9457), and the table of error codes.
//!
//! A handler returns a [`Problem`]; the body is written by `observe.rs`, which knows the request's id.

use std::borrow::Cow;

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use serde::Serialize;

use crate::domain::{AccountName, ProviderName, RetryAfter, UpstreamError};
use crate::gateway::{Account, Refusal};

/// `Retry-After` of `disabled`: enabling an account takes a deployment.
const DISABLED_RETRY: std::time::Duration = std::time::Duration::from_mins(1);

macro_rules! codes {
    ($($variant:ident = $code:literal, $status:ident, $title:literal;)+) => {
        /// Every error code, with its status and title.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Code { $($variant,)+ }

        impl Code {
            pub(super) const ALL: &[Self] = &[$(Self::$variant),+];

            pub(super) fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code,)+ }
            }

            pub(super) fn status(self) -> StatusCode {
                match self { $(Self::$variant => StatusCode::$status,)+ }
            }

            pub(super) fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)+ }
            }
        }
    };
}

codes! {
    InvalidRequest = "invalid_request", BAD_REQUEST, "The request is not valid";
    UnsupportedCurrency = "unsupported_currency", BAD_REQUEST, "The account has no balance in this currency";
    UnsupportedType = "unsupported_type", BAD_REQUEST, "The account has no balance of this type";
    Unauthenticated = "unauthenticated", UNAUTHORIZED, "A known caller key is required";
    AccountNotFound = "account_not_found", NOT_FOUND, "The account is unknown";
    NotFound = "not_found", NOT_FOUND, "No endpoint has this path";
    MethodNotAllowed = "method_not_allowed", METHOD_NOT_ALLOWED, "The path does not support this method";
    NotAcceptable = "not_acceptable", NOT_ACCEPTABLE, "No supported format is acceptable";
    ContentTooLarge = "content_too_large", PAYLOAD_TOO_LARGE, "The request body is too large";
    ProviderLags = "provider_lags", UNPROCESSABLE_ENTITY, "The provider's figures may lag behind";
    RateLimited = "rate_limited", TOO_MANY_REQUESTS, "Too many requests";
    ProviderUnreachable = "provider_unreachable", BAD_GATEWAY, "The provider could not be reached";
    ProviderError = "provider_error", BAD_GATEWAY, "The provider answered with an error";
    ProviderInvalidResponse = "provider_invalid_response", BAD_GATEWAY, "The provider's answer is not valid";
    ProviderRefusedCredentials = "provider_refused_credentials", BAD_GATEWAY, "The provider refused our credentials";
    ProviderBusy = "provider_busy", SERVICE_UNAVAILABLE, "The provider accepts no more calls now";
    ProviderSuspended = "provider_suspended", SERVICE_UNAVAILABLE, "Calls to the provider are suspended";
    BudgetExhausted = "budget_exhausted", SERVICE_UNAVAILABLE, "The account's budget of outgoing calls is used up";
    Disabled = "disabled", SERVICE_UNAVAILABLE, "The account is switched off";
    Overloaded = "overloaded", SERVICE_UNAVAILABLE, "The gateway is overloaded";
    ProviderTimeout = "provider_timeout", GATEWAY_TIMEOUT, "The provider did not answer in time";
    DeadlineExceeded = "deadline_exceeded", GATEWAY_TIMEOUT, "The request's deadline has passed";
    NotCached = "not_cached", GATEWAY_TIMEOUT, "The cache has no acceptable balance";
    Internal = "internal", INTERNAL_SERVER_ERROR, "An internal error";
}

/// The error answer to a request.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    pub(super) code: Code,
    detail: Cow<'static, str>,
    account: Option<Cow<'static, str>>,
    provider: Option<ProviderName>,
    retry_after: Option<RetryAfter>,
}

/// The members of the JSON body.
#[derive(Serialize)]
pub(super) struct Body<'a> {
    r#type: String,
    title: &'static str,
    status: u16,
    detail: &'a str,
    code: &'static str,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<&'a ProviderName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u64>,
}

impl Problem {
    pub(super) fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { code, detail: detail.into(), account: None, provider: None, retry_after: None }
    }

    pub(super) fn retry_after(self, retry_after: RetryAfter) -> Self {
        Self { retry_after: Some(retry_after), ..self }
    }

    /// The problem of an account that does not exist or is forbidden. The caller cannot tell the difference.
    pub(super) fn account_not_found(account: &str) -> Self {
        let problem =
            Self::new(Code::AccountNotFound, "the account does not exist, or this caller may not read it");
        Self { account: Some(Cow::Owned(account.to_owned())), ..problem }
    }

    /// The problem of a balance that is not served.
    pub(super) fn refused(refusal: Refusal, account: &Account) -> Self {
        let problem = match refusal {
            Refusal::Disabled => Self::new(Code::Disabled, "the account or its provider is switched off")
                .retry_after(RetryAfter::from_wait(DISABLED_RETRY)),
            Refusal::NotCached => Self::new(
                Code::NotCached,
                "no acceptable balance is cached, and the request says only-if-cached",
            ),
            Refusal::DeadlineExceeded => Self::new(
                Code::DeadlineExceeded,
                "the read continues; its result is cached for the next request",
            ),
            Refusal::ForcedLimit(retry_after) => {
                Self::new(Code::RateLimited, "limit of forced reads exceeded for this caller")
                    .retry_after(retry_after)
            }
            Refusal::Failed(error, retry_after) => {
                let (code, detail) = failure(error);
                Self { retry_after, ..Self::new(code, detail) }
            }
        };
        problem.about(account)
    }

    /// Adds the names of the account, which the caller may see, and of its provider.
    pub(super) fn about(self, account: &Account) -> Self {
        let name: &AccountName = account.name();
        Self {
            account: Some(Cow::Owned(name.as_str().to_owned())),
            provider: Some(account.provider().clone()),
            ..self
        }
    }

    /// The provider that the problem names, if any.
    pub(super) fn provider(&self) -> Option<&ProviderName> {
        self.provider.as_ref()
    }

    pub(super) fn body<'a>(&'a self, request_id: &'a str) -> Body<'a> {
        Body {
            r#type: format!("urn:balance-gateway:problem:{}", self.code.as_str()),
            title: self.code.title(),
            status: self.code.status().as_u16(),
            detail: &self.detail,
            code: self.code.as_str(),
            request_id,
            account: self.account.as_deref(),
            provider: self.provider.as_ref(),
            retry_after: self.retry_after.map(RetryAfter::as_secs),
        }
    }
}

/// The table of read failures. It never contains a provider's own text.
fn failure(error: UpstreamError) -> (Code, Cow<'static, str>) {
    match error {
        UpstreamError::Unreachable(cause) => (Code::ProviderUnreachable, cause.to_string().into()),
        UpstreamError::Timeout => (Code::ProviderTimeout, "no usable answer arrived in time".into()),
        UpstreamError::Throttled(_) | UpstreamError::Unavailable(_) => {
            (Code::ProviderBusy, "the provider asked us to slow down".into())
        }
        UpstreamError::Status(200..=299) => {
            (Code::ProviderError, "the provider's answer reports a failure".into())
        }
        UpstreamError::Status(status) => {
            (Code::ProviderError, format!("the provider's status was {status}").into())
        }
        UpstreamError::Refused => {
            (Code::ProviderRefusedCredentials, "the account's credentials were refused".into())
        }
        UpstreamError::Invalid(error) => (Code::ProviderInvalidResponse, error.to_string().into()),
        UpstreamError::TooLarge => (Code::ProviderInvalidResponse, "the answer is over 64 KiB".into()),
        UpstreamError::Busy => (Code::ProviderBusy, "too many reads of this provider at once".into()),
        UpstreamError::Suspended => {
            (Code::ProviderSuspended, "calls are paused after repeated failures".into())
        }
        UpstreamError::BudgetExhausted => {
            (Code::BudgetExhausted, "the account has made too many calls recently".into())
        }
        UpstreamError::OutOfFiles => (Code::Overloaded, "the gateway is out of file descriptors".into()),
        UpstreamError::Defect => (Code::Internal, "see the gateway's log".into()),
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.code.status().into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(retry_after) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(retry_after.as_secs()));
        }
        if self.code == Code::Unauthenticated {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response.extensions_mut().insert(self);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Cause, ParseError};

    #[test]
    fn every_read_failure_has_its_documented_problem() {
        let invalid = ParseError { field: "netBalance", problem: "missing or null" };
        for (error, code, status) in [
            (UpstreamError::Unreachable(Cause::Closed), "provider_unreachable", 502),
            (UpstreamError::Timeout, "provider_timeout", 504),
            (UpstreamError::Throttled(None), "provider_busy", 503),
            (UpstreamError::Unavailable(DISABLED_RETRY), "provider_busy", 503),
            (UpstreamError::Status(500), "provider_error", 502),
            (UpstreamError::Refused, "provider_refused_credentials", 502),
            (UpstreamError::Invalid(invalid), "provider_invalid_response", 502),
            (UpstreamError::TooLarge, "provider_invalid_response", 502),
            (UpstreamError::Busy, "provider_busy", 503),
            (UpstreamError::Suspended, "provider_suspended", 503),
            (UpstreamError::BudgetExhausted, "budget_exhausted", 503),
            (UpstreamError::OutOfFiles, "overloaded", 503),
            (UpstreamError::Defect, "internal", 500),
        ] {
            let problem = failure(error).0;

            assert_eq!((problem.as_str(), problem.status().as_u16()), (code, status), "{error:?}");
        }
    }

    #[test]
    fn codes_are_unique_and_their_statuses_are_errors() {
        let distinct: std::collections::HashSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();

        assert_eq!(distinct.len(), Code::ALL.len());
        assert!(Code::ALL.iter().all(|code| code.status().as_u16() >= 400));
    }

    #[test]
    fn retry_after_is_equal_in_header_and_body() {
        let problem = Problem::new(Code::Overloaded, "full").retry_after(RetryAfter::ONE_SECOND);

        let body = serde_json::to_value(problem.body("id-1")).unwrap();
        let response = problem.into_response();

        assert_eq!(response.headers()[RETRY_AFTER], "1");
        assert_eq!(body["retry_after"], 1);
        assert_eq!(body["type"], "urn:balance-gateway:problem:overloaded");
        assert_eq!(body["request_id"], "id-1");
        assert!(body.get("account").is_none());
    }
}
