//! The exchange of an account's secrets for a token, as a declared kind describes it.

use std::time::Duration;

use http::Request;
use http::header::HeaderName;
use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::value::RawValue;

use super::pointer::Pointer;
use super::request::{self, BodyTemplate};
use super::shape::{Shape, ValueIndex};
use super::template::{Filling, Template};
use super::values::AccountValues;
use crate::domain::ParseError;
use crate::providers::RequestError;
use crate::providers::fields::{body_text, error, unquoted};

/// How a token is requested, and where the answer holds it.
#[derive(Clone, Debug)]
pub struct TokenTemplate {
    /// The endpoint of the exchange.
    pub endpoint: TokenEndpoint,
    /// User and password of Basic authentication.
    pub basic: Option<[Template; 2]>,
    /// The headers.
    pub headers: Vec<(HeaderName, Template)>,
    /// The body of the POST.
    pub body: BodyTemplate,
    /// The place of the token in the answer.
    pub at: Pointer,
    /// The lifetime of the token.
    pub life: TokenLife,
    /// Whether it is sent as `Bearer {token}`: then the answer's `token_type`, if present, must be `Bearer`.
    pub is_bearer: bool,
}

/// The endpoint of a token exchange.
#[derive(Clone, Debug)]
pub enum TokenEndpoint {
    /// At the provider's own base URL.
    Path(Template),
    /// On another host.
    Url(String),
}

impl TokenEndpoint {
    /// The path or the URL as it was written.
    #[must_use]
    pub fn as_written(&self) -> &str {
        match self {
            Self::Path(path) => path.as_written(),
            Self::Url(url) => url,
        }
    }
}

/// The lifetime of a token.
#[derive(Clone, Debug)]
pub enum TokenLife {
    /// The number of seconds at this place of the answer.
    Seconds(Pointer),
    /// Until the instant at this place of the answer.
    Until(Pointer),
    /// Always this long: the answer does not state it.
    Fixed(Duration),
}

impl TokenTemplate {
    /// Every template in it.
    pub fn templates(&self) -> impl Iterator<Item = &Template> {
        let path = match &self.endpoint {
            TokenEndpoint::Path(path) => Some(path),
            TokenEndpoint::Url(_) => None,
        };
        let headers = self.headers.iter().map(|(_, template)| template);
        let members = self.body.members().iter().map(|(_, template)| template);
        path.into_iter().chain(headers).chain(members).chain(self.basic.iter().flatten())
    }

    pub(super) fn request(
        &self,
        base_url: &str,
        values: &AccountValues,
    ) -> Result<Request<Vec<u8>>, RequestError> {
        let filling = Filling { values, token: None, selector: None };
        let url = match &self.endpoint {
            TokenEndpoint::Path(path) => [base_url, &request::path(path, &filling)?].concat(),
            TokenEndpoint::Url(url) => url.clone(),
        };
        let mut request = Request::post(url).body(Vec::new())?;
        request::add_headers(&self.headers, self.basic.as_ref(), &filling, request.headers_mut())?;
        request::add_body(&self.body, &filling, &mut request)?;
        Ok(request)
    }

    /// Reads the answer to a request that was sent at this moment.
    pub(super) fn parse(&self, body: &[u8], asked_at: Timestamp) -> Result<IssuedToken, ParseError> {
        let mut shape = Shape::default();
        let (at, r#type) = (shape.index_of(&self.at), shape.index_of(&token_type()));
        let life_at = match &self.life {
            TokenLife::Seconds(at) | TokenLife::Until(at) => Some(shape.index_of(at)),
            TokenLife::Fixed(_) => None,
        };
        let text = body_text(body);
        let values = shape.read(&text).ok_or(error("token", "not one JSON value"))?;
        let value = |field: &'static str, index: ValueIndex| {
            values.get(index).map_err(|unreadable| unreadable.in_field(field))
        };
        let must = |field, index| value(field, index)?.ok_or(error(field, "missing or null"));
        let token = unquoted(must("token", at)?).ok_or(error("token", "not a string"))?;
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(error("token", "not visible ASCII"));
        }
        if self.is_bearer
            && let Some(raw) = value("token_type", r#type)?
            && !unquoted(raw).is_some_and(|kind| kind.eq_ignore_ascii_case("bearer"))
        {
            return Err(error("token_type", "not Bearer"));
        }
        let life = match (&self.life, life_at) {
            (TokenLife::Seconds(_), Some(index)) => seconds(must("seconds", index)?)?,
            (TokenLife::Until(_), Some(index)) => time_until(must("until", index)?, asked_at)?,
            (TokenLife::Fixed(life), _) => *life,
            _ => return Err(error("token", "no life")),
        };
        Ok(IssuedToken { token: token.into_owned().into(), life })
    }
}

/// The answer of a token endpoint.
#[derive(Debug)]
pub struct IssuedToken {
    /// The token.
    pub token: SecretString,
    /// Its lifetime, counted from when it was requested.
    pub life: Duration,
}

