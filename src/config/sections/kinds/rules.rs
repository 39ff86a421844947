//! Rules for the names in a kind's templates: each is declared, each is used, and no secret is in a place that proxies
//! log.

use super::request::Requesting;
use crate::config::reader::{Read, Section};
use crate::providers::declared::{RequestTemplate, Template, TokenEndpoint, TokenTemplate};

/// Judges the request half of a kind.
pub(super) fn judge(section: &Section<'_>, half: &Requesting) -> Read<()> {
    let results = [
        judge_overlap(section, half),
        judge_request(section, half),
        half.token.as_ref().map_or(Ok(()), |token| judge_token(section, half, token)),
        judge_use(section, half),
        judge_authorization(section, half),
    ];
    warn_of_query(section, half);
    results.into_iter().collect()
}

fn judge_overlap(section: &Section<'_>, half: &Requesting) -> Read<()> {
    match half.parameters.iter().find(|name| half.secrets.contains(name)) {
        Some(name) => {
            Err(section.wrong("parameters", &format!("expected other names than secrets has, but {name}")))
        }
        None => Ok(()),
    }
}

fn is_secret(half: &Requesting, name: &str) -> bool {
    name == "token" || half.secrets.iter().any(|secret| secret == name)
}

/// The names that a balance's request may hold.
fn judge_request(section: &Section<'_>, half: &Requesting) -> Read<()> {
    let mut result = Ok(());
    for (key, template) in places(&half.request) {
        for name in template.names() {
            let is_reserved = matches!(name, "currency" | "type") || name == "token" && half.token.is_some();
            let is_declared = half.secrets.iter().chain(&half.parameters).any(|declared| declared == name);
            if !is_reserved && !is_declared {
                result = Err(section.wrong(key, &unknown(name, half)));
            }
        }
    }
    result.and(judge_path(section, "path", &half.request.path, half))
}

fn judge_path(section: &Section<'_>, key: &str, path: &Template, half: &Requesting) -> Read<()> {
    match path.names().find(|name| is_secret(half, name)) {
        Some(name) => Err(section.wrong(
            key,
            &format!("expected no secret in a path, which is logged by proxies, but it holds {{{name}}}"),
        )),
        None => Ok(()),
    }
}

fn unknown(name: &str, half: &Requesting) -> String {
    let declared: Vec<&str> = half.secrets.iter().chain(&half.parameters).map(String::as_str).collect();
    let token = if half.token.is_some() { ", token" } else { "" };
    let declared = if declared.is_empty() { String::new() } else { format!("{}, ", declared.join(", ")) };
    format!(
        "expected a name that secrets or parameters declare, but {{{name}}} is none of {declared}currency, type{token}"
    )
}

/// The names that a token exchange may hold: secrets and parameters only.
fn judge_token(section: &Section<'_>, half: &Requesting, token: &TokenTemplate) -> Read<()> {
    let mut result = Ok(());
    for name in token.templates().flat_map(Template::names) {
        if !half.secrets.iter().chain(&half.parameters).any(|declared| declared == name) {
            let expected = format!("expected names of secrets and parameters only, but {{{name}}} is none");
            result = Err(section.wrong("token", &expected));
        }
    }
    if let TokenEndpoint::Path(path) = &token.endpoint {
        result = result.and(judge_path(section, "token", path, half));
    }
    let is_used = half.request.templates().flat_map(Template::names).any(|name| name == "token");
    if !is_used {
        result = Err(section.wrong("token", "expected a text with {token}, as a header, beside token"));
    }
    if token.basic.is_some() && token.headers.iter().any(|(name, _)| name == "authorization") {
        result = Err(section.wrong("token", "expected either basic or a header Authorization"));
    }
    result
}

/// Every secret and parameter must be used.
fn judge_use(section: &Section<'_>, half: &Requesting) -> Read<()> {
    let token = half.token.iter().flat_map(TokenTemplate::templates);
    let used: Vec<&str> = half.request.templates().chain(token).flat_map(Template::names).collect();
    let mut result = Ok(());
    for (key, declared) in [("secrets", &half.secrets), ("parameters", &half.parameters)] {
        for name in declared.iter().filter(|name| !used.contains(&name.as_str())) {
            let expected = format!("expected only names that a text holds, but no text holds {{{name}}}");
            result = Err(section.wrong(key, &expected));
        }
    }
    result
}

fn judge_authorization(section: &Section<'_>, half: &Requesting) -> Read<()> {
    let has_header = half.request.headers.iter().any(|(name, _)| name == "authorization");
    if half.request.basic.is_some() && has_header {
        return Err(section.wrong("basic", "not beside a header Authorization, expected one of them"));
    }
    Ok(())
}

fn warn_of_query(section: &Section<'_>, half: &Requesting) {
    for (name, template) in &half.request.query {
        if template.names().any(|named| is_secret(half, named)) {
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
