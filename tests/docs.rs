//! Every relative link and anchor of every Markdown file leads somewhere, and the README stays one page.
#![expect(clippy::unwrap_used, reason = "test code; helpers are not covered by allow-unwrap-in-tests")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Folders of tools, which hold no documents of this repository.
const SKIPPED: [&str; 3] = ["target", ".git", "node_modules"];
/// The maximum number of lines of the README.
const LINES_OF_THE_README: usize = 200;

#[test]
fn every_relative_link_leads_to_a_file_and_an_anchor() {
    let files = markdown_files(root());

    let broken: Vec<_> = files.iter().flat_map(|file| broken_links(file)).collect();

    assert!(files.len() > 5, "{files:?}");
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn every_named_file_exists() {
    let mut missing = Vec::new();
    for file in markdown_files(root()) {
        let text = read(&file);
        let named = text.split('`').skip(1).step_by(2).filter(|name| is_path(name));
        let absent = named.filter(|name| !root().join(name).exists());
        missing
            .extend(absent.map(|name| format!("{}: {name}", file.strip_prefix(root()).unwrap().display())));
    }

    assert!(missing.is_empty(), "\n{}", missing.join("\n"));
}

/// Whether a piece of code names a file or folder of this repository, without a placeholder.
fn is_path(code: &str) -> bool {
    let is_name = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    ["src/", "tests/", "config/", "docs/", "benches/"].iter().any(|folder| code.starts_with(folder))
        && code.chars().all(is_name)
}

#[test]
fn every_document_is_linked_from_the_readme() {
    let readme = read(&root().join("README.md"));
    let linked: BTreeSet<_> = links(&readme).iter().map(|link| (*link).to_owned()).collect();

    let missing: Vec<_> = markdown_files(&root().join("docs"))
        .iter()
        .map(|file| file.strip_prefix(root()).unwrap().display().to_string())
        .filter(|file| !linked.contains(file))
        .collect();

    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn the_readme_is_one_page() {
    let lines = read(&root().join("README.md")).lines().count();

    assert!(lines <= LINES_OF_THE_README, "{lines} lines");
}

#[test]
fn a_link_is_found_outside_code_only() {
    let text = "[a](b.md) and [`c`](d/e.md#f) but not `[g](h.md)`\n```\n[i](j.md)\n```\n![k](l.svg)";

    assert_eq!(links(text), ["b.md", "d/e.md#f", "l.svg"]);
}

#[test]
fn an_anchor_is_the_heading_as_github_writes_it() {
    let text =
        "# Two Words\n## `code`, and a-dash!\n```\n# no heading\n```\n## Two words\n### [Link](to.md) text";

    let expected = ["two-words", "code-and-a-dash", "two-words-1", "link-text"];
    assert_eq!(anchors(text), BTreeSet::from(expected.map(str::to_owned)));
}

/// One line for each link of a file that leads nowhere.
fn broken_links(file: &Path) -> Vec<String> {
    let text = read(file);
    let leads_nowhere = |link: &&&str| {
        let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
        let target = if path.is_empty() { file.to_owned() } else { file.parent().unwrap().join(path) };
        !target.exists() || !anchor.is_empty() && !anchors(&read(&target)).contains(anchor)
    };
    links(&text)
        .iter()
        .filter(|link| !link.contains("://") && !link.starts_with("mailto:"))
        .filter(leads_nowhere)
        .map(|link| format!("{}: {link}", file.strip_prefix(root()).unwrap().display()))
        .collect()
}

/// The targets of all links in a Markdown text.
fn links(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for line in prose(text) {
        for (at, _) in line.match_indices("](") {
            let is_code = line[..at].matches('`').count() % 2 == 1;
            let target = line[at + 2..].split(')').next().unwrap();
            if !is_code {
                found.push(target);
            }
        }
    }
    found
}

/// The anchors of all headings in a Markdown text.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for line in prose(text) {
        let Some((_, heading)) = line.split_once("# ").filter(|(marks, _)| marks.chars().all(|c| c == '#'))
        else {
            continue;
        };
        let slug = slug(heading);
        let repeated = (1..).map(|count| format!("{slug}-{count}"));
        let free = std::iter::once(slug.clone()).chain(repeated).find(|slug| !found.contains(slug));
        found.extend(free);
    }
    found
}

/// The anchor that GitHub makes of a heading.
fn slug(heading: &str) -> String {
    let mut visible = String::new();
    let mut rest = heading;
    // Only the text of a link counts, not its target.
    while let Some((before, behind)) = rest.split_once("](") {
        visible.push_str(before);
        rest = behind.split_once(')').map_or("", |(_, behind)| behind);
    }
    visible.push_str(rest);
    let kept = visible.to_lowercase();
    let kept = kept.trim().chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// The lines outside blocks of code.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut is_code = false;
    text.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    })
}

/// Every Markdown file under a folder.
fn markdown_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() && !SKIPPED.contains(&name) {
            found.extend(markdown_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