fn token_type() -> Pointer {
    Pointer::parse("/token_type").unwrap_or_default()
}

/// A whole number above zero, perhaps in quotes; a huge one saturates.
fn seconds(raw: &RawValue) -> Result<Duration, ParseError> {
    let text = unquoted(raw).unwrap_or(raw.get().into());
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(error("seconds", "not a whole number"));
    }
    match text.parse().unwrap_or(u64::MAX) {
        0 => Err(error("seconds", "not above zero")),
        seconds => Ok(Duration::from_secs(seconds)),
    }
}

fn time_until(raw: &RawValue, asked_at: Timestamp) -> Result<Duration, ParseError> {
    let text = unquoted(raw).ok_or(error("until", "not a string"))?;
    let until: Timestamp = text.parse().map_err(|_| error("until", "not an instant"))?;
    let life = Duration::try_from(until.duration_since(asked_at)).unwrap_or_default();
    if life.is_zero() { Err(error("until", "not in the future")) } else { Ok(life) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(life: TokenLife) -> TokenTemplate {
        TokenTemplate {
            endpoint: TokenEndpoint::Path(Template::parse("/oauth/token").unwrap()),
            basic: Some(["{id}", "{secret}"].map(|text| Template::parse(text).unwrap())),
            headers: Vec::new(),
            body: BodyTemplate::Form(vec![(
                "grant_type".to_owned(),
                Template::parse("client_credentials").unwrap(),
            )]),
            at: Pointer::parse("/access_token").unwrap(),
            life,
            is_bearer: true,
        }
    }

    fn pointer(text: &str) -> Pointer {
        Pointer::parse(text).unwrap()
    }

    fn life_of(life: TokenLife, body: &str) -> Result<u64, String> {
        let asked_at = "2026-05-12T00:00:00Z".parse().unwrap();
        let issued = template(life).parse(body.as_bytes(), asked_at);
        issued.map(|issued| issued.life.as_secs()).map_err(|error| error.to_string())
    }

    #[test]
    fn the_request_is_a_post_with_the_values_of_the_account() {
        let mut values = AccountValues::default();
        values.set_secret("id", "me".into());
        values.set_secret("secret", "s3cret".into());

        let request =
            template(TokenLife::Fixed(Duration::from_mins(1))).request("https://a.example", &values).unwrap();

        assert_eq!(
            (request.method(), request.uri().to_string().as_str()),
            (&http::Method::POST, "https://a.example/oauth/token")
        );
        assert_eq!(request.headers()["authorization"], "Basic bWU6czNjcmV0");
        assert_eq!(request.body(), b"grant_type=client_credentials");
    }

    #[test]
    fn the_life_is_read_from_a_number_of_seconds() {
        let seconds = || TokenLife::Seconds(pointer("/expires_in"));
        for (body, life) in [
            (r#"{"access_token":"a.b","token_type":"Bearer","expires_in":1800}"#, Ok(1800)),
            (r#"{"access_token":"a.b","expires_in":"600"}"#, Ok(600)),
            (r#"{"access_token":"a.b","expires_in":1800.0}"#, Err("seconds: not a whole number")),
            (r#"{"access_token":"a.b","expires_in":0}"#, Err("seconds: not above zero")),
            (r#"{"access_token":"a.b"}"#, Err("seconds: missing or null")),
            (r#"{"expires_in":1}"#, Err("token: missing or null")),
            (r#"{"access_token":"a b","expires_in":1}"#, Err("token: not visible ASCII")),
            (r#"{"access_token":"a","access_token":"b","expires_in":1}"#, Err("token: given twice")),
            (r#"{"access_token":"a","token_type":"mac","expires_in":1}"#, Err("token_type: not Bearer")),
            ("<html>", Err("token: not one JSON value")),
        ] {
            assert_eq!(life_of(seconds(), body), life.map_err(str::to_owned), "{body}");
        }
    }

    #[test]
    fn the_life_is_read_from_an_instant() {
        let until = || TokenLife::Until(pointer("/expires_at"));
        for (text, life) in [
            ("2026-05-12T00:30:00Z", Ok(1800)),
            ("2026-05-12T00:30:00+0000", Ok(1800)),
            ("2026-05-12T03:30:00.000+03:00", Ok(1800)),
            ("2026-05-11T23:59:59Z", Err("until: not in the future")),
            ("2026-05-12T00:30:00", Err("until: not an instant")),
            ("soon", Err("until: not an instant")),
        ] {
            let body = format!(r#"{{"access_token":"a","expires_at":"{text}"}}"#);
            assert_eq!(life_of(until(), &body), life.map_err(str::to_owned), "{text}");
        }
    }

    #[test]
    fn a_fixed_life_needs_no_member_of_the_answer() {
        let fixed = TokenLife::Fixed(Duration::from_hours(2));

        assert_eq!(life_of(fixed, r#"{"access_token":"a"}"#), Ok(7200));
    }
}
