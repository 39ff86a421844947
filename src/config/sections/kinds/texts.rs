//! How templates, pointers, names and conditions are written in the configuration.

use http::header::HeaderName;
use toml::de::DeValue;

use crate::config::reader::{Read, Setting, Value, quoted};
use crate::providers::declared::{Condition, Expected, Named, Pointer, RESERVED, Template, is_name};

/// Headers that the HTTP client or the gateway itself sets.
const FORBIDDEN_HEADERS: [&str; 10] = [
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "te",
    "upgrade",
    "expect",
    "accept-encoding",
    "cache-control",
    "traceparent",
];

impl Setting for Template {
    const EXPECTED: &'static str = "a text in which {name} stands for a secret, a parameter, {currency}, {type} or {token}, and {{ and }} for braces";

    fn read(value: &Value<'_>) -> Read<Self> {
        value.text(Self::EXPECTED, Self::parse)
    }

    fn show(&self) -> String {
        quoted(self.as_written())
    }
}

impl Setting for Pointer {
    const EXPECTED: &'static str = "a JSON pointer of at most 8 members, such as \"/balance\" or \"\" for the body itself, with ~0 for ~ and ~1 for /";

    fn read(value: &Value<'_>) -> Read<Self> {
        value.text(Self::EXPECTED, Self::parse)
    }

    fn show(&self) -> String {
        quoted(self.as_str())
    }
}

/// The path of a request, whose values are filled in.
#[derive(Clone, Debug)]
pub(super) struct PathTemplate(pub(in crate::config) Template);

impl Setting for PathTemplate {
    const EXPECTED: &'static str = "a path that starts with /, without query and fragment, in which {name} stands for a parameter, {currency} or {type}";

    fn read(value: &Value<'_>) -> Read<Self> {
        value.text(Self::EXPECTED, |text| {
            let legal = |byte: u8| byte.is_ascii_graphic() && !b"?#\\\"<>`^|{}".contains(&byte);
            let template = Template::parse(text)?;
            let is_path = text.starts_with('/') && template.literals().all(|text| text.bytes().all(legal));
            let is_plain = !text.split('/').any(|segment| matches!(segment, "." | ".."));
            (is_path && is_plain).then_some(Self(template))
        })
    }

    fn show(&self) -> String {
        self.0.show()
    }
}

/// The name of a secret or a parameter.
#[derive(Clone, Debug)]
pub(super) struct ValueName(pub(in crate::config) String);

impl Setting for ValueName {
    const EXPECTED: &'static str =
        "a name of letters, digits, _ and -, the first a letter, other than currency, type and token";

    fn read(value: &Value<'_>) -> Read<Self> {
        value.text(Self::EXPECTED, |text| {
            (is_name(text) && !RESERVED.contains(&text)).then(|| Self(text.to_owned()))
        })
    }

    fn show(&self) -> String {
        quoted(&self.0)
    }
}

/// Names, each with a template.
#[derive(Clone, Debug)]
pub(super) struct NamedTexts(pub(in crate::config) Named);

impl Setting for NamedTexts {
    const EXPECTED: &'static str = "a table of names and texts";

    fn read(value: &Value<'_>) -> Read<Self> {
        let read = |(name, value): (&str, Value<'_>)| Ok((name.to_owned(), Template::read(&value)?));
        let texts: Vec<Read<_>> = value.section(Self::EXPECTED)?.entries().into_iter().map(read).collect();
        Ok(Self(texts.into_iter().collect::<Read<_>>()?))
    }

    fn show(&self) -> String {
        table(self.0.iter().map(|(name, template)| (name.as_str(), template.show())))
    }
}

/// Headers, each with a template.
#[derive(Clone, Debug)]
pub(in crate::config) struct Headers(pub(in crate::config) Vec<(HeaderName, Template)>);

impl Setting for Headers {
    const EXPECTED: &'static str = "a table of header names and texts";

    fn read(value: &Value<'_>) -> Read<Self> {
        let mut names: Vec<HeaderName> = Vec::new();
        let read = |(name, value): (&str, Value<'_>)| {
            let name = read_header_name(name, &value)?;
            if names.contains(&name) {
                return Err(value.wrong(&format!("expected the header {name} once, whatever its case")));
            }
            names.push(name.clone());
            Ok((name, read_header_text(&value)?))
        };
        let headers: Vec<Read<_>> = value.section(Self::EXPECTED)?.entries().into_iter().map(read).collect();
        Ok(Self(headers.into_iter().collect::<Read<_>>()?))
    }

