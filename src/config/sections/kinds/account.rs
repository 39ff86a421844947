//! The secrets and parameters of an account of a declared kind: exactly those that its kind names.

use std::sync::Arc;

use super::texts::table;
use crate::config::reader::{Read, Reported, Section, Setting, Value, quoted};
use crate::config::values::Secret;
use crate::providers::Authorisation;
use crate::providers::Provider as _;
use crate::providers::declared::{AccountValues, Declared};
use crate::upstream::Credential;

/// Reads `secrets` and `parameters`.
pub(in crate::config) fn read_values(section: &mut Section<'_>, kind: &Declared) -> Read<Credential> {
    let declaration = kind.declaration();
    let secrets: Read<Vec<(String, Secret)>> =
        read_named(section, "secrets", &declaration.secrets, kind.kind());
    let parameters: Read<Vec<(String, Parameter)>> =
        read_named(section, "parameters", &declaration.parameters, kind.kind());
    let mut values = AccountValues::default();
    for (name, secret) in secrets? {
        values.set_secret(&name, secret.0);
    }
    for (name, parameter) in parameters? {
        values.set_parameter(&name, parameter.0);
    }
    let values = Arc::new(values);
    Ok(if kind.has_token() {
        Credential::Values(values)
    } else {
        Credential::Static(Authorisation::Declared { values, token: None })
    })
}

/// Whether a credential from before the reload fits this kind.
pub(in crate::config) fn values_fit(credential: &Credential, kind: &Declared) -> bool {
    let values = match credential {
        Credential::Values(values) if kind.has_token() => values,
        Credential::Static(Authorisation::Declared { values, .. }) if !kind.has_token() => values,
        _ => return false,
    };
    values.secret_names().eq(kind.declaration().secrets.iter().map(String::as_str))
        && values.parameters().count() == kind.declaration().parameters.len()
}

/// Reads a table whose keys are exactly these names.
fn read_named<T: Setting>(
    section: &mut Section<'_>,
    key: &'static str,
    names: &[String],
    kind: &str,
) -> Read<Vec<(String, T)>> {
    let expected = format!("a table of exactly what the kind {kind} names: {}", names.join(", "));
    let Some(value) = section.value(key) else {
        return if names.is_empty() {
            Ok(Vec::new())
        } else {
            Err(section.wrong(key, &format!("missing, expected {expected}")))
        };
    };
    if names.is_empty() {
        return Err(value.wrong(&format!("not for the kind {kind}, which names none")));
    }
    let entries = value.section(&expected)?.entries();
    let foreign = entries.iter().filter(|(name, _)| !names.iter().any(|known| known == name));
    let unknown = format!("unknown key, expected one of {}", names.join(", "));
    let foreign: Vec<Reported> = foreign.map(|(_, value)| value.wrong(&unknown)).collect();
    let read: Vec<Read<(String, T)>> = names
        .iter()
        .map(|name| {
            let entry = entries.iter().find(|(written, _)| written == name);
            let (_, entry) =
                entry.ok_or_else(|| value.wrong(&format!("{name} is missing, expected {expected}")))?;
            Ok((name.clone(), T::read(entry)?))
        })
        .collect();
    let read = read.into_iter().collect::<Read<Vec<_>>>()?;
    section.show_text(key, table(read.iter().map(|(name, value)| (name.as_str(), value.show()))));
    if foreign.is_empty() { Ok(read) } else { Err(Reported) }
}

/// A value that is not secret, and that may be part of a path.
struct Parameter(String);

impl Setting for Parameter {
    const EXPECTED: &'static str = "a text of A-Z, a-z, 0-9 and - . _ ~ @ +, not . or ..";

    fn read(value: &Value<'_>) -> Read<Self> {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~@+".contains(&byte);
        value.text(Self::EXPECTED, |text| {
            let is_legal = !text.is_empty() && !matches!(text, "." | "..") && text.bytes().all(legal);
            is_legal.then(|| Self(text.to_owned()))
        })
    }

    fn show(&self) -> String {
        quoted(&self.0)
    }
}
