//! The template of a signed text, with placeholders for the body, the time, headers and query parameters.

use std::fmt;
use std::str::FromStr;

use http::header::HeaderName;
use http::request::Parts;
use url::form_urlencoded;

/// A text with placeholders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    pieces: Vec<Piece>,
    text: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Body,
    Timestamp,
    Header(HeaderName),
    Query(String),
}

/// A malformed template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a template")]
pub struct TemplateError;

/// The text around the body.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Around {
    pub(super) before: Vec<u8>,
    /// `None` where the body is not signed.
    pub(super) after: Option<Vec<u8>>,
}

impl Template {
    /// The syntax, for error messages.
    pub const EXPECTED: &'static str =
        "a text with {body} at most once, {timestamp}, {header.NAME} and {query.NAME}";

    /// The body alone.
    #[must_use]
    pub fn body() -> Self {
        Self { pieces: vec![Piece::Body], text: "{body}".to_owned() }
    }

    /// Whether the time of signing is part of it.
    #[must_use]
    pub fn has_timestamp(&self) -> bool {
        self.pieces.contains(&Piece::Timestamp)
    }

    /// Whether the header of this name is part of it.
    #[must_use]
    pub fn has_header(&self, name: &str) -> bool {
        self.pieces
            .iter()
            .any(|piece| matches!(piece, Piece::Header(known) if name.eq_ignore_ascii_case(known.as_str())))
    }

    /// Fills every placeholder except the body; `None` if a value is missing from the request, or a query parameter is
    /// given twice.
    pub(super) fn fill(&self, request: &Parts, timestamp: Option<&[u8]>) -> Option<Around> {
        let mut around = Around::default();
        for piece in &self.pieces {
            let text = match piece {
                Piece::Text(text) => text.as_bytes().to_vec(),
                Piece::Body => {
                    around.after = Some(Vec::new());
                    continue;
                }
                Piece::Timestamp => timestamp?.to_vec(),
                Piece::Header(name) => header(request, name)?,
                Piece::Query(name) => query(request, name)?.into_bytes(),
            };
            around.after.as_mut().unwrap_or(&mut around.before).extend(text);
        }
        Some(around)
    }
}

/// Repeated headers form one list.
fn header(request: &Parts, name: &HeaderName) -> Option<Vec<u8>> {
    let lines: Vec<&[u8]> = request.headers.get_all(name).iter().map(http::HeaderValue::as_bytes).collect();
    (!lines.is_empty()).then(|| lines.join(b", ".as_slice()))
}

fn query(request: &Parts, name: &str) -> Option<String> {
    let pairs = form_urlencoded::parse(request.uri.query()?.as_bytes());
    let mut values = pairs.filter(|(given, _)| given == name);
    let (_, value) = values.next()?;
    values.next().is_none().then(|| value.into_owned())
}

impl FromStr for Template {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Self, TemplateError> {
        let (mut pieces, mut rest) = (Vec::new(), text);
        while let Some((before, opened)) = rest.split_once('{') {
            let (name, after) = opened.split_once('}').ok_or(TemplateError)?;
            if !before.is_empty() {
                pieces.push(Piece::Text(before.to_owned()));
            }
            pieces.push(Piece::parse(name)?);
            rest = after;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        let bodies = pieces.iter().filter(|piece| **piece == Piece::Body).count();
        let is_legal = bodies <= 1 && !text.is_empty() && !texts(&pieces).any(|text| text.contains('}'));
        if is_legal { Ok(Self { pieces, text: text.to_owned() }) } else { Err(TemplateError) }
    }
}

fn texts(pieces: &[Piece]) -> impl Iterator<Item = &String> {
    pieces.iter().filter_map(|piece| if let Piece::Text(text) = piece { Some(text) } else { None })
}

impl Piece {
    fn parse(name: &str) -> Result<Self, TemplateError> {
        match name.split_once('.') {
            None if name == "body" => Ok(Self::Body),
            None if name == "timestamp" => Ok(Self::Timestamp),
            Some(("header", name)) => name.parse().map(Self::Header).map_err(|_| TemplateError),
            Some(("query", name)) if !name.is_empty() => Ok(Self::Query(name.to_owned())),
            _ => Err(TemplateError),
        }
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(uri: &str, headers: &[(&str, &str)]) -> Parts {
        let request = http::Request::builder().uri(uri);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        request.body(()).unwrap().into_parts().0
    }

    fn filled(template: &str, uri: &str, headers: &[(&str, &str)]) -> Option<(String, Option<String>)> {
        let template: Template = template.parse().unwrap();
        let around = template.fill(&parts(uri, headers), Some(b"17"))?;
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Some((text(around.before), around.after.map(text)))
    }

    #[test]
    fn placeholders_are_filled_around_the_body() {
        let some = |before: &str, after: Option<&str>| Some((before.to_owned(), after.map(str::to_owned)));

        assert_eq!(filled("{body}", "/", &[]), some("", Some("")));
        assert_eq!(filled("v1.{timestamp}.{body}", "/", &[]), some("v1.17.", Some("")));
        assert_eq!(filled("{body}{timestamp}!", "/", &[]), some("", Some("17!")));
        let mercado = "id:{query.data.id};request-id:{header.X-Request-Id};ts:{timestamp};";
        let headers = [("x-request-id", "r-1")];
        assert_eq!(
            filled(mercado, "/?data.id=12%20a", &headers),
            some("id:12 a;request-id:r-1;ts:17;", None)
        );
        assert_eq!(filled(mercado, "/?data.id=1", &[]), None, "without the header");
        assert_eq!(filled(mercado, "/?id=1", &headers), None, "without the query parameter");
        assert_eq!(filled(mercado, "/?data.id=1&data.id=2", &headers), None, "given twice");
    }

    #[test]
    fn an_invalid_template_is_refused() {
        for text in [
            "",
            "{",
            "{body",
            "body}",
            "{Body}",
            "{x}",
            "{header.}",
            "{header.a b}",
            "{query.}",
            "{body}{body}",
        ] {
            assert_eq!(text.parse::<Template>(), Err(TemplateError), "{text:?}");
        }
    }
}
