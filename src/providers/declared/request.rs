//! The requests of a declared kind: templates filled with an account's secrets and parameters.

use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request};
use secrecy::{ExposeSecret, SecretString};
use serde::Serializer as _;

use super::template::{Escaping, Filled, Filling, Template, escaped};
use crate::providers::RequestError;

/// Names and the templates of their values.
pub type Named = Vec<(String, Template)>;

/// How a balance is requested.
#[derive(Clone, Debug)]
pub struct RequestTemplate {
    /// GET, or POST for APIs that read with it.
    pub method: Method,
    /// The path after the base URL.
    pub path: Template,
    /// The query's members.
    pub query: Named,
    /// The headers.
    pub headers: Vec<(HeaderName, Template)>,
    /// User and password of Basic authentication.
    pub basic: Option<[Template; 2]>,
    /// The body.
    pub body: BodyTemplate,
}

/// The body of a POST.
#[derive(Clone, Debug, Default)]
pub enum BodyTemplate {
    /// Nothing.
    #[default]
    Empty,
    /// `application/x-www-form-urlencoded`.
    Form(Named),
    /// A JSON object of texts.
    Json(Named),
}

impl BodyTemplate {
    /// Its members.
    #[must_use]
    pub fn members(&self) -> &[(String, Template)] {
        match self {
            Self::Empty => &[],
            Self::Form(members) | Self::Json(members) => members,
        }
    }
}

impl RequestTemplate {
    /// Every template in it.
    pub fn templates(&self) -> impl Iterator<Item = &Template> {
        let named = self.query.iter().chain(self.body.members()).map(|(_, template)| template);
        let headers = self.headers.iter().map(|(_, template)| template);
        std::iter::once(&self.path).chain(named).chain(headers).chain(self.basic.iter().flatten())
    }

    pub(super) fn fill(
        &self,
        base_url: &str,
        filling: &Filling<'_>,
    ) -> Result<Request<Vec<u8>>, RequestError> {
        let url = [base_url, &path(&self.path, filling)?, &query(&self.query, filling)?].concat();
        let mut request = Request::builder().method(self.method.clone()).uri(url).body(Vec::new())?;
        add_headers(&self.headers, self.basic.as_ref(), filling, request.headers_mut())?;
        add_body(&self.body, filling, &mut request)?;
        Ok(request)
    }
}

/// Fills a path with its values. Fails if the path names the type and the balance has none.
pub(super) fn path(template: &Template, filling: &Filling<'_>) -> Result<String, RequestError> {
    let filled = filling.fill(template, Escaping::Percent)?;
    let filled = filled.ok_or_else(|| RequestError::NoValue("type".to_owned()))?;
    Ok(filled.text.expose_secret().to_owned())
}

fn query(named: &Named, filling: &Filling<'_>) -> Result<String, RequestError> {
    let mut query = String::new();
    for (name, value) in filled(named, filling)? {
        query.push(if query.is_empty() { '?' } else { '&' });
        query.push_str(&escaped(name));
        query.push('=');
        query.push_str(&escaped(value.text.expose_secret()));
    }
    Ok(query)
}

/// The members that have a value for this balance.
fn filled<'n>(named: &'n Named, filling: &Filling<'_>) -> Result<Vec<(&'n str, Filled)>, RequestError> {
    let fill = |(name, template): &'n (String, Template)| {
        let filled = filling.fill(template, Escaping::None).transpose()?;
        Some(filled.map(|filled| (name.as_str(), filled)))
    };
    named.iter().filter_map(fill).collect()
}

pub(super) fn add_headers(
    named: &[(HeaderName, Template)],
    basic: Option<&[Template; 2]>,
    filling: &Filling<'_>,
    headers: &mut HeaderMap,
) -> Result<(), RequestError> {
    for (name, template) in named {
        if let Some(filled) = filling.fill(template, Escaping::None)? {
            headers.insert(name, header_value(&filled)?);
        }
    }
    if let Some(basic) = basic {
        headers.insert(AUTHORIZATION, basic_value(basic, filling)?);
    }
    Ok(())
}

fn basic_value([user, password]: &[Template; 2], filling: &Filling<'_>) -> Result<HeaderValue, RequestError> {
    use base64::Engine as _;
    let part = |template| -> Result<SecretString, RequestError> {
        let filled = filling.fill(template, Escaping::None)?;
        Ok(filled.map_or_else(SecretString::default, |filled| filled.text))
    };
    let pair = format!("{}:{}", part(user)?.expose_secret(), part(password)?.expose_secret());
    let text = format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair));
    header_value(&Filled { text: text.into(), holds_secret: true })
}

fn header_value(filled: &Filled) -> Result<HeaderValue, RequestError> {
    let mut value = HeaderValue::from_str(filled.text.expose_secret()).map_err(http::Error::from)?;
    value.set_sensitive(filled.holds_secret);
    Ok(value)
}

