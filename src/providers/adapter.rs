//! The interface of every kind of provider: it builds the request for a balance, and parses the answer.

use std::fmt;
use std::time::Duration;

use http::header::HeaderName;

use super::authorisation::Authorisation;
use crate::domain::{BodyError, Currency, Reading, Selector};

/// One payment platform's balance API.
pub trait Provider: Send + Sync {
    /// The name in the configuration.
    fn kind(&self) -> &str;

    /// The address of its production API, if it is the same for every client.
    fn default_base_url(&self) -> Option<&str>;

    /// The default budget: outgoing calls per minute and account. `None` if the configuration must state it.
    fn default_budget_per_minute(&self) -> Option<u32> {
        Some(300)
    }

    /// The credential that it accepts.
    fn scheme(&self) -> Scheme;

    /// The one currency of all its balances; `None` where an account can hold several.
    fn only_currency(&self) -> Option<Currency>;

    /// Whether it reports a total of its own, beside the blocked amount.
    fn reports_total(&self) -> bool;

    /// How old its figures may already be when it answers, if it declares a lag.
    fn lag(&self) -> Option<Duration> {
        None
    }

    /// Whether one answer holds every balance of the account, because the request names neither currency nor type.
    fn answers_all_balances(&self) -> bool {
        false
    }

    /// Where a built-in kind finds each figure, for people; a declared kind shows its own mapping.
    fn figures(&self) -> &'static [Figure] {
        &[]
    }

    /// Builds the request for one balance.
    ///
    /// # Errors
    /// When a secret has a character that no header may hold (a line break), or the URL is invalid.
    fn request(
        &self,
        endpoint: &str,
        selector: &Selector,
        authorisation: &Authorisation,
    ) -> Result<http::Request<Vec<u8>>, RequestError>;

    /// Reads the body of a 2xx answer.
    ///
    /// # Errors
    /// [`BodyError::Status`] when the body reports a failure of its own, [`BodyError::Invalid`] when it
    /// differs from the provider's documentation.
    fn parse(&self, body: &[u8], selector: &Selector) -> Result<Reading, BodyError>;
}

impl fmt::Debug for dyn Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind())
    }
}

/// A figure of a built-in kind: its role, its place and its unit.
#[derive(Clone, Copy, Debug)]
pub struct Figure {
    /// The field of our schema.
    pub role: &'static str,
    /// Its place in the body, as a JSON pointer; the last part is its name in `reported`.
    pub pointer: &'static str,
    /// The unit of its number.
    pub units: &'static str,
}

/// A request extension: the name of the answer's header with the seconds to wait, used if `Retry-After` is missing.
#[derive(Clone, Debug)]
pub struct WaitHeader(pub HeaderName);

/// The credential that a kind of provider accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// A bearer token, static or exchanged for client credentials.
    Token,
    /// An API key and a session token on every call.
    Keys,
    /// The secrets that a declared kind names.
    Declared,
}

/// Why a request cannot be built. No answer of a provider can cause it.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The URL or a header is invalid.
    #[error("not a valid request: {0}")]
    Http(#[from] http::Error),
    /// The account gives no value for this name.
    #[error("the account has no value for {{{0}}}")]
    NoValue(String),
    /// The kind does not take such a credential.
    #[error("the credential is of another kind of provider")]
    Credential,
}
