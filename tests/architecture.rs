//! Holds the sources to the table "Who may import whom": the design's rules that no compiler knows.
//!
//! It reads tokens, not types: comments, texts and items under `#[cfg(test)]` do not count, macros do.
#![expect(clippy::unwrap_used, reason = "test code; helpers are not covered by allow-unwrap-in-tests")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Stands in the second column for every module of ours.
const EVERYTHING: &[&str] = &["*"];

/// Module, which of ours it may import, which crates it must never name.
#[rustfmt::skip]
const TABLE: [(&str, &[&str], &[&str]); 22] = [
    ("domain",    &[],                                           &["reqwest", "axum", "moka", "prometheus"]),
    ("clock",     &["domain"],                                   &["reqwest", "axum", "moka", "prometheus"]),
    ("live",      &[],                                           &["reqwest", "axum", "moka", "prometheus"]),
    ("providers", &["domain"],                                   &["reqwest", "axum", "moka", "prometheus"]),
    ("metrics",   &["domain"],                                   &["axum"]),
    ("trace",     &["domain"],                                   &["axum", "moka", "prometheus"]),
    ("shared",    &["clock", "domain", "metrics"],               &["reqwest", "axum", "moka"]),
    ("upstream",  &["clock", "domain", "metrics", "providers", "shared", "trace"], &["axum", "moka"]),
    ("cache",     &["domain", "metrics", "shared", "trace"],     &["reqwest", "axum"]),
    ("gateway",   &["cache", "domain", "providers", "trace", "upstream"], &["reqwest", "axum"]),
    ("auth",      &["clock", "domain", "live", "metrics", "telemetry"], &["reqwest", "axum", "moka"]),
    ("limits",    &["domain", "metrics", "shared"],              &["reqwest", "axum", "moka"]),
    ("server",    &["live", "metrics", "shutdown"],              &["reqwest", "axum", "moka"]),
    ("http",      &["auth", "clock", "domain", "gateway", "limits", "live", "metrics", "server", "shutdown", "telemetry", "trace"], &["reqwest", "moka"]),
    ("sandbox",   &["domain"],                                   &["reqwest", "axum", "moka", "prometheus"]),
    // Modules own their settings; the configuration gathers them.
    ("config",    &["auth", "cache", "domain", "gateway", "http", "limits", "providers", "server", "shared", "telemetry", "trace", "upstream"], &[]),
    ("telemetry", &["metrics"],                                  &[]),
    ("shutdown",  &["metrics"],                                  &[]),
    ("app",       EVERYTHING,                                    &[]),
    ("cli",       EVERYTHING,                                    &[]),
    // The roots of the library and of the binary.
    ("lib",       &[],                                           &[]),
    ("main",      &["cli"],                                      &[]),
];
/// Where money is handled: no float there.
const WITHOUT_FLOATS: [&str; 2] = ["domain", "providers"];
/// Where time is an argument: no clock is read there.
const WITHOUT_CLOCKS: [&str; 1] = ["domain"];

