//! The credential of an account, and the request that exchanges client credentials for a token.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};

use super::rotation::Rotation;
use crate::domain::ParseError;
use crate::providers::declared::AccountValues;
use crate::providers::{Adapter, Authorisation, RequestError};

/// A client certificate as PEM, percent-encoded; a space is `%20`.
const CERTIFICATE_HEADER: HeaderName = HeaderName::from_static("x-ssl-client-cert");
/// Characters of PEM that are not encoded, as in the providers' documentation.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// No provider documents a life over an hour; a day limits the effect of a mistake.
const LONGEST_LIFE: Duration = Duration::from_hours(24);

/// The credential of one account.
#[derive(Clone, Debug, PartialEq)]
pub enum Credential {
    /// Sent unchanged with every call.
    Static(Authorisation),
    /// Exchanged for tokens, which the gateway renews.
    Client(ClientCredentials),
    /// Exchanged for tokens as a declared kind describes it.
    Values(Arc<AccountValues>),
}

impl Credential {
    /// The placeholder of an account that is disabled until its secret can be read.
    #[must_use]
    pub fn none() -> Self {
        Self::Static(Authorisation::Bearer(SecretString::default()))
    }

    /// Every secret, in a fixed order.
    #[must_use]
    pub fn secrets(&self) -> Vec<&SecretString> {
        match self {
            Self::Static(authorisation) => authorisation.secrets(),
            Self::Client(client) => vec![&client.id, &client.secret],
            Self::Values(values) => values.secrets().collect(),
        }
    }
}

/// A credential that is exchanged for tokens.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::upstream) enum Exchangeable {
    Client(ClientCredentials),
    Values(Arc<AccountValues>),
}

impl Exchangeable {
    /// Every secret that identifies it, in a fixed order.
    pub(in crate::upstream) fn secrets(&self) -> Vec<&SecretString> {
        match self {
            Self::Client(client) => vec![&client.id, &client.secret],
            Self::Values(values) => values.secrets().collect(),
        }
    }

    /// Builds the call of the token endpoint.
    pub(in crate::upstream) fn exchange(
        &self,
        adapter: &Adapter,
        endpoint: &str,
    ) -> Result<http::Request<Vec<u8>>, RequestError> {
        match (self, adapter) {
            (Self::Client(client), _) => Ok(client.exchange(endpoint)?),
            (Self::Values(values), Adapter::Declared(kind)) => kind.token_request(endpoint, values),
            (Self::Values(_), Adapter::BuiltIn(_)) => Err(RequestError::Credential),
        }
    }

    /// Reads the answer to a call that was sent at this moment.
    pub(in crate::upstream) fn parse_issued(
        &self,
        adapter: &Adapter,
        body: &[u8],
        asked_at: Timestamp,
    ) -> Result<Issued, ParseError> {
        match (self, adapter) {
            (Self::Values(values), Adapter::Declared(kind)) => {
                let issued = kind.parse_token(body, asked_at)?;
                let authorisation =
                    Authorisation::Declared { values: Arc::clone(values), token: Some(issued.token) };
                Ok(Issued { authorisation, life: issued.life.min(LONGEST_LIFE) })
            }
            _ => parse_issued(body),
        }
    }
}

/// The credential of an account, with its rotations.
#[derive(Debug)]
pub(in crate::upstream) enum Credentials {
    Static(Rotation<Authorisation>),
    Client(Rotation<Exchangeable>),
}

impl Credentials {
    pub(in crate::upstream) fn new(credential: Credential) -> Self {
        match credential {
            Credential::Static(authorisation) => Self::Static(Rotation::new(authorisation)),
            Credential::Client(client) => Self::Client(Rotation::new(Exchangeable::Client(client))),
            Credential::Values(values) => Self::Client(Rotation::new(Exchangeable::Values(values))),
        }
    }

