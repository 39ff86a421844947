//! The import table, and the names that a file must not contain.

use std::collections::BTreeSet;

use crate::source::SourceFile;

/// In the second column: every module of this crate may be imported.
const EVERYTHING: &[&str] = &["*"];

/// A module, the modules of this crate that it may import, and the crates that it must never name.
#[rustfmt::skip]
const TABLE: [(&str, &[&str], &[&str]); 22] = [
    ("domain",    &[],                                           &["reqwest", "axum", "moka", "prometheus"]),
    ("clock",     &["domain"],                                   &["reqwest", "axum", "moka", "prometheus"]),
    ("live",      &[],                                           &["reqwest", "axum", "moka", "prometheus"]),
    ("providers", &["domain"],                                   &["reqwest", "axum", "moka", "prometheus"]),
    ("metrics",   &["domain"],                                   &["axum"]),
    ("trace",     &["domain"],                                   &["axum", "moka", "prometheus"]),
    ("shared",    &["domain", "metrics"],                        &["reqwest", "axum", "moka"]),
    ("upstream",  &["clock", "domain", "metrics", "providers", "shared", "trace"], &["axum", "moka"]),
    ("cache",     &["domain", "shared", "trace"],                &["reqwest", "axum"]),
    ("gateway",   &["cache", "domain", "upstream"], &["reqwest", "axum"]),
    ("auth",      &["clock", "domain", "metrics", "telemetry"], &["reqwest", "axum", "moka"]),
    ("limits",    &["domain", "metrics", "shared"],              &["reqwest", "axum", "moka"]),
    ("server",    &["live", "metrics", "shutdown"],              &["reqwest", "axum", "moka"]),
    ("http",      &["auth", "clock", "domain", "gateway", "limits", "live", "metrics", "server", "shutdown", "telemetry", "trace"], &["reqwest", "moka"]),
    ("sandbox",   &[],                                           &["reqwest", "axum", "moka", "prometheus"]),
    // Modules own their settings; the configuration gathers them.
    ("config",    &["auth", "domain", "gateway", "http", "providers", "server", "shared", "trace", "upstream"], &[]),
    ("telemetry", &[],                                           &[]),
    ("shutdown",  &[],                                           &[]),
    ("app",       EVERYTHING,                                    &[]),
    ("cli",       EVERYTHING,                                    &[]),
    // The roots of the library and of the binary.
    ("lib",       &[],                                           &[]),
    ("main",      &["cli"],                                      &[]),
];
/// Modules that handle money: they contain no float.
const WITHOUT_FLOATS: [&str; 2] = ["domain", "providers"];
/// Modules that get the time as an argument: they read no clock.
const WITHOUT_CLOCKS: [&str; 1] = ["domain"];

/// The rows as `docs/architecture.md` shows them.
pub(crate) fn documented_rows() -> impl Iterator<Item = String> {
    let list = |names: &[&str], quote: &str, none: &str| match names {
        [] => none.to_owned(),
        names => names.iter().map(|name| format!("{quote}{name}{quote}")).collect::<Vec<_>>().join(", "),
    };
    TABLE.into_iter().filter(|(room, ..)| *room != "lib").map(move |(room, allowed, crates)| {
        let allowed =
            if allowed == EVERYTHING { "everything".to_owned() } else { list(allowed, "`", "nothing") };
        format!("| `{room}` | {allowed} | {} |", list(crates, "", "–"))
    })
}

/// The rules that a file breaks.
pub(crate) fn violations(source: &SourceFile) -> Vec<String> {
    let (path, room) = (source.path.display(), source.room());
    let Some((_, allowed, crates)) = TABLE.into_iter().find(|(name, ..)| *name == room) else {
        return vec![format!("{path}: {room} is not in the table")];
    };
    let may_import = |named: &str| named == room || allowed == EVERYTHING || allowed.contains(&named);
    let imports = imports(source).into_iter().filter(|named| !may_import(named));
    let names = |name: &&&str| source.words.iter().any(|word| word == *name || is_suffixed(word, name));
    let floats: &[&str] = if WITHOUT_FLOATS.contains(&&*room) { &["f32", "f64"] } else { &[] };
    let reads_clock = WITHOUT_CLOCKS.contains(&&*room) && source.words.iter().any(|word| word == "::now");
    imports
        .map(|named| format!("import {named}"))
        .chain(crates.iter().chain(floats).filter(names).map(|name| format!("name {name}")))
        .chain(reads_clock.then(|| "read a clock".to_owned()))
        .map(|broken| format!("{path}: {room} must not {broken}"))
        .collect()
}

/// The rows, and the entries of rows, that no source uses.
pub(crate) fn unused_rows(sources: &[SourceFile]) -> Vec<String> {
    let mut unused = Vec::new();
    for (room, allowed, _) in TABLE {
        let in_room: Vec<_> = sources.iter().filter(|source| source.room() == room).collect();
        if in_room.is_empty() {
            unused.push(format!("{room} has a row and no source"));
        }
        let imported: BTreeSet<_> = in_room.into_iter().flat_map(imports).collect();
        let is_unused = |name: &&&str| allowed != EVERYTHING && !imported.contains(**name);
        unused.extend(allowed.iter().filter(is_unused).map(|name| format!("{room} imports no {name}")));
    }
    unused
}

/// The modules at the root of the crate that a file names.
fn imports(source: &SourceFile) -> BTreeSet<String> {
    // A path without a segment is the crate itself, which gives access to every module.
    let room = |path: &Vec<String>| path.first().cloned().unwrap_or_else(|| "*".to_owned());
    source.paths.iter().chain(&source.visibilities).map(room).collect()
}

