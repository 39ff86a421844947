//! Checks the sources against `docs/architecture.md`: allowed imports, no circles between files, explicit log targets.
//!
//! It reads syntax, not types. Comments, string literals and items under `#[cfg(test)]` do not count; macros do.
#![expect(clippy::unwrap_used, reason = "test code; helpers are not covered by allow-unwrap-in-tests")]

mod circles;
mod log_targets;
mod rules;
mod source;

use std::path::Path;

use source::{SourceFile, sources};

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
fn the_documented_import_table_is_the_enforced_one() {
    let document = include_str!("../../docs/architecture.md");

    let missing: Vec<_> = rules::documented_rows().filter(|row| !document.contains(row)).collect();

    assert!(missing.is_empty(), "docs/architecture.md lacks\n{}", missing.join("\n"));
}

#[test]
fn no_two_files_import_each_other_in_a_circle() {
    let circles = circles::find(&sources());

    assert!(circles.is_empty(), "\n{}", circles.join("\n"));
}

#[test]
fn every_log_line_has_an_explicit_target() {
    let missing: Vec<_> = sources().iter().flat_map(log_targets::missing).collect();

    assert!(missing.is_empty(), "\n{}", missing.join("\n"));
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
fn every_source_is_declared_by_its_parent() {
    let orphans: Vec<_> = source::files("src").into_iter().filter(|path| !is_declared(path)).collect();

    assert!(orphans.is_empty(), "{orphans:?}");
}

/// Whether the parent of a file under `src` has a `mod` line for it; the roots need none.
fn is_declared(path: &Path) -> bool {
    let name = path.file_stem().unwrap().to_str().unwrap();
    let folder = path.parent().unwrap();
    let is_root = folder.ends_with("src");
    let parent = if is_root { folder.join("lib.rs") } else { folder.with_extension("rs") };
    let declares = |text: String| text.lines().any(|line| line.trim().ends_with(&format!("mod {name};")));
    is_root && matches!(name, "lib" | "main") || std::fs::read_to_string(parent).is_ok_and(declares)
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

/// A source that exists only in a test.
fn planted(path: &str, text: &str) -> SourceFile {
    SourceFile::parse(path.into(), text.to_owned())
}
