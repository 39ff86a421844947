//! The requests of the built-in kinds: a GET whose headers authenticate us.

use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};

use super::adapter::RequestError;
use super::authorisation::Authorisation;

/// A GET of this URL with a bearer token, or with a key and a session token.
pub(super) fn get(url: &str, authorisation: &Authorisation) -> Result<http::Request<Vec<u8>>, RequestError> {
    let mut request = http::Request::get(url).body(Vec::new())?;
    let headers = request.headers_mut();
    match authorisation {
        Authorisation::Bearer(token) => {
            let bearer = SecretString::from(format!("Bearer {}", token.expose_secret()));
            insert_secret(headers, AUTHORIZATION, &bearer)?;
        }
        Authorisation::Keys { api_key, session_token } => {
            insert_secret(headers, HeaderName::from_static("x-api-key"), api_key)?;
            insert_secret(headers, HeaderName::from_static("x-token"), session_token)?;
        }
        Authorisation::Declared { .. } => return Err(RequestError::Credential),
    }
    Ok(request)
}

/// Inserts a header whose value no debug output shows.
pub(super) fn insert_secret(
    headers: &mut HeaderMap,
    name: HeaderName,
    secret: &SecretString,
) -> Result<(), http::Error> {
    let mut value = HeaderValue::from_str(secret.expose_secret())?;
    value.set_sensitive(true);
    headers.insert(name, value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{ntxpay_br, pluggo};
    use super::*;
    use crate::domain::{Currency, Selector};
    use crate::providers::Provider;

    #[test]
    fn a_bearer_token_goes_into_one_sensitive_header() {
        let authorisation = Authorisation::Bearer("abc".into());
        let selector = Selector::of(Currency::BRL);

        let request =
            ntxpay_br::AVISTA.request("https://a.example/api/balance", &selector, &authorisation).unwrap();

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
            pluggo::Pluggo.request("http://localhost/api/balance", &selector, &authorisation).unwrap();

        assert_eq!(request.uri(), "http://localhost/api/balance?currency=BTC&type=CRYPTO");
        assert_eq!(request.headers()["x-api-key"], "k");
        assert_eq!(request.headers()["x-token"], "t");
    }

    #[test]
    fn a_secret_that_no_header_can_hold_is_an_error() {
        let authorisation = Authorisation::Bearer("a\nb".into());

        assert!(pluggo::Pluggo.request("http://localhost/", &Selector::default(), &authorisation).is_err());
    }
}
