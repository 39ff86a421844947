//! Texts with names in braces, `Bearer {token}`: the parts of a declared kind's requests.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretString};

use super::values::AccountValues;
use crate::domain::{BalanceType, Currency, Selector};
use crate::providers::RequestError;

/// Names that no secret and no parameter may have.
pub const RESERVED: [&str; 3] = ["currency", "type", "token"];
/// The characters to percent-encode in a path segment or a query: all but the unreserved ones of RFC 3986.
const MUST_BE_ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A text in which each `{name}` stands for a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    written: String,
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Name { name: String, is_lower: bool },
}

impl Template {
    /// Reads a template; `{{` and `}}` stand for braces. `None` for a brace without its partner, or an invalid name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (mut pieces, mut literal, mut rest) = (Vec::new(), String::new(), text);
        while let Some(at) = rest.find(['{', '}']) {
            let (before, from) = rest.split_at(at);
            literal.push_str(before);
            if let Some(after) = from.strip_prefix("{{").or_else(|| from.strip_prefix("}}")) {
                literal.push_str(&from[..1]);
                rest = after;
                continue;
            }
            let (name, after) = from.strip_prefix('{')?.split_once('}')?;
            if !literal.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut literal)));
            }
            pieces.push(Piece::parse(name)?);
            rest = after;
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            pieces.push(Piece::Text(literal));
        }
        Some(Self { written: text.to_owned(), pieces })
    }

    /// The text as it was written.
    #[must_use]
    pub fn as_written(&self) -> &str {
        &self.written
    }

    /// Every name in it.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Text(_) => None,
            Piece::Name { name, .. } => Some(name.as_str()),
        })
    }

    /// The parts between the names.
    pub fn literals(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Text(text) => Some(text.as_str()),
            Piece::Name { .. } => None,
        })
    }

    /// Whether it is `Bearer {token}` and nothing else; the case of `Bearer` is ignored.
    #[must_use]
    pub fn is_bearer_token(&self) -> bool {
        let [Piece::Text(text), Piece::Name { name, .. }] = self.pieces.as_slice() else { return false };
        text.trim_end().eq_ignore_ascii_case("bearer") && name == "token"
    }
}

impl Piece {
    fn parse(name: &str) -> Option<Self> {
        let (name, is_lower) = match name.split_once(':') {
            Some(("currency", "lower")) => ("currency", true),
            Some(_) => return None,
            None => (name, false),
        };
        is_name(name).then(|| Self::Name { name: name.to_owned(), is_lower })
    }
}

/// Whether a text can name a secret or a parameter: 1 to 63 letters, digits, `_` and `-`, the first a letter.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    (1..=63).contains(&text.len())
        && text.bytes().all(legal)
        && text.starts_with(|first: char| first.is_ascii_alphabetic())
}

/// The values for the names of a template, in one request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Filling<'a> {
    pub(super) values: &'a AccountValues,
    pub(super) token: Option<&'a SecretString>,
    /// `None` in a token exchange.
    pub(super) selector: Option<&'a Selector>,
}

/// How a value is written into a text.
#[derive(Clone, Copy, Debug)]
pub(super) enum Escaping {
    /// Unchanged.
    None,
    /// Percent-encoded.
    Percent,
}

/// A filled template.
#[derive(Debug)]
pub(super) struct Filled {
    pub(super) text: SecretString,
    pub(super) holds_secret: bool,
}

