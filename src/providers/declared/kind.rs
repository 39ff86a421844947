//! A declared kind as one more provider.

use std::time::Duration;

use http::header::HeaderName;
use jiff::Timestamp;

use super::mapping::Mapping;
use super::reader::MappingReader;
use super::request::RequestTemplate;
use super::template::Filling;
use super::token::{IssuedToken, TokenTemplate};
use super::units::AmountUnit;
use super::values::AccountValues;
use crate::domain::{BodyError, Currency, ParseError, Reading, Selector};
use crate::providers::{Authorisation, Provider, RequestError, Scheme, WaitHeader};

/// The declaration of a kind in the configuration.
#[derive(Clone, Debug)]
pub struct Declaration {
    /// Its name.
    pub name: String,
    /// A digest of the whole declaration without its examples.
    pub digest: String,
    /// The default base URL of its providers.
    pub base_url: Option<String>,
    /// The names of the secrets that each account must provide.
    pub secrets: Vec<String>,
    /// The names of the parameters that each account must provide.
    pub parameters: Vec<String>,
    /// How a balance is requested.
    pub request: RequestTemplate,
    /// The exchange of secrets for `{token}`.
    pub token: Option<TokenTemplate>,
    /// How a body is read.
    pub mapping: Mapping,
    /// How old its figures may already be when it answers.
    pub lag: Option<Duration>,
    /// The answer's header with the seconds to wait, used if `Retry-After` is missing.
    pub wait: Option<HeaderName>,
}

/// A kind of provider that the configuration declares.
#[derive(Debug)]
pub struct Declared {
    declaration: Declaration,
    reader: MappingReader,
}

impl Declared {
    /// Prepares the kind for use.
    #[must_use]
    pub fn new(declaration: Declaration) -> Self {
        Self { reader: MappingReader::new(&declaration.mapping), declaration }
    }

    /// Its declaration.
    #[must_use]
    pub fn declaration(&self) -> &Declaration {
        &self.declaration
    }

    /// A digest of its declaration without its examples.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.declaration.digest
    }

    /// The destination of its secrets: the path, and the token's path or URL.
    #[must_use]
    pub fn destination(&self) -> String {
        let token = self.declaration.token.as_ref().map_or("", |token| token.endpoint.as_written());
        [self.declaration.request.path.as_written(), token].join(" ")
    }

    /// Whether its requests need a token that is exchanged first.
    #[must_use]
    pub fn has_token(&self) -> bool {
        self.declaration.token.is_some()
    }

    /// Whether a template of the balance request contains this name.
    #[must_use]
    pub fn names(&self, name: &str) -> bool {
        self.declaration.request.templates().any(|template| template.names().any(|named| named == name))
    }

    /// Whether the path holds the type, so that every balance must have one.
    #[must_use]
    pub fn needs_type(&self) -> bool {
        self.declaration.request.path.names().any(|name| name == "type")
    }

    /// The unit of its amounts.
    #[must_use]
    pub fn units(&self) -> &AmountUnit {
        self.reader.units()
    }

    /// Builds the call of the token endpoint.
    ///
    /// # Errors
    /// When a secret has a character that no header may hold, or the URL is invalid.
    pub fn token_request(
        &self,
        base_url: &str,
        values: &AccountValues,
    ) -> Result<http::Request<Vec<u8>>, RequestError> {
        self.token()?.request(base_url, values)
    }

    /// Parses the token endpoint's answer to a request that was sent at this moment.
    ///
    /// # Errors
    /// [`ParseError`] when it does not fit the declaration.
    pub fn parse_token(&self, body: &[u8], asked_at: Timestamp) -> Result<IssuedToken, ParseError> {
        let token = self.declaration.token.as_ref();
        token.ok_or(ParseError { field: "token", problem: "not exchanged" })?.parse(body, asked_at)
    }

    fn token(&self) -> Result<&TokenTemplate, RequestError> {
        self.declaration.token.as_ref().ok_or_else(|| RequestError::NoValue("token".to_owned()))
    }
}

impl Provider for Declared {
    fn kind(&self) -> &str {
        &self.declaration.name
    }

    fn default_base_url(&self) -> Option<&str> {
        self.declaration.base_url.as_deref()
    }

    fn default_budget_per_minute(&self) -> Option<u32> {
        None
    }

    fn scheme(&self) -> Scheme {
        Scheme::Declared
    }

    fn only_currency(&self) -> Option<Currency> {
        self.reader.rule().only()
    }

    fn reports_total(&self) -> bool {
        let mapping = &self.declaration.mapping;
        mapping.blocked.is_some() && mapping.total.is_some()
    }

    fn lag(&self) -> Option<Duration> {
        self.declaration.lag
    }

    fn answers_all_balances(&self) -> bool {
        !self.names("currency") && !self.names("type")
    }

    fn request(
        &self,
        endpoint: &str,
        selector: &Selector,
        authorisation: &Authorisation,
    ) -> Result<http::Request<Vec<u8>>, RequestError> {
        let Authorisation::Declared { values, token } = authorisation else {
            return Err(RequestError::Credential);
        };
        let filling = Filling { values, token: token.as_ref(), selector: Some(selector) };
        let mut request = self.declaration.request.fill(endpoint, &filling)?;
        if let Some(name) = &self.declaration.wait {
            request.extensions_mut().insert(WaitHeader(name.clone()));
        }
        Ok(request)
    }

    fn parse(&self, body: &[u8], selector: &Selector) -> Result<Reading, BodyError> {
        self.reader.read(body, selector)
    }
}