    /// Whether a credential is of the same kind.
    pub(in crate::upstream) fn is_like(&self, credential: &Credential) -> bool {
        matches!(
            (self, credential),
            (Self::Static(_), Credential::Static(_))
                | (Self::Client(_), Credential::Client(_) | Credential::Values(_))
        )
    }

    /// Replaces the present credential. Returns whether the new one differs; `None` if it is of another kind, which
    /// changes nothing.
    pub(in crate::upstream) fn replace(&self, credential: Credential, now: Instant) -> Option<bool> {
        match (self, credential) {
            (Self::Static(rotation), Credential::Static(authorisation)) => {
                Some(rotation.replace(authorisation, now))
            }
            (Self::Client(rotation), Credential::Client(client)) => {
                Some(rotation.replace(Exchangeable::Client(client), now))
            }
            (Self::Client(rotation), Credential::Values(values)) => {
                Some(rotation.replace(Exchangeable::Values(values), now))
            }
            _ => None,
        }
    }

    pub(in crate::upstream) fn is_rejected(&self, now: Instant) -> bool {
        match self {
            Self::Static(rotation) => rotation.is_rejected(now),
            Self::Client(rotation) => rotation.is_rejected(now),
        }
    }
}

/// Client credentials of one account.
#[derive(Clone, Debug)]
pub struct ClientCredentials {
    /// The client's id.
    pub id: SecretString,
    /// The client's secret.
    pub secret: SecretString,
    /// A certificate in PEM to send along.
    pub certificate: Option<SecretString>,
}

impl PartialEq for ClientCredentials {
    /// Not in constant time: both secrets are ours, and no attacker can measure the comparison.
    fn eq(&self, other: &Self) -> bool {
        let texts = |credentials: &Self| {
            let certificate = credentials.certificate.as_ref().map(|pem| pem.expose_secret().to_owned());
            let [id, secret] =
                [&credentials.id, &credentials.secret].map(|text| text.expose_secret().to_owned());
            (id, secret, certificate)
        };
        texts(self) == texts(other)
    }
}

/// Exactly the two fields that the providers allow.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ExchangeBody<'a> {
    client_id: &'a str,
    client_secret: &'a str,
}

impl ClientCredentials {
    /// Builds the call of the token endpoint.
    pub(in crate::upstream) fn exchange(&self, url: &str) -> Result<http::Request<Vec<u8>>, http::Error> {
        let body =
            ExchangeBody { client_id: self.id.expose_secret(), client_secret: self.secret.expose_secret() };
        // Two strings serialise without failing.
        let body = serde_json::to_vec(&body).unwrap_or_default();
        let mut request = http::Request::post(url).header(CONTENT_TYPE, "application/json").body(body)?;
        if let Some(certificate) = &self.certificate {
            let encoded = utf8_percent_encode(certificate.expose_secret(), KEPT).to_string();
            let mut value = HeaderValue::try_from(encoded)?;
            value.set_sensitive(true);
            request.headers_mut().insert(CERTIFICATE_HEADER, value);
        }
        Ok(request)
    }
}

/// A token endpoint's answer.
#[derive(Debug)]
pub(in crate::upstream) struct Issued {
    /// The authorisation of balance calls from now on.
    pub(in crate::upstream) authorisation: Authorisation,
    pub(in crate::upstream) life: Duration,
}

#[derive(Deserialize)]
struct IssuedBody<'a> {
    #[serde(borrow)]
    access_token: Option<&'a RawValue>,
    #[serde(borrow)]
    token_type: Option<&'a RawValue>,
    #[serde(borrow)]
    expires_in: Option<&'a RawValue>,
}