pub(super) fn add_body(
    body: &BodyTemplate,
    filling: &Filling<'_>,
    request: &mut Request<Vec<u8>>,
) -> Result<(), RequestError> {
    let (media_type, bytes) = match body {
        BodyTemplate::Empty => {
            // The HTTP client omits `Content-Length: 0`, but some servers require it (411).
            if request.method() == Method::POST {
                request.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
            }
            return Ok(());
        }
        BodyTemplate::Form(members) => {
            ("application/x-www-form-urlencoded", form(&filled(members, filling)?))
        }
        BodyTemplate::Json(members) => ("application/json", json(&filled(members, filling)?)),
    };
    *request.body_mut() = bytes;
    // A `Content-Type` that the kind declares takes precedence.
    request.headers_mut().entry(CONTENT_TYPE).or_insert(HeaderValue::from_static(media_type));
    Ok(())
}

fn form(members: &[(&str, Filled)]) -> Vec<u8> {
    let pair =
        |(name, value): &(&str, Filled)| format!("{}={}", escaped(name), escaped(value.text.expose_secret()));
    members.iter().map(pair).collect::<Vec<_>>().join("&").into_bytes()
}

fn json(members: &[(&str, Filled)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let pairs = members.iter().map(|(name, value)| (name, value.text.expose_secret()));
    // Texts serialise into memory without failing.
    let _ = serde_json::Serializer::new(&mut bytes).collect_map(pairs);
    bytes
}

#[cfg(test)]
mod tests {
    use super::super::values::AccountValues;
    use super::*;
    use crate::domain::{BalanceType, Currency, Selector};

    fn template(text: &str) -> Template {
        Template::parse(text).unwrap()
    }

    fn named(pairs: &[(&str, &str)]) -> Named {
        pairs.iter().map(|(name, text)| ((*name).to_owned(), template(text))).collect()
    }

    fn get() -> RequestTemplate {
        RequestTemplate {
            method: Method::GET,
            path: template("/v1/{id}/balance"),
            query: Named::new(),
            headers: Vec::new(),
            basic: None,
            body: BodyTemplate::Empty,
        }
    }

    fn filled_with(request: &RequestTemplate, r#type: Option<&str>) -> Request<Vec<u8>> {
        let mut values = AccountValues::default();
        values.set_secret("key", "s3cr&t".into());
        values.set_parameter("id", "a@b".to_owned());
        let selector =
            Selector { r#type: r#type.and_then(BalanceType::parse), ..Selector::of(Currency::BRL) };
        let filling = Filling { values: &values, token: None, selector: Some(&selector) };
        request.fill("https://a.example", &filling).unwrap()
    }

    #[test]
    fn path_and_query_are_percent_encoded() {
        let query = named(&[("currency code", "{currency:lower}"), ("k", "a b&{key}"), ("t", "{type}")]);
        let request = RequestTemplate { query, ..get() };

        let url = "https://a.example/v1/a%40b/balance?currency%20code=brl&k=a%20b%26s3cr%26t";
        assert_eq!(filled_with(&request, None).uri(), url);
        assert_eq!(filled_with(&request, Some("FIAT")).uri(), format!("{url}&t=FIAT").as_str());
    }

    #[test]
    fn a_header_with_a_secret_is_sensitive() {
        let headers = [("x-key", "{key}"), ("x-id", "{id}"), ("x-type", "{type}")];
        let headers = headers.map(|(name, text)| (HeaderName::from_static(name), template(text)));
        let request = filled_with(&RequestTemplate { headers: headers.into(), ..get() }, None);

        assert_eq!(request.headers()["x-key"], "s3cr&t");
        assert!(request.headers()["x-key"].is_sensitive());
        assert_eq!(request.headers()["x-id"], "a@b");
        assert!(!request.headers()["x-id"].is_sensitive());
        assert!(!request.headers().contains_key("x-type"));
    }

    #[test]
    fn basic_is_user_and_password_in_base64() {
        let basic = Some([template("{key}"), template("")]);
        let request = filled_with(&RequestTemplate { basic, ..get() }, None);

        assert_eq!(request.headers()[AUTHORIZATION], "Basic czNjciZ0Og==");
        assert!(request.headers()[AUTHORIZATION].is_sensitive());
    }

    #[test]
    fn a_post_sends_a_form_a_json_object_or_nothing() {
        let members = || named(&[("key", "{key}"), ("note", "a \"b\"")]);
        let post = |body| filled_with(&RequestTemplate { method: Method::POST, body, ..get() }, None);

        let form = post(BodyTemplate::Form(members()));
        assert_eq!(form.body(), b"key=s3cr%26t&note=a%20%22b%22");
        assert_eq!(form.headers()[CONTENT_TYPE], "application/x-www-form-urlencoded");

        let json = post(BodyTemplate::Json(members()));
        assert_eq!(json.body(), br#"{"key":"s3cr&t","note":"a \"b\""}"#);
        assert_eq!(json.headers()[CONTENT_TYPE], "application/json");

        let empty = post(BodyTemplate::Empty);
        assert_eq!((empty.method(), empty.body().len()), (&Method::POST, 0));
        assert!(!empty.headers().contains_key(CONTENT_TYPE));
        assert_eq!(empty.headers()[CONTENT_LENGTH], "0");
    }
}
