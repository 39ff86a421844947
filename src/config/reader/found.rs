//! How messages show the values that they found, without repeating a secret.

use std::borrow::Cow;

use toml::de::DeValue;

use super::effective::quoted;

/// The longest text that a message repeats, in bytes.
const LONGEST: usize = 80;
/// The shortest run of letters and digits that counts as a generated secret.
const SECRET_RUN: usize = 16;

/// The value as written; for a list or a table only its type.
pub(in crate::config) fn shown(value: &DeValue<'_>) -> Cow<'static, str> {
    match value {
        DeValue::String(text) if may_be_secret(text) => {
            "a text that is not shown, as it may hold a secret".into()
        }
        DeValue::String(text) if text.len() > LONGEST => "a longer text".into(),
        DeValue::String(text) => quoted(text).into(),
        DeValue::Integer(number) => number.as_str().to_owned().into(),
        DeValue::Float(number) => number.as_str().to_owned().into(),
        DeValue::Boolean(switch) => switch.to_string().into(),
        DeValue::Datetime(instant) => instant.to_string().into(),
        DeValue::Array(_) | DeValue::Table(_) => form(value),
    }
}

/// The type of the value, such as `a list`.
pub(in crate::config) fn form(value: &DeValue<'_>) -> Cow<'static, str> {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
    .into()
}

/// The name of an environment variable, unless it looks like a secret.
pub(in crate::config) fn variable(name: &str) -> String {
    if may_be_secret(name) { "(name not shown: it may be a secret)".to_owned() } else { name.to_owned() }
}

/// Whether a text looks like a secret, or like a URL with one: a URL with a user or a query, or a long run of letters
/// and digits that mixes both.
fn may_be_secret(text: &str) -> bool {
    let has_login = text.contains('@') || text.contains('?') && text.contains('=');
    let mut runs = text.split(|c: char| !c.is_ascii_alphanumeric());
    let is_generated = |run: &str| {
        run.len() >= SECRET_RUN
            && run.bytes().any(|byte| byte.is_ascii_digit())
            && run.bytes().any(|byte| byte.is_ascii_alphabetic())
    };
    has_login || runs.any(is_generated)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_looks_like_a_secret_is_not_shown() {
        for text in [
            "https://user:pass@api.example",
            "https://api.example?key=1",
            "sk_live_51HabcdEFGHijklm",
            "9F86D081884C7D659A2FEAA0C55AD015",
        ] {
            assert!(may_be_secret(text), "{text}");
        }
        for text in ["NTXPAY_CLIENT_SECRET_2", "NOT_SET", "ntxpay-br", "https://api.example/v2", "10s", ""] {
            assert!(!may_be_secret(text), "{text}");
        }
    }
}
