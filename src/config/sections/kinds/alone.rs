//! A kind by itself: to try a body with its mapping, or to simulate its provider.

use std::path::Path;
use std::sync::Arc;

use toml::de::DeTable;

use super::{examples, kind, mapping};
use crate::config::reader::{ConfigErrors, ConfigReading, Purpose, Read, Section};
use crate::domain::Currency;
use crate::providers::declared::{Declared, MappingReader};

/// A declared kind with the bodies of its examples.
#[derive(Debug)]
pub struct KindFile {
    /// The kind.
    pub kind: Arc<Declared>,
    /// Each body that the kind reads, with the currency that it is read in.
    pub bodies: Vec<(Currency, String)>,
}

/// Reads only the mapping of one kind from a configuration file.
///
/// # Errors
/// [`ConfigErrors`] with every mistake of the mapping.
pub fn load_mapping(path: &Path, name: &str) -> Result<MappingReader, ConfigErrors> {
    let text = std::fs::read_to_string(path).map_err(|error| ConfigErrors::unreadable(path, &error))?;
    with_kinds(&text, path, &|_| None, |tables, root| {
        let names: Vec<&str> = tables.iter().map(|(name, _)| *name).collect();
        let Some((_, mut section)) = tables.into_iter().find(|(known, _)| *known == name) else {
            return Err(root.wrong("kinds", &format!("expected a kind {name}, among {}", names.join(", "))));
        };
        Ok(MappingReader::new(&mapping::read(&mut section)?))
    })
}

/// Reads a text that declares one kind, and nothing else. `env` looks up environment variables.
///
/// # Errors
/// [`ConfigErrors`] with every mistake.
pub fn parse_kind(
    text: &str,
    path: &Path,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<KindFile, ConfigErrors> {
    with_kinds(text, path, env, |mut tables, root| {
        let (Some((name, mut section)), true) = (tables.pop(), tables.is_empty()) else {
            return Err(root.wrong("kinds", "expected exactly one table [kinds.NAME]"));
        };
        let kind = kind::read(name, &mut section)?;
        let bodies = examples::bodies(&mut section, &kind)?;
        section.close();
        Ok(KindFile { kind, bodies })
    })
}

fn with_kinds<T>(
    text: &str,
    path: &Path,
    env: &dyn Fn(&str) -> Option<String>,
    read: impl FnOnce(Vec<(&str, Section<'_>)>, &Section<'_>) -> Read<T>,
) -> Result<T, ConfigErrors> {
    let (document, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        return Err(ConfigErrors::syntax(path, text, &errors));
    }
    let reading = ConfigReading::new(env, Purpose::Start);
    let mut root = Section::root(document.get_ref(), &reading);
    let read = root.tables("kinds").and_then(|tables| read(tables, &root));
    drop(root);
    let mistakes = reading.into_result().mistakes;
    match read {
        Ok(read) if mistakes.is_empty() => Ok(read),
        _ => Err(ConfigErrors::new(path, mistakes)),
    }
}