#[test]
fn the_sources_keep_to_the_table() {
    let sources: Vec<_> = sources("src").into_iter().map(|path| (under_src(&path), text_of(&path))).collect();
    let test_files: Vec<_> = sources.iter().flat_map(|(path, source)| test_files(path, source)).collect();
    let in_production = |path: &&(PathBuf, String)| !test_files.iter().any(|test| path.0.starts_with(test));

    let broken: Vec<_> =
        sources.iter().filter(in_production).flat_map(|(path, source)| violations(path, source)).collect();

    assert!(!sources.is_empty(), "no source was found");
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn a_module_stands_beside_its_folder() {
    let roots: Vec<_> =
        ["src", "tests"].into_iter().flat_map(sources).filter(|path| path.ends_with("mod.rs")).collect();

    assert!(roots.is_empty(), "{roots:?}");
}

#[test]
fn every_source_says_what_it_is() {
    let silent: Vec<_> =
        sources("src").into_iter().filter(|path| !text_of(path).starts_with("//!")).collect();

    assert!(silent.is_empty(), "{silent:?}");
}

#[test]
fn every_way_to_name_a_module_is_seen() {
    for (path, source, seen) in [
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
        let module = path.split(['.', '/']).next().unwrap();

        let told = violations(Path::new(path), source);

        assert_eq!(told, [format!("{path}: {module} must not import {seen}")], "{source}");
    }
}

#[test]
fn what_is_allowed_or_no_code_is_not_told() {
    for (path, source) in [
        ("cache.rs", "use crate::domain::{Amount, Currency}; use crate::{metrics, shared::Lease};"),
        ("cache.rs", "use crate::cache::store; use self::store::Store; pub(crate) fn f() {}"),
        ("cache/store.rs", "use super::{Cache, entry::Entry}; use super::super::domain;"),
        ("cache/store/deep.rs", "use super::super::gateway;"),
        ("cache.rs", "mod inner { use super::*; use super::gateway; }"),
        (
            "cache.rs",
            "//! crate::http\n// axum::Router\n/* reqwest /* crate::http */ moka */ /// [`crate::app`]",
        ),
        ("cache.rs", r##"const A: &str = "crate::http \" axum"; const B: &str = r#"" reqwest "#;"##),
        ("cache.rs", "use crate::domain;\n#[cfg(test)]\nmod tests { use crate::http; use reqwest::Client; }"),
        (
            "cache.rs",
            "#[cfg(test)]\n#[expect(dead_code)]\nfn f(a: [u8; 2]) -> crate::http::H { reqwest::get() }",
        ),
        ("app.rs", "use crate::{cache, http, upstream}; use axum::Router;"),
        ("main.rs", "use balance_gateway::cli; fn main() { cli::run() }"),
        ("gateway.rs", "const HALF: f64 = 0.5;"),
    ] {
        assert_eq!(violations(Path::new(path), source), [""; 0], "{source}");
    }
}

#[test]
fn crates_floats_and_clocks_are_seen_where_they_are_forbidden() {
    for (path, source, told) in [
        ("cache.rs", "use reqwest::Client;", "cache must not name reqwest"),
        ("cache/store.rs", "use {::axum::Router, std::fmt};", "cache must not name axum"),
        ("domain/amount.rs", "fn f(x: f64) {}", "domain must not name f64"),
        ("providers/pluggo.rs", "const X: u8 = 1.5_f32 as u8;", "providers must not name f32"),
        ("domain.rs", "fn f() { let at = Instant::now(); }", "domain must not read a clock"),
        ("helpers.rs", "", "helpers is not in the table"),
        ("helpers/text.rs", "", "helpers is not in the table"),
    ] {
        assert_eq!(violations(Path::new(path), source), [format!("{path}: {told}")], "{source}");
    }
}

#[test]
fn files_of_tests_are_left_out() {
    let source = "mod entry; #[cfg(test)] mod tests; #[cfg(test)] mod more { mod inline; }";

    assert_eq!(
        test_files(Path::new("cache.rs"), source),
        ["cache/tests.rs", "cache/tests"].map(PathBuf::from)
    );
    assert_eq!(test_files(Path::new("lib.rs"), source), ["tests.rs", "tests"].map(PathBuf::from));
}

/// What a file under `src` breaks.
fn violations(path: &Path, source: &str) -> Vec<String> {
    let place = module_path(path);
    let module = place.first().cloned().unwrap_or_else(|| stem(path));
    let Some((_, allowed, crates)) = TABLE.into_iter().find(|(name, ..)| *name == module) else {
        return vec![format!("{}: {module} is not in the table", path.display())];
    };
    let (tokens, _) = without_tests(&tokens(source));
    let may_import = |named: &str| named == module || allowed == EVERYTHING || allowed.contains(&named);
    let imports = named_modules(&tokens, &place).into_iter().filter(|named| !may_import(named));
    let names = |name: &&&str| tokens.iter().any(|token| token == *name || is_suffixed(token, name));
    let floats: &[&str] = if WITHOUT_FLOATS.contains(&&*module) { &["f32", "f64"] } else { &[] };
    let reads_clock =
        WITHOUT_CLOCKS.contains(&&*module) && tokens.windows(2).any(|pair| pair == ["::", "now"]);
    imports
        .map(|named| format!("import {named}"))
        .chain(crates.iter().chain(floats).filter(names).map(|name| format!("name {name}")))
        .chain(reads_clock.then(|| "read a clock".to_owned()))
        .map(|broken| format!("{}: {module} must not {broken}", path.display()))
        .collect()
}

/// Whether a number's token ends in this type.
fn is_suffixed(token: &str, r#type: &str) -> bool {
    token.starts_with(|first: char| first.is_ascii_digit()) && token.ends_with(r#type)
}

/// The modules of ours that the code of the module at `place` names; `*` for all at once.
fn named_modules(tokens: &[&str], place: &[String]) -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    let mut place = place.to_owned();
    // Modules inside the file: at which depth each of them opened.
    let (mut depth, mut opened) = (0, Vec::new());
    for (at, token) in tokens.iter().enumerate() {
        let follows_path = at > 0 && tokens[at - 1] == "::";
        match *token {
            "{" => {
                if at > 1 && tokens[at - 2] == "mod" {
                    opened.push(depth);
                    place.push(tokens[at - 1].to_owned());
                }
                depth += 1;
            }
            "}" => {
                depth -= 1;
                if opened.pop_if(|opened| *opened == depth).is_some() {
                    place.pop();
                }
            }
            "crate" | "balance_gateway" if !follows_path => follow(&tokens[at + 1..], &[], &mut named),
            "self" if !follows_path => follow(&tokens[at + 1..], &place, &mut named),
            "super" if !follows_path => follow(&tokens[at + 1..], above(&place), &mut named),
            _ => {}
        }
    }
    named
}

/// Follows a path, or a tree of them, from the module `base`; `tokens` begin behind the path's last segment.
fn follow(tokens: &[&str], base: &[String], named: &mut BTreeSet<String>) {
    let is_root = base.is_empty();
    let next = match tokens {
        ["as", ..] | ["::", "*" | "self", ..] if is_root => Some("*"),
        ["::", "super", rest @ ..] => return follow(rest, above(base), named),
        ["::", "{", rest @ ..] => {
            return branches(rest).iter().for_each(|branch| follow(branch, base, named));
        }
        ["::", name, ..] => Some(base.first().map_or(*name, String::as_str)),
        _ => None,
    };
    named.extend(next.map(str::to_owned));
}

/// The branches of a `{…}` in a path, each as if it stood alone: with `::` in front.
fn branches<'a>(tokens: &[&'a str]) -> Vec<Vec<&'a str>> {
    let mut depth = 0;
    let mut branches = vec![vec!["::"]];
    for token in tokens {
        depth += nesting(token);
        if depth < 0 {
            break;
        }
        if depth == 0 && *token == "," {
            branches.push(vec!["::"]);
        } else if let Some(branch) = branches.last_mut() {
            branch.push(token);
        }
    }
    branches
}

