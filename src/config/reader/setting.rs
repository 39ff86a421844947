//! How the value of a key is read and shown; plain values: switches, counts and lists.

use std::num::NonZeroU32;

use toml::de::DeValue;

use super::reading::Read;
use super::value::Value;

/// The value of a key.
pub(in crate::config) trait Setting: Sized {
    /// Completes the message "expected …".
    const EXPECTED: &'static str;

    /// Reads the value, or reports why it cannot.
    fn read(value: &Value<'_>) -> Read<Self>;

    /// The value as TOML, masked if it is a secret.
    fn show(&self) -> String;
}

impl Setting for bool {
    const EXPECTED: &'static str = "true or false";

    fn read(value: &Value<'_>) -> Read<Self> {
        let DeValue::Boolean(switch) = value.toml() else {
            return Err(value.expected(Self::EXPECTED));
        };
        Ok(*switch)
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Setting for u32 {
    const EXPECTED: &'static str = "a whole number from 0 to 4294967295";

    fn read(value: &Value<'_>) -> Read<Self> {
        whole_number(value).ok_or_else(|| value.expected(Self::EXPECTED))
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Setting for NonZeroU32 {
    const EXPECTED: &'static str = "a whole number from 1 to 4294967295";

    fn read(value: &Value<'_>) -> Read<Self> {
        let number = whole_number(value).and_then(Self::new);
        number.ok_or_else(|| value.expected(Self::EXPECTED))
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

fn whole_number(value: &Value<'_>) -> Option<u32> {
    let DeValue::Integer(number) = value.toml() else { return None };
    u32::from_str_radix(number.as_str(), number.radix()).ok()
}

impl<T: Setting> Setting for Vec<T> {
    const EXPECTED: &'static str = "a list";

    fn read(value: &Value<'_>) -> Read<Self> {
        let items = value.items(Self::EXPECTED)?;
        // Collected first, so that a mistake in one does not hide the next.
        let read: Vec<Read<T>> = items.iter().map(T::read).collect();
        read.into_iter().collect()
    }

    fn show(&self) -> String {
        let items: Vec<String> = self.iter().map(T::show).collect();
        format!("[{}]", items.join(", "))
    }
}
