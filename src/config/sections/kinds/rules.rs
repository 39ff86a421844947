//! Rules for the names in a kind's templates: each is declared, each is used, and no secret is in a place that proxies
//! log.

use super::request::Requesting;
use crate::config::reader::{Read, Section};
use crate::providers::declared::{RequestTemplate, Template, TokenEndpoint, TokenTemplate};

/// Checks the request half of a kind.
pub(super) fn check(section: &Section<'_>, requesting: &Requesting) -> Read<()> {
    let results = [
        check_overlap(section, requesting),
        check_request(section, requesting),
        requesting.token.as_ref().map_or(Ok(()), |token| check_token(section, requesting, token)),
        check_use(section, requesting),
        check_authorization(section, requesting),
    ];
    warn_of_query(section, requesting);
    results.into_iter().collect()
}

fn check_overlap(section: &Section<'_>, requesting: &Requesting) -> Read<()> {
    match requesting.parameters.iter().find(|name| requesting.secrets.contains(name)) {
        Some(name) => {
            Err(section
                .wrong("parameters", &format!("expected names that are not in secrets, but {name} is")))
        }
        None => Ok(()),
    }
}

fn is_secret(requesting: &Requesting, name: &str) -> bool {
    name == "token" || requesting.secrets.iter().any(|secret| secret == name)
}

/// The names that a balance's request may hold.
fn check_request(section: &Section<'_>, requesting: &Requesting) -> Read<()> {
    let mut result = Ok(());
    for (key, template) in places(&requesting.request) {
        for name in template.names() {
            let is_reserved =
                matches!(name, "currency" | "type") || name == "token" && requesting.token.is_some();
            let is_declared =
                requesting.secrets.iter().chain(&requesting.parameters).any(|declared| declared == name);
            if !is_reserved && !is_declared {
                result = Err(section.wrong(key, &unknown(name, requesting)));
            }
        }
    }
    result.and(check_path(section, "path", &requesting.request.path, requesting))
}

fn check_path(section: &Section<'_>, key: &str, path: &Template, requesting: &Requesting) -> Read<()> {
    match path.names().find(|name| is_secret(requesting, name)) {
        Some(name) => Err(section.wrong(
            key,
            &format!("expected no secret in a path, which is logged by proxies, but it holds {{{name}}}"),
        )),
        None => Ok(()),
    }
}

fn unknown(name: &str, requesting: &Requesting) -> String {
    let declared: Vec<&str> =
        requesting.secrets.iter().chain(&requesting.parameters).map(String::as_str).collect();
    let token = if requesting.token.is_some() { ", token" } else { "" };
    let declared = if declared.is_empty() { String::new() } else { format!("{}, ", declared.join(", ")) };
    format!("expected a declared name, one of {declared}currency, type{token}, not {{{name}}}")
}

/// The names that a token exchange may hold: secrets and parameters only.
fn check_token(section: &Section<'_>, requesting: &Requesting, token: &TokenTemplate) -> Read<()> {
    let mut result = Ok(());
    for name in token.templates().flat_map(Template::names) {
        if !requesting.secrets.iter().chain(&requesting.parameters).any(|declared| declared == name) {
            let expected = format!("expected names of secrets and parameters only, but {{{name}}} is none");
            result = Err(section.wrong("token", &expected));
        }
    }
    if let TokenEndpoint::Path(path) = &token.endpoint {
        result = result.and(check_path(section, "token", path, requesting));
    }
    let is_used = requesting.request.templates().flat_map(Template::names).any(|name| name == "token");
    if !is_used {
        result =
            Err(section.wrong("token", "expected {token} in a text, such as a header, but none contains it"));
    }
    if token.basic.is_some() && token.headers.iter().any(|(name, _)| name == "authorization") {
        result = Err(section.wrong("token", "expected either basic or a header Authorization"));
    }
    result
}

/// Every secret and parameter must be used.
fn check_use(section: &Section<'_>, requesting: &Requesting) -> Read<()> {
    let token = requesting.token.iter().flat_map(TokenTemplate::templates);
    let used: Vec<&str> = requesting.request.templates().chain(token).flat_map(Template::names).collect();
    let mut result = Ok(());
    for (key, declared) in [("secrets", &requesting.secrets), ("parameters", &requesting.parameters)] {
        for name in declared.iter().filter(|name| !used.contains(&name.as_str())) {
            let expected = format!("expected only names that are used, but no text contains {{{name}}}");
            result = Err(section.wrong(key, &expected));
        }
    }
    result
}

fn check_authorization(section: &Section<'_>, requesting: &Requesting) -> Read<()> {
    let has_header = requesting.request.headers.iter().any(|(name, _)| name == "authorization");
    if requesting.request.basic.is_some() && has_header {
        return Err(section.wrong("basic", "not together with a header Authorization, expected one of them"));
    }
    Ok(())
}

fn warn_of_query(section: &Section<'_>, requesting: &Requesting) {
    for (name, template) in &requesting.request.query {
        if template.names().any(|named| is_secret(requesting, named)) {
            section.warn("query", &format!("{name} holds a secret, and proxies log URLs"));
        }
        if looks_like_a_date(template.as_written()) {
            section.warn(
                "query",
                &format!("{name} looks like a date: the balance of a fixed day never changes"),
            );
        }
    }
}

/// Whether a text begins like `2026-11-21`; a time may follow.
fn looks_like_a_date(text: &str) -> bool {
    let pattern = b"dddd-dd-dd";
    text.len() >= pattern.len()
        && text.bytes().zip(pattern).all(|(byte, expected)| match expected {
            b'd' => byte.is_ascii_digit(),
            other => byte == *other,
        })
}

/// Every template of a balance's request, with its key.
fn places(request: &RequestTemplate) -> impl Iterator<Item = (&'static str, &Template)> {
    let query = request.query.iter().map(|(_, template)| ("query", template));
    let headers = request.headers.iter().map(|(_, template)| ("headers", template));
    let basic = request.basic.iter().flatten().map(|template| ("basic", template));
    let key = match request.body {
        crate::providers::declared::BodyTemplate::Json(_) => "json",
        _ => "form",
    };
    let body = request.body.members().iter().map(move |(_, template)| (key, template));
    std::iter::once(("path", &request.path)).chain(query).chain(headers).chain(basic).chain(body)
}