fn above(place: &[String]) -> &[String] {
    &place[..place.len().saturating_sub(1)]
}

fn nesting(token: &str) -> i32 {
    match token {
        "{" | "(" | "[" => 1,
        "}" | ")" | "]" => -1,
        _ => 0,
    }
}

/// The tokens that are built outside tests, and the names of the modules that are tests in files of their own.
fn without_tests<'a>(tokens: &[&'a str]) -> (Vec<&'a str>, Vec<&'a str>) {
    const TEST: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let (mut kept, mut modules) = (Vec::new(), Vec::new());
    let mut rest = tokens;
    while let [first, behind @ ..] = rest {
        let Some(item) = rest.strip_prefix(&TEST) else {
            kept.push(*first);
            rest = behind;
            continue;
        };
        let length = item_length(item);
        if let [.., "mod", name, ";"] = &item[..length] {
            modules.push(*name);
        }
        rest = &item[length..];
    }
    (kept, modules)
}

/// The length of an item or a field: up to its `;`, its `,` or the end of its `{…}`.
fn item_length(tokens: &[&str]) -> usize {
    let mut depth = 0;
    let ends = |token: &&str| {
        depth += nesting(token);
        depth < 0 || depth == 0 && matches!(*token, ";" | "," | "}")
    };
    tokens.iter().position(ends).map_or(tokens.len(), |last| last + 1)
}

