//! `header` and `basic` of a hook: proofs that are secrets themselves.

use secrecy::SecretString;
use toml::de::DeValue;

use super::secrets::Secrets;
use super::values::{Header, Text};
use crate::config::reader::{Read, Setting, Value};
use crate::http::SecretHeader;

/// One secret header, or several that must all hold.
pub(in crate::config) struct Headers {
    pub(in crate::config) headers: Vec<SecretHeader>,
    shown: String,
}

impl Setting for Headers {
    const EXPECTED: &'static str = "{ name = \"…\", secret = { file = \"…\" } }, or a list of such headers";

    fn read(value: &Value<'_>) -> Read<Self> {
        let DeValue::Array(_) = value.toml() else {
            let (header, shown) = read_header(value)?;
            return Ok(Self { headers: vec![header], shown });
        };
        let items = value.items(Self::EXPECTED)?;
        if items.is_empty() {
            return Err(value.empty(Self::EXPECTED));
        }
        // Collected first, so that a mistake in one does not hide the next.
        let read: Vec<Read<_>> = items.iter().map(read_header).collect();
        let (headers, shown): (Vec<_>, Vec<_>) =
            read.into_iter().collect::<Read<Vec<_>>>()?.into_iter().unzip();
        Ok(Self { headers, shown: format!("[{}]", shown.join(", ")) })
    }

    fn show(&self) -> String {
        self.shown.clone()
    }
}

fn read_header(value: &Value<'_>) -> Read<(SecretHeader, String)> {
    let mut section = value.section(Headers::EXPECTED)?;
    let name: Read<Header> = section.required("name");
    let secrets: Read<Secrets> = section.required("secret");
    let shown = section.inline();
    section.close();
    Ok((SecretHeader { name: name?.0, secrets: secrets?.0 }, shown))
}

/// A user and its password, or several during a rotation.
pub(in crate::config) struct Basic {
    pub(in crate::config) user: String,
    pub(super) passwords: Vec<SecretString>,
    shown: String,
}

impl Setting for Basic {
    const EXPECTED: &'static str = "{ user = \"…\", password = { file = \"…\" } }";

    fn read(value: &Value<'_>) -> Read<Self> {
        let mut section = value.section(Self::EXPECTED)?;
        let user: Read<Text> = section.required("user");
        let user = user.and_then(|Text(user)| {
            if user.contains(':') { Err(section.expected("user", "a name without \":\"")) } else { Ok(user) }
        });
        let passwords: Read<Secrets> = section.required("password");
        let shown = section.inline();
        section.close();
        Ok(Self { user: user?, passwords: passwords?.0, shown })
    }

    fn show(&self) -> String {
        self.shown.clone()
    }
}