impl Filling<'_> {
    /// Fills a template. `None` where it names the type of a balance that has none.
    pub(super) fn fill(
        &self,
        template: &Template,
        escaping: Escaping,
    ) -> Result<Option<Filled>, RequestError> {
        let (mut text, mut holds_secret) = (String::new(), false);
        for piece in &template.pieces {
            match piece {
                Piece::Text(literal) => text.push_str(literal),
                Piece::Name { name, is_lower } => {
                    let Some(value) = self.value(name)? else { return Ok(None) };
                    holds_secret |= value.is_secret;
                    text.push_str(&written(value.text, *is_lower, escaping));
                }
            }
        }
        Ok(Some(Filled { text: text.into(), holds_secret }))
    }

    fn value(&self, name: &str) -> Result<Option<Value<'_>>, RequestError> {
        let missing = || RequestError::NoValue(name.to_owned());
        let selector = self.selector;
        match name {
            "token" => self.token.map(Value::secret).map(Some).ok_or_else(missing),
            "currency" => {
                let currency = selector.and_then(|selector| selector.currency.as_ref());
                currency.map(|currency| Some(Value::plain(Currency::as_str(currency)))).ok_or_else(missing)
            }
            "type" => {
                let r#type = selector.ok_or_else(missing)?.r#type.as_ref();
                Ok(r#type.map(|r#type| Value::plain(BalanceType::as_str(r#type))))
            }
            name => {
                let secret = self.values.secret(name).map(Value::secret);
                let value = secret.or_else(|| self.values.parameter(name).map(Value::plain));
                value.map(Some).ok_or_else(missing)
            }
        }
    }
}

struct Value<'a> {
    text: &'a str,
    is_secret: bool,
}

impl<'a> Value<'a> {
    fn secret(secret: &'a SecretString) -> Self {
        Self { text: secret.expose_secret(), is_secret: true }
    }

    fn plain(text: &'a str) -> Self {
        Self { text, is_secret: false }
    }
}

fn written(text: &str, is_lower: bool, escaping: Escaping) -> String {
    let text = if is_lower { Cow::Owned(text.to_ascii_lowercase()) } else { Cow::Borrowed(text) };
    match escaping {
        Escaping::None => text.into_owned(),
        Escaping::Percent => escaped(&text),
    }
}

/// A text as a part of a URL.
pub(super) fn escaped(text: &str) -> String {
    utf8_percent_encode(text, MUST_BE_ENCODED).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(template: &str, r#type: Option<&str>, escaping: Escaping) -> Option<String> {
        let mut values = AccountValues::default();
        values.set_secret("key", "s+3 cret".into());
        values.set_parameter("id", "a@b".to_owned());
        let selector =
            Selector { r#type: r#type.and_then(BalanceType::parse), ..Selector::of(Currency::BRL) };
        let filling = Filling { values: &values, token: Some(&"t0ken".into()), selector: Some(&selector) };
        let filled = filling.fill(&Template::parse(template).unwrap(), escaping).unwrap();
        filled.map(|filled| filled.text.expose_secret().to_owned())
    }

    #[test]
    fn each_name_is_replaced_by_its_value() {
        for (template, text) in [
            ("plain", "plain"),
            ("", ""),
            ("Bearer {token}", "Bearer t0ken"),
            ("{key}{id}", "s+3 creta@b"),
            ("{{{id}}}", "{a@b}"),
            ("{currency}/{currency:lower}", "BRL/brl"),
        ] {
            assert_eq!(filled(template, None, Escaping::None).as_deref(), Some(text), "{template}");
        }
        assert_eq!(filled("/a b/{id}?{key}", None, Escaping::Percent).unwrap(), "/a b/a%40b?s%2B3%20cret");
    }

    #[test]
    fn a_text_with_a_type_is_left_out_for_a_balance_without_one() {
        assert_eq!(filled("t-{type}", None, Escaping::None), None);
        assert_eq!(filled("t-{type}", Some("FIAT"), Escaping::None).as_deref(), Some("t-FIAT"));
    }

    #[test]
    fn an_invalid_template_is_refused() {
        for text in ["{", "}", "{a", "a}", "{}", "{1a}", "{a b}", "{a:lower}", "{currency:upper}", "{{a}"] {
            assert_eq!(Template::parse(text), None, "{text}");
        }
    }

    #[test]
    fn only_the_scheme_and_the_token_are_a_bearer_token() {
        for (text, is_bearer) in
            [("Bearer {token}", true), ("bearer {token}", true), ("{token}", false), ("Bearer {key}", false)]
        {
            assert_eq!(Template::parse(text).unwrap().is_bearer_token(), is_bearer, "{text}");
        }
    }
}