/// The files and folders under `src` that a file declares as tests.
fn test_files(path: &Path, source: &str) -> Vec<PathBuf> {
    let folder: PathBuf = module_path(path).iter().collect();
    let (_, modules) = without_tests(&tokens(source));
    modules.iter().flat_map(|name| [folder.join(format!("{name}.rs")), folder.join(name)]).collect()
}

/// Cuts Rust into words, `::` and single signs, without blanks, comments and texts.
fn tokens(source: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let (length, is_code) = match length_of_no_code(rest) {
            Some(length) => (length, false),
            None if is_word(first) => (rest.find(|c| !is_word(c)).unwrap_or(rest.len()), true),
            None if rest.starts_with("::") => (2, true),
            None => (first.len_utf8(), true),
        };
        if is_code {
            tokens.push(&rest[..length]);
        }
        rest = &rest[length..];
    }
    tokens
}

/// The length of what begins here and is no code: a blank, a comment, a text or a character.
fn length_of_no_code(rest: &str) -> Option<usize> {
    let blanks = rest.len() - rest.trim_start().len();
    if blanks > 0 {
        return Some(blanks);
    }
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return Some(length_of_block_comment(rest));
    }
    let quoted = rest.trim_start_matches(['b', 'c']);
    let raw = quoted.strip_prefix('r').map(|raw| (raw, raw.trim_start_matches('#')));
    if let Some((raw, text)) = raw
        && let Some(text) = text.strip_prefix('"')
    {
        let hashes = &raw[..raw.len() - text.len() - 1];
        let end = format!("\"{hashes}");
        return Some(rest.len() - text.len() + text.find(&end).map_or(text.len(), |at| at + end.len()));
    }
    let prefix = rest.len() - quoted.len();
    length_of_quoted(quoted).map(|length| prefix + length)
}

fn length_of_block_comment(rest: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < rest.len() {
        let (deeper, length) = match rest.get(at..at + 2) {
            Some("/*") => (1, 2),
            Some("*/") => (-1, 2),
            _ => (0, 1),
        };
        depth += deeper;
        at += length;
        if depth == 0 {
            break;
        }
    }
    at
}

/// The length of `"…"` or `'…'`; a lifetime's `'` is one sign that is no code.
fn length_of_quoted(rest: &str) -> Option<usize> {
    let quote = rest.chars().next().filter(|first| matches!(first, '"' | '\''))?;
    let second = rest[1..].chars().next();
    let is_lifetime = quote == '\''
        && second.is_some_and(|second| second != '\\' && !rest[1 + second.len_utf8()..].starts_with('\''));
    if is_lifetime {
        return Some(1);
    }
    let mut is_escaped = false;
    let end = rest[1..].find(|c| {
        let ends = c == quote && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
        ends
    });
    Some(end.map_or(rest.len(), |end| end + 2))
}

/// Where a file under `src` stands: `["http", "problem"]` for `http/problem.rs`, nothing for the roots.
fn module_path(path: &Path) -> Vec<String> {
    let place: Vec<_> =
        path.with_extension("").iter().map(|part| part.to_str().unwrap().to_owned()).collect();
    if matches!(&*place, [root] if root == "lib" || root == "main") { Vec::new() } else { place }
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap().to_str().unwrap().to_owned()
}

/// Every Rust file under a folder of the project.
fn sources(folder: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn under_src(path: &Path) -> PathBuf {
    path.strip_prefix(root().join("src")).unwrap().to_owned()
}

fn text_of(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