/// Whether a literal ends in this type.
fn is_suffixed(word: &str, r#type: &str) -> bool {
    word.starts_with(|first: char| first.is_ascii_digit()) && word.ends_with(r#type)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::planted;

    #[test]
    fn a_forbidden_import_is_found_however_it_is_written() {
        for (path, text, seen) in [
            ("cache.rs", "use crate::gateway::Gateway;", "gateway"),
            ("cache.rs", "use crate::{domain::{Amount, Currency}, gateway as g};", "gateway"),
            ("cache.rs", "use {crate::domain::Amount, crate::gateway};", "gateway"),
            ("cache.rs", "fn f() { let g = crate::gateway::Gateway::new(); }", "gateway"),
            ("cache.rs", "pub(in crate::http) struct S;", "http"),
            ("cache.rs", "use super::gateway;", "gateway"),
            ("cache/store.rs", "use super::super::gateway::Gateway;", "gateway"),
            ("cache/store.rs", "use super::{super::gateway::Gateway, Cache};", "gateway"),
            ("cache/store.rs", "use self::super::super::gateway::Gateway;", "gateway"),
            ("cache.rs", "mod inner { use super::super::gateway; }", "gateway"),
            ("cache.rs", "mod inner { } use super::gateway;", "gateway"),
            ("cache.rs", "macro_rules! m { () => { $crate::gateway::f() } }", "gateway"),
            ("cache.rs", "fn f() { log!(error = crate::gateway::f()); }", "gateway"),
            ("cache.rs", "use crate::*;", "*"),
            ("cache.rs", "use crate as root;", "*"),
            ("cache.rs", "use crate::{self as root};", "*"),
            ("cache.rs", "use super::*;", "*"),
            ("main.rs", "fn main() { balance_gateway::app::run() }", "app"),
            ("cache.rs", "const C: char = '\"'; use crate::gateway; const D: char = '\"';", "gateway"),
            ("cache.rs", "fn f<'a>(text: &'a str) -> &'a crate::gateway::G { }", "gateway"),
            ("cache.rs", "#[cfg(test)] use crate::http; use crate::gateway;", "gateway"),
            ("cache.rs", "#[cfg(test)] mod tests { fn f() {} } use crate::gateway;", "gateway"),
            ("cache.rs", "#[cfg(not(test))] use crate::gateway;", "gateway"),
        ] {
            let source = planted(path, text);

            let found = violations(&source);

            assert_eq!(found, [format!("{path}: {} must not import {seen}", source.room())], "{text}");
        }
    }

    #[test]
    fn allowed_imports_comments_and_texts_are_not_reported() {
        for (path, text) in [
            ("cache.rs", "use crate::domain::{Amount, Currency}; use crate::{shared::Lease, trace};"),
            ("cache.rs", "use crate::cache::store; use self::store::Store; pub(crate) fn f() {}"),
            ("cache/store.rs", "use super::{Cache, entry::Entry}; use super::super::domain;"),
            ("cache/store/deep.rs", "use super::super::gateway;"),
            ("cache.rs", "mod inner { use super::*; use super::gateway; }"),
            ("cache.rs", "//! crate::http\n// axum::Router\n/* reqwest /* crate::http */ moka */"),
            ("cache.rs", "/// [`crate::app`]\nstruct S;"),
            ("cache.rs", r##"const A: &str = "crate::http \" axum"; const B: &str = r#"" reqwest "#;"##),
            (
                "cache.rs",
                "use crate::domain;\n#[cfg(test)]\nmod tests { use crate::http; use reqwest::Client; }",
            ),
            ("cache.rs", "#[cfg(test)]\nfn f(a: [u8; 2]) -> crate::http::H { reqwest::get() }"),
            ("cache.rs", "impl S { #[cfg(test)] fn f() -> crate::http::H { reqwest::get() } }"),
            ("app.rs", "use crate::{cache, http, upstream}; use axum::Router;"),
            ("main.rs", "use balance_gateway::cli; fn main() { cli::run() }"),
            ("gateway.rs", "const HALF: f64 = 0.5;"),
        ] {
            assert_eq!(violations(&planted(path, text)), [""; 0], "{text}");
        }
    }

    #[test]
    fn crates_floats_and_clocks_are_found_where_they_are_forbidden() {
        for (path, text, told) in [
            ("cache.rs", "use reqwest::Client;", "cache must not name reqwest"),
            ("cache/store.rs", "use {::axum::Router, std::fmt};", "cache must not name axum"),
            ("domain/amount.rs", "fn f(x: f64) {}", "domain must not name f64"),
            ("providers/pluggo.rs", "const X: u8 = 1.5_f32 as u8;", "providers must not name f32"),
            ("domain.rs", "fn f() { let at = Instant::now(); }", "domain must not read a clock"),
            ("helpers.rs", "", "helpers is not in the table"),
            ("helpers/text.rs", "", "helpers is not in the table"),
        ] {
            assert_eq!(violations(&planted(path, text)), [format!("{path}: {told}")], "{text}");
        }
    }

    #[test]
    fn a_row_without_use_is_found() {
        let sources = [planted("limits.rs", "use crate::domain::CallerName; use crate::shared::Units;")];

        let unused = unused_rows(&sources);

        assert!(unused.contains(&"limits imports no metrics".to_owned()), "{unused:?}");
        assert!(!unused.contains(&"limits imports no shared".to_owned()), "{unused:?}");
        assert!(unused.contains(&"cache has a row and no source".to_owned()), "{unused:?}");
    }
}
