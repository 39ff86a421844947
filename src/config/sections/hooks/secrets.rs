//! One secret, or several during a rotation: each of them proves a notification.

use secrecy::SecretString;
use toml::de::DeValue;

use crate::config::reader::{Read, Setting, Value};
use crate::config::values::{MASK, Secret};

/// One secret, or several during a rotation.
pub(in crate::config) struct Secrets(pub(in crate::config) Vec<SecretString>);

impl Setting for Secrets {
    const EXPECTED: &'static str = Secret::EXPECTED;

    fn read(value: &Value<'_>) -> Read<Self> {
        // Collected first, so that a mistake in one does not hide the next.
        let secrets: Vec<Read<Secret>> = each(value)?.iter().map(Secret::read).collect();
        let secrets: Read<Vec<_>> = secrets.into_iter().map(|secret| Ok(secret?.0)).collect();
        Ok(Self(secrets?))
    }

    fn show(&self) -> String {
        masked(self.0.len())
    }
}

/// The value itself, or each of its items.
pub(in crate::config) fn each<'a>(value: &Value<'a>) -> Read<Vec<Value<'a>>> {
    let DeValue::Array(_) = value.toml() else { return Ok(vec![value.clone()]) };
    let items = value.items(Secret::EXPECTED)?;
    if items.is_empty() {
        return Err(value.empty(Secret::EXPECTED));
    }
    Ok(items)
}

/// The effective text of this many secrets.
pub(in crate::config) fn masked(count: usize) -> String {
    if count == 1 { MASK.to_owned() } else { format!("[{}]", vec![MASK; count].join(", ")) }
}
