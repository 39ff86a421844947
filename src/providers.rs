//! The providers' adapters: each builds a request and parses a body, and does nothing else.
//!
//! A fifth provider is one file beside these, its `mod` line and its line in [`REGISTRY`].

mod fields;
mod ntxpay_br;
mod ntxpay_mx;
mod pluggo;

use std::fmt;

use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, InvalidHeaderValue};
use secrecy::{ExposeSecret, SecretString};

use crate::domain::{BodyError, Currency, Reading, Selector};

/// Every kind of provider that a configuration may name.
pub const REGISTRY: [&'static dyn Provider; 4] =
    [&ntxpay_br::NTXPAY_BR, &ntxpay_br::AVISTA, &ntxpay_mx::NtxpayMx, &pluggo::Pluggo];

/// Finds an adapter by the `kind` of the configuration.
#[must_use]
pub fn find(kind: &str) -> Option<&'static dyn Provider> {
    REGISTRY.into_iter().find(|provider| provider.kind() == kind)
}

/// One payment platform's balance API.
pub trait Provider: Send + Sync {
    /// The name in the configuration.
    fn kind(&self) -> &'static str;

    /// Where its production API is, if that is the same for every client.
    fn default_base_url(&self) -> Option<&'static str>;

    /// Outgoing calls per minute and account, when the configuration says nothing.
    fn default_budget_per_minute(&self) -> u32 {
        300
    }

    /// What authenticates us.
    fn scheme(&self) -> Scheme;

    /// The one currency of all its balances; `None` where an account can hold several.
    fn only_currency(&self) -> Option<Currency>;

    /// Whether it reports a total of its own.
    fn reports_total(&self) -> bool;

    /// The URL to ask for this balance.
    fn balance_url(&self, endpoint: &str, selector: &Selector) -> String;

    /// Reads the body of a 2xx answer.
    ///
    /// # Errors
    /// [`BodyError::Status`] when the body reports a failure of its own, [`BodyError::Invalid`] when it is not
    /// what the provider documents.
    fn parse(&self, body: &[u8], selector: &Selector) -> Result<Reading, BodyError>;
}

impl fmt::Debug for dyn Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind())
    }
}

impl PartialEq for dyn Provider {
    fn eq(&self, other: &Self) -> bool {
        self.kind() == other.kind()
    }
}

/// What authenticates us at a kind of provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// A bearer token, static or exchanged for client credentials.
    Token,
    /// An API key and a session token on every call.
    Keys,
}

/// What one balance call authenticates with.
#[derive(Clone, Debug)]
pub enum Authorisation {
    /// `Authorization: Bearer …`.
    Bearer(SecretString),
    /// `x-api-key` and `x-token`.
    Keys {
        /// The project's key.
        api_key: SecretString,
        /// The session's token.
        session_token: SecretString,
    },
}

impl PartialEq for Authorisation {
    /// Compares secrets of ours with each other; nobody else can time this.
    fn eq(&self, other: &Self) -> bool {
        let secrets = |authorisation: &Self| match authorisation {
            Self::Bearer(token) => [token.expose_secret().to_owned(), String::new()],
            Self::Keys { api_key, session_token } => {
                [api_key, session_token].map(|secret| secret.expose_secret().to_owned())
            }
        };
        std::mem::discriminant(self) == std::mem::discriminant(other) && secrets(self) == secrets(other)
    }
}

/// Builds the request for one balance.
///
/// # Errors
/// When a secret holds what no header may (a line break), or the URL is none.
pub fn request(
    provider: &dyn Provider,
    endpoint: &str,
    selector: &Selector,
    authorisation: &Authorisation,
) -> Result<http::Request<()>, http::Error> {
    let mut request = http::Request::get(provider.balance_url(endpoint, selector)).body(())?;
    match authorisation {
        Authorisation::Bearer(token) => {
            let bearer = SecretString::from(format!("Bearer {}", token.expose_secret()));
            insert(request.headers_mut(), AUTHORIZATION, &bearer)?;
        }
        Authorisation::Keys { api_key, session_token } => {
            insert(request.headers_mut(), HeaderName::from_static("x-api-key"), api_key)?;
            insert(request.headers_mut(), HeaderName::from_static("x-token"), session_token)?;
        }
    }
    Ok(request)
}

fn insert(
    headers: &mut HeaderMap,
    name: HeaderName,
    secret: &SecretString,
) -> Result<(), InvalidHeaderValue> {
    let mut value = HeaderValue::from_str(secret.expose_secret())?;
    value.set_sensitive(true);
    headers.insert(name, value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_found_by_its_name() {
        for kind in ["ntxpay-br", "avista", "ntxpay-mx", "pluggo"] {
            assert_eq!(find(kind).map(Provider::kind), Some(kind));
        }
        assert!(find("NTXPAY-BR").is_none());
    }

    #[test]
    fn a_bearer_token_goes_into_one_sensitive_header() {
        let authorisation = Authorisation::Bearer("abc".into());
        let selector = Selector::of(Currency::BRL);

        let request =
            request(&ntxpay_br::AVISTA, "https://a.example/api/balance", &selector, &authorisation).unwrap();

        assert_eq!(request.uri(), "https://a.example/api/balance");
        assert_eq!(request.headers()[AUTHORIZATION], "Bearer abc");
        assert!(request.headers()[AUTHORIZATION].is_sensitive());
    }

    #[test]
    fn pluggo_gets_two_headers_and_its_filters() {
        let authorisation = Authorisation::Keys { api_key: "k".into(), session_token: "t".into() };
        let selector = Selector {
            r#type: crate::domain::BalanceType::parse("CRYPTO"),
            ..Selector::of(Currency::parse("BTC").unwrap())
        };

        let request =
            request(&pluggo::Pluggo, "http://localhost/api/balance", &selector, &authorisation).unwrap();

        assert_eq!(request.uri(), "http://localhost/api/balance?currency=BTC&type=CRYPTO");
        assert_eq!(request.headers()["x-api-key"], "k");
        assert_eq!(request.headers()["x-token"], "t");
    }

    #[test]
    fn a_secret_that_no_header_can_hold_is_an_error() {
        let authorisation = Authorisation::Bearer("a\nb".into());

        assert!(request(&pluggo::Pluggo, "http://localhost/", &Selector::default(), &authorisation).is_err());
    }
}
