//! Holds the sources to `docs/architecture.md`: who may import whom, and no circles between files.
//!
//! It reads syntax, not types. Comments, string literals and items under `#[cfg(test)]` do not count; macros do.
#![expect(clippy::unwrap_used, reason = "test code; helpers are not covered by allow-unwrap-in-tests")]

mod circles;
mod rules;
mod source;

use source::{Source, sources};

#[test]
fn every_source_obeys_the_import_table() {
    let sources = sources();

    let broken: Vec<_> = sources.iter().flat_map(rules::violations).collect();

    assert!(!sources.is_empty(), "no source was found");
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn every_row_of_the_import_table_is_used() {
    let unused = rules::unused_rows(&sources());

    assert!(unused.is_empty(), "\n{}", unused.join("\n"));
}

#[test]
fn no_two_files_import_each_other_in_a_circle() {
    let circles = circles::find(&sources());

    assert!(circles.is_empty(), "\n{}", circles.join("\n"));
}

#[test]
fn every_source_begins_with_what_it_is() {
    let silent: Vec<_> = sources()
        .into_iter()
        .filter(|source| !source.text.starts_with("//!"))
        .map(|source| source.path)
        .collect();

    assert!(silent.is_empty(), "{silent:?}");
}

#[test]
fn no_module_root_is_named_mod() {
    let roots: Vec<_> = ["src", "tests"]
        .into_iter()
        .flat_map(source::files)
        .filter(|path| path.ends_with("mod.rs"))
        .collect();

    assert!(roots.is_empty(), "{roots:?}");
}

/// A source that stands nowhere but in a test.
fn planted(path: &str, text: &str) -> Source {
    Source::parse(path.into(), text.to_owned())
}