    fn show(&self) -> String {
        table(self.0.iter().map(|(name, template)| (name.as_str(), template.show())))
    }
}

fn read_header_name(name: &str, value: &Value<'_>) -> Read<HeaderName> {
    let parsed = HeaderName::try_from(name);
    let name = parsed.map_err(|_| value.wrong("expected the name of a header, of letters, digits and -"))?;
    if FORBIDDEN_HEADERS.contains(&name.as_str()) {
        return Err(value.wrong(&format!(
            "expected another header: the gateway itself sets {}",
            FORBIDDEN_HEADERS.join(", ")
        )));
    }
    Ok(name)
}

fn read_header_text(value: &Value<'_>) -> Read<Template> {
    let template = Template::read(value)?;
    let legal = |text: &str| text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
    if template.literals().all(legal) {
        Ok(template)
    } else {
        Err(value.wrong("expected a text of visible ASCII and spaces, as it is sent in a header"))
    }
}

/// User and password.
#[derive(Clone, Debug)]
pub(in crate::config) struct Basic(pub(in crate::config) [Template; 2]);

impl Setting for Basic {
    const EXPECTED: &'static str = "a list of user and password, at most one of them \"\"";

    fn read(value: &Value<'_>) -> Read<Self> {
        let pair: Vec<Template> = Vec::read(value)?;
        let pair: Result<[Template; 2], _> = pair.try_into();
        let has_text = |pair: &[Template; 2]| pair.iter().any(|template| !template.as_written().is_empty());
        pair.ok().filter(has_text).map(Self).ok_or_else(|| value.expected(Self::EXPECTED))
    }

    fn show(&self) -> String {
        self.0.to_vec().show()
    }
}

/// Conditions: members of a body that must have a given value.
#[derive(Clone, Debug)]
pub(super) struct Conditions(pub(in crate::config) Vec<Condition>);

impl Setting for Conditions {
    const EXPECTED: &'static str = "a table of JSON pointers and texts, numbers or booleans";

    fn read(value: &Value<'_>) -> Read<Self> {
        let read = |(pointer, value): (&str, Value<'_>)| {
            let at = Pointer::parse(pointer)
                .filter(|at| !at.is_root())
                .ok_or_else(|| value.wrong("expected a JSON pointer as the key, such as \"/status\""));
            let expected = Expected::read(&value);
            Ok(Condition { at: at?, expected: expected? })
        };
        let all: Vec<Read<_>> = value.section(Self::EXPECTED)?.entries().into_iter().map(read).collect();
        Ok(Self(all.into_iter().collect::<Read<_>>()?))
    }

    fn show(&self) -> String {
        table(self.0.iter().map(|condition| (condition.at.as_str(), condition.expected.show())))
    }
}

impl Setting for Expected {
    const EXPECTED: &'static str = "a text, a number or a boolean";

    fn read(value: &Value<'_>) -> Read<Self> {
        let number = |text: &str| Self::Number(text.trim_start_matches('+').to_owned());
        match value.toml() {
            DeValue::String(text) => Ok(Self::Text(text.to_string())),
            DeValue::Integer(integer) if integer.radix() == 10 => Ok(number(integer.as_str())),
            DeValue::Float(float) => Ok(number(float.as_str())),
            DeValue::Boolean(boolean) => Ok(Self::Boolean(*boolean)),
            _ => Err(value.expected(Self::EXPECTED)),
        }
    }

    fn show(&self) -> String {
        match self {
            Self::Text(text) => quoted(text),
            Self::Number(number) => number.clone(),
            Self::Boolean(boolean) => boolean.to_string(),
        }
    }
}

/// An inline table with quoted keys where they need it.
pub(in crate::config) fn table<'t>(entries: impl Iterator<Item = (&'t str, String)>) -> String {
    let bare = |key: &str| {
        !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
    };
    let entry = |(key, value): (&str, String)| {
        if bare(key) { format!("{key} = {value}") } else { format!("{} = {value}", quoted(key)) }
    };
    let entries: Vec<String> = entries.map(entry).collect();
    if entries.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", entries.join(", ")) }
}
