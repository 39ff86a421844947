//! Operations: one entry per route and method.

mod accounts;
mod balances;

use utoipa::openapi::HttpMethod;

use super::headers::Header;
use super::parameters::Parameter;
use crate::http::problem::Code;
use crate::http::route::Route;

/// Every operation, in the order of the documentation.
pub(crate) fn all() -> impl Iterator<Item = &'static Operation> {
    balances::ALL.iter().chain(&accounts::ALL)
}

/// One route and method.
pub(crate) struct Operation {
    pub(crate) route: Route,
    pub(crate) method: HttpMethod,
    pub(crate) id: &'static str,
    pub(crate) tag: Tag,
    pub(crate) summary: &'static str,
    pub(crate) description: &'static str,
    pub(crate) parameters: &'static [&'static Parameter],
    /// Headers of all its answers and problems, in addition to those of every answer to a caller.
    pub(crate) headers: &'static [&'static Header],
    /// The successful answers.
    pub(crate) answers: &'static [DocumentedAnswer],
    pub(crate) problems: &'static [&'static [Code]],
}

/// The parts of the documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tag {
    Balances,
    Accounts,
}

impl Tag {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Balances => "Balances",
            Self::Accounts => "Accounts",
        }
    }
}

/// A successful answer.
pub(crate) struct DocumentedAnswer {
    pub(crate) status: &'static str,
    pub(crate) description: &'static str,
    pub(crate) content: Content,
    /// Headers in addition to those of the whole operation.
    pub(crate) headers: &'static [&'static Header],
}

/// The content of an answer.
pub(crate) enum Content {
    Nothing,
    /// JSON of this schema; the example is a real answer.
    Json {
        schema: &'static str,
        example: &'static str,
    },
    /// JSON as above, or CSV.
    JsonOrCsv {
        schema: &'static str,
        example: &'static str,
        csv: &'static str,
    },
    /// Server-sent events, with an example.
    Events(&'static str),
}

/// Problems of every request of a caller.
const ALWAYS: &[Code] = &[
    Code::InvalidRequest,
    Code::Unauthenticated,
    Code::MethodNotAllowed,
    Code::ContentTooLarge,
    Code::RateLimited,
    Code::Overloaded,
    Code::DeadlineExceeded,
    Code::Internal,
];
/// Additional problems of a path with an account.
const ACCOUNT: &[Code] = &[Code::AccountNotFound];
/// Problems of selecting a balance of an account.
const CHOICE: &[Code] = &[Code::UnsupportedCurrency, Code::UnsupportedType];
/// Problems of reading a balance.
const READ: &[Code] = &[
    Code::Disabled,
    Code::ProviderUnreachable,
    Code::ProviderError,
    Code::ProviderInvalidResponse,
    Code::ProviderRefusedCredentials,
    Code::ProviderBusy,
    Code::ProviderSuspended,
    Code::BudgetExhausted,
    Code::ProviderTimeout,
];
