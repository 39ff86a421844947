//! How a balance of a declared kind is requested.

use http::Method;
use http::header::HeaderName;

use super::body::read_body;
use super::texts::{Basic, Headers, NamedTexts, PathTemplate, ValueName};
use super::token;
use crate::config::reader::{Read, Section, Setting, Value, quoted};
use crate::config::values::BaseUrl;
use crate::providers::declared::{RequestTemplate, TokenTemplate};

/// The request half of a kind: how its provider is called.
pub(super) struct Requesting {
    pub(in crate::config) base_url: Option<String>,
    pub(in crate::config) secrets: Vec<String>,
    pub(in crate::config) parameters: Vec<String>,
    pub(in crate::config) request: RequestTemplate,
    pub(in crate::config) token: Option<TokenTemplate>,
    pub(super) wait: Option<HeaderName>,
}

pub(in crate::config) fn read(section: &mut Section<'_>) -> Read<Requesting> {
    let base_url: Read<Option<BaseUrl>> = section.optional("base_url");
    let method = section.or("method", Method::GET);
    let path: Read<PathTemplate> = section.required("path");
    let query: Read<Option<NamedTexts>> = section.optional("query");
    let headers: Read<Option<Headers>> = section.optional("headers");
    let basic: Read<Option<Basic>> = section.optional("basic");
    let body = read_body(section);
    let secrets = read_names(section, "secrets");
    let parameters = read_names(section, "parameters");
    let token: Read<Option<TokenTemplate>> = token::read(section);
    let wait: Read<Option<WaitHeader>> = section.optional("wait");
    if method == Ok(Method::GET) && (section.has("form") || section.has("json")) {
        section.wrong("method", "expected \"POST\" together with form or json");
    }
    if method == Ok(Method::POST) {
        section.warn("method", "POST is retried like GET; make sure that it only reads");
    }
    let request = RequestTemplate {
        method: method?,
        path: path?.0,
        query: query?.map(|named| named.0).unwrap_or_default(),
        headers: headers?.map(|headers| headers.0).unwrap_or_default(),
        basic: basic?.map(|basic| basic.0),
        body: body?,
    };
    let token = token?.map(|token| TokenTemplate { is_bearer: sends_bearer(&request), ..token });
    Ok(Requesting {
        base_url: base_url?.map(|url| url.0),
        secrets: secrets?,
        parameters: parameters?,
        request,
        token,
        wait: wait?.map(|header| header.0),
    })
}

fn sends_bearer(request: &RequestTemplate) -> bool {
    request.headers.iter().any(|(_, template)| template.is_bearer_token())
}

fn read_names(section: &mut Section<'_>, key: &'static str) -> Read<Vec<String>> {
    let names: Option<Vec<ValueName>> = section.optional(key)?;
    let names: Vec<String> = names.unwrap_or_default().into_iter().map(|name| name.0).collect();
    let is_twice = names.iter().enumerate().any(|(at, name)| names[..at].contains(name));
    if is_twice { Err(section.wrong(key, "expected each name once")) } else { Ok(names) }
}

impl Setting for Method {
    const EXPECTED: &'static str = "\"GET\", or \"POST\" for an API that reads with it";

    fn read(value: &Value<'_>) -> Read<Self> {
        value.text(Self::EXPECTED, |text| match text {
            "GET" => Some(Self::GET),
            "POST" => Some(Self::POST),
            _ => None,
        })
    }

    fn show(&self) -> String {
        quoted(self.as_str())
    }
}

/// A header that says how many seconds to wait.
#[derive(Clone, Debug)]
struct WaitHeader(HeaderName);

impl Setting for WaitHeader {
    const EXPECTED: &'static str = "the name of a header that holds whole seconds";

    fn read(value: &Value<'_>) -> Read<Self> {
        value.text(Self::EXPECTED, |text| HeaderName::try_from(text).ok().map(Self))
    }

    fn show(&self) -> String {
        quoted(self.0.as_str())
    }
}
