//! Files that import each other in a circle, directly or through others.
//!
//! An import leads to the file that defines the item, through re-exports: a parent that only declares its children and
//! re-exports them is in no circle with them.

use std::collections::{BTreeMap, BTreeSet};

use crate::source::SourceFile;

/// Every file with the files that it imports from.
type Graph = BTreeMap<String, BTreeSet<String>>;

/// The circles, each as its files in order.
pub(crate) fn find(sources: &[SourceFile]) -> Vec<String> {
    let graph = graph(sources);
    let mut found = BTreeSet::new();
    for start in graph.keys() {
        found.extend(shortest_circle(&graph, start));
    }
    found.into_iter().map(|circle| circle.join(" -> ")).collect()
}

fn graph(sources: &[SourceFile]) -> Graph {
    let modules: BTreeMap<_, _> = sources.iter().map(|source| (&*source.module, source)).collect();
    let mut graph = Graph::new();
    for source in sources.iter().filter(|source| !source.module.is_empty()) {
        let own = source.module.join("/");
        let to = |path: &Vec<String>| definition(&modules, path, 0).map(|module| module.join("/"));
        let named = source.paths.iter().chain(source.imports.iter().map(|(_, path)| path));
        // A parent named as a place, as in `pub(in crate::http)`, is no import.
        let named = named.filter(|path| !source.module.starts_with(path));
        let targets = named.filter_map(to).filter(|target| *target != own && !target.is_empty());
        graph.insert(own.clone(), targets.collect());
    }
    graph
}

/// The module in whose file the item at a path is defined.
fn definition<'a>(
    modules: &BTreeMap<&'a [String], &'a SourceFile>,
    path: &[String],
    hops: usize,
) -> Option<&'a [String]> {
    // The longest prefix of the path that is a file.
    let length = (0..=path.len()).rev().find(|length| modules.contains_key(&path[..*length]))?;
    let source = modules[&path[..length]];
    let Some(name) = path.get(length) else { return Some(&source.module) };
    let import = source.imports.iter().find(|(imported, _)| imported == name);
    match import {
        // Follows re-exports. The bound stops at names that re-export each other.
        Some((_, target)) if hops < 8 && target != path => {
            let target = [target, &path[length + 1..]].concat();
            definition(modules, &target, hops + 1)
        }
        _ => Some(&source.module),
    }
}

/// The shortest circle through a file, written from its smallest name on.
fn shortest_circle(graph: &Graph, start: &str) -> Option<Vec<String>> {
    let mut came_from: BTreeMap<&str, &str> = BTreeMap::new();
    let mut layer = vec![start];
    while !layer.is_empty() {
        let mut next = Vec::new();
        for file in layer {
            for target in graph.get(file).into_iter().flatten() {
                if target == start {
                    return Some(written(&came_from, start, file));
                }
                if !came_from.contains_key(&**target) {
                    came_from.insert(target, file);
                    next.push(&**target);
                }
            }
        }
        layer = next;
    }
    None
}

fn written(came_from: &BTreeMap<&str, &str>, start: &str, last: &str) -> Vec<String> {
    let mut circle = vec![last.to_owned()];
    let mut at = last;
    while at != start {
        at = came_from[at];
        circle.push(at.to_owned());
    }
    circle.reverse();
    let smallest = circle.iter().enumerate().min_by_key(|(_, file)| (*file).clone()).map_or(0, |(at, _)| at);
    circle.rotate_left(smallest);
    circle
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::planted;

    #[test]
    fn a_circle_is_found_directly_and_through_others() {
        let direct = [
            planted("cache/entry.rs", "use super::marks::Mark; pub struct Entry;"),
            planted("cache/marks.rs", "pub struct Mark(crate::cache::entry::Entry);"),
            planted("cache.rs", "mod entry; mod marks;"),
        ];
        let through_a_parent = [
            planted("cache.rs", "mod entry; mod marks; use entry::Entry; pub struct Cache(Entry);"),
            planted("cache/entry.rs", "use super::marks::Mark;"),
            planted("cache/marks.rs", "use super::Cache;"),
        ];

        assert_eq!(find(&direct), ["cache/entry -> cache/marks"]);
        assert_eq!(find(&through_a_parent), ["cache -> cache/entry -> cache/marks"]);
    }

    #[test]
    fn a_parent_that_only_declares_is_in_no_circle() {
        let sources = [
            planted("cache.rs", "mod entry; mod marks; pub use entry::Entry; pub use marks::*;"),
            planted("cache/entry.rs", "pub struct Entry;"),
            planted("cache/marks.rs", "use super::Entry; use crate::cache::entry;"),
        ];

        assert_eq!(find(&sources), [""; 0]);
    }
}
