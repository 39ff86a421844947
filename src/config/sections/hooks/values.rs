//! Plain values of a hook: a header, a text, a status.

use http::StatusCode;
use http::header::HeaderName;
use toml::de::DeValue;

use crate::config::reader::{Read, Setting, Value, quoted};

/// A header's name.
#[derive(Clone)]
pub(super) struct Header(pub(in crate::config) HeaderName);

impl Setting for Header {
    const EXPECTED: &'static str = "the name of a header";

    fn read(value: &Value<'_>) -> Read<Self> {
        value.text(Self::EXPECTED, |text| text.parse().ok().map(Self))
    }

    fn show(&self) -> String {
        quoted(self.0.as_str())
    }
}

/// A text that is not empty.
pub(in crate::config) struct Text(pub(in crate::config) String);

impl Setting for Text {
    const EXPECTED: &'static str = "a text";

    fn read(value: &Value<'_>) -> Read<Self> {
        value.text(Self::EXPECTED, |text| (!text.is_empty()).then(|| Self(text.to_owned())))
    }

    fn show(&self) -> String {
        quoted(&self.0)
    }
}

/// The status of an accepted notification.
pub(super) struct Delivered(pub(super) StatusCode);

impl Setting for Delivered {
    const EXPECTED: &'static str = "a status from 200 to 299";

    fn read(value: &Value<'_>) -> Read<Self> {
        let DeValue::Integer(number) = value.toml() else { return Err(value.expected(Self::EXPECTED)) };
        let status = u16::from_str_radix(number.as_str(), number.radix()).ok();
        let status = status.and_then(|status| StatusCode::from_u16(status).ok());
        let status = status.filter(StatusCode::is_success).ok_or_else(|| value.expected(Self::EXPECTED))?;
        Ok(Self(status))
    }

    fn show(&self) -> String {
        self.0.as_u16().to_string()
    }
}