/// Reads a token endpoint's answer (contract, section 5).
pub(in crate::upstream) fn parse_issued(body: &[u8]) -> Result<Issued, ParseError> {
    let invalid = |field, problem| ParseError { field, problem };
    let issued: IssuedBody<'_> = serde_json::from_slice(body)
        .map_err(|_| invalid("token answer", "not a JSON object with each field once"))?;
    let text = |raw: &RawValue| serde_json::from_str::<String>(raw.get()).ok();
    let raw = issued.access_token.ok_or(invalid("access_token", "missing or null"))?;
    let token = text(raw).ok_or(invalid("access_token", "not a string"))?;
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(invalid("access_token", "not visible ASCII"));
    }
    let is_bearer = |raw| text(raw).is_some_and(|kind| kind.eq_ignore_ascii_case("bearer"));
    if issued.token_type.is_some_and(|raw| !is_bearer(raw)) {
        return Err(invalid("token_type", "not Bearer"));
    }
    let raw = issued.expires_in.ok_or(invalid("expires_in", "missing or null"))?.get();
    let digits = raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(raw);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(invalid("expires_in", "not a whole number"));
    }
    let seconds = digits.parse().unwrap_or(u64::MAX);
    if seconds == 0 {
        return Err(invalid("expires_in", "not above zero"));
    }
    let authorisation = Authorisation::Bearer(token.into());
    Ok(Issued { authorisation, life: Duration::from_secs(seconds).min(LONGEST_LIFE) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exchange_sends_exactly_two_fields_and_the_encoded_certificate() {
        let credentials = ClientCredentials {
            id: "client-1".into(),
            secret: "s3cr3t\"\\".into(),
            certificate: Some("-----BEGIN CERTIFICATE-----\nMII+/=\n-----END CERTIFICATE-----\n".into()),
        };

        let request = credentials.exchange("https://a.example/api/auth/token").unwrap();

        assert_eq!(request.method(), http::Method::POST);
        assert_eq!(request.body(), br#"{"clientId":"client-1","clientSecret":"s3cr3t\"\\"}"#);
        assert_eq!(request.headers()[CONTENT_TYPE], "application/json");
        let certificate = &request.headers()[CERTIFICATE_HEADER];
        assert_eq!(
            certificate,
            "-----BEGIN%20CERTIFICATE-----%0AMII%2B%2F%3D%0A-----END%20CERTIFICATE-----%0A"
        );
        assert!(certificate.is_sensitive());
    }

    #[test]
    fn a_token_answer_is_read_as_the_contract_says() {
        for (body, life) in [
            (r#"{"access_token":"a.b","token_type":"Bearer","expires_in":1800}"#, Ok(1800)),
            (r#"{"access_token":"a.b","expires_in":"600","scope":"email profile"}"#, Ok(600)),
            (
                r#"{"access_token":"a.b","token_type":"bEARER","expires_in":999999999999999999999}"#,
                Ok(86_400),
            ),
            (r#"{"access_token":"a.b","token_type":null,"expires_in":1}"#, Ok(1)),
            (r#"{"access_token":"a.b","expires_in":1800.0}"#, Err("expires_in")),
            (r#"{"access_token":"a.b","expires_in":0}"#, Err("expires_in")),
            (r#"{"access_token":"a.b","expires_in":-1}"#, Err("expires_in")),
            (r#"{"access_token":"a.b","expires_in":"1e3"}"#, Err("expires_in")),
            (r#"{"access_token":"a.b","expires_in":null}"#, Err("expires_in")),
            (r#"{"access_token":"a.b"}"#, Err("expires_in")),
            (r#"{"expires_in":1}"#, Err("access_token")),
            (r#"{"access_token":"","expires_in":1}"#, Err("access_token")),
            (r#"{"access_token":"a b","expires_in":1}"#, Err("access_token")),
            (r#"{"access_token":"a\n","expires_in":1}"#, Err("access_token")),
            (r#"{"access_token":"a","token_type":"mac","expires_in":1}"#, Err("token_type")),
            (r#"{"access_token":7,"expires_in":1}"#, Err("access_token")),
            (r#"{"access_token":"a","token_type":7,"expires_in":1}"#, Err("token_type")),
            ("", Err("token answer")),
            ("<html>", Err("token answer")),
        ] {
            let read = parse_issued(body.as_bytes());

            assert_eq!(read.map(|issued| issued.life.as_secs()).map_err(|error| error.field), life, "{body}");
        }
    }
}
