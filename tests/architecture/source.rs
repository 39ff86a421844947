//! The sources as the rules see them: each file's modules, and the paths that its production code names.

use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, Item, ItemMod, ItemUse, Macro, UseTree};

/// One file under `src`.
pub(crate) struct SourceFile {
    /// Relative to `src`.
    pub(crate) path: PathBuf,
    pub(crate) text: String,
    /// Its path in the tree of modules: `["http", "problem"]` for `http/problem.rs`, empty for the roots.
    pub(crate) module: Vec<String>,
    /// Every path that it names, from the root of the crate; `*` means everything that a module declares.
    pub(crate) paths: Vec<Vec<String>>,
    /// The modules that it opens items to, as in `pub(in crate::http)`.
    pub(crate) visibilities: Vec<Vec<String>>,
    /// The names that its `use` items bring into its scope, with the path of each.
    pub(crate) imports: Vec<(String, Vec<String>)>,
    /// Every identifier and number in its code. Reading a clock is the word `::now`.
    pub(crate) words: Vec<String>,
    /// Every macro call of its production code that is not inside another macro call, as tokens.
    pub(crate) macros: Vec<TokenStream>,
    /// The child modules in separate files that exist only for tests.
    test_modules: Vec<String>,
}

impl SourceFile {
    /// Reads a file; `path` is relative to `src`.
    pub(crate) fn parse(path: PathBuf, text: String) -> Self {
        let file = syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let module = module_of(&path);
        let mut reader = Reader { place: module.clone(), ..Reader::default() };
        reader.visit_file(&file);
        let Reader { paths, visibilities, imports, words, macros, test_modules, .. } = reader;
        Self { path, text, module, paths, visibilities, imports, words, macros, test_modules }
    }

    /// The module at the root of the crate that the file belongs to.
    pub(crate) fn room(&self) -> String {
        let stem = || self.path.file_stem().unwrap().to_str().unwrap().to_owned();
        self.module.first().cloned().unwrap_or_else(stem)
    }
}

/// Every production file under `src`: files that a `#[cfg(test)] mod` declares are left out.
pub(crate) fn sources() -> Vec<SourceFile> {
    let root = root().join("src");
    let parse = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        SourceFile::parse(path.strip_prefix(&root).unwrap().to_owned(), text)
    };
    let all: Vec<_> = files("src").into_iter().map(parse).collect();
    let tests: Vec<Vec<String>> = all
        .iter()
        .flat_map(|source| {
            source.test_modules.iter().map(|name| source.module.iter().chain([name]).cloned().collect())
        })
        .collect();
    all.into_iter().filter(|source| !tests.iter().any(|test| source.module.starts_with(test))).collect()
}

/// Every Rust file under a folder of the project, sorted.
pub(crate) fn files(folder: &str) -> Vec<PathBuf> {
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

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn module_of(path: &Path) -> Vec<String> {
    let module: Vec<_> =
        path.with_extension("").iter().map(|part| part.to_str().unwrap().to_owned()).collect();
    if matches!(&*module, [root] if root == "lib" || root == "main") { Vec::new() } else { module }
}

/// Collects the paths that production code names.
#[derive(Default)]
struct Reader {
    /// The module of the visited item, inline modules included.
    place: Vec<String>,
    paths: Vec<Vec<String>>,
    visibilities: Vec<Vec<String>>,
    imports: Vec<(String, Vec<String>)>,
    words: Vec<String>,
    macros: Vec<TokenStream>,
    test_modules: Vec<String>,
}

impl Reader {
    /// Records a path. A path that begins with another crate or a name in scope stays unchanged.
    fn note(&mut self, segments: &[String]) {
        self.words.extend(segments.iter().cloned());
        if let [_, .., last] = segments
            && last == "now"
        {
            self.words.push("::now".to_owned());
        }
        self.paths.extend(self.absolute(segments));
    }

    /// The path from the root of the crate, if it begins with `crate`, `self`, `super` or the crate's name.
    fn absolute(&self, segments: &[String]) -> Option<Vec<String>> {
        let (first, mut rest) = segments.split_first()?;
        let mut base = match &**first {
            "crate" | "balance_gateway" => Vec::new(),
            "self" => self.place.clone(),
            "super" => above(&self.place),
            _ => return None,
        };
        while let Some((first, behind)) = rest.split_first()
            && first == "super"
        {
            base = above(&base);
            rest = behind;
        }
        base.extend(rest.iter().filter(|segment| *segment != "self").cloned());
        Some(base)
    }

    fn note_use(&mut self, tree: &UseTree, prefix: &[String]) {
        let with = |name: String| [prefix, &[name]].concat();
        match tree {
            UseTree::Path(path) => self.note_use(&path.tree, &with(path.ident.to_string())),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.note_use(tree, prefix)),
            UseTree::Glob(_) => self.note_import("*".to_owned(), &with("*".to_owned())),
            UseTree::Name(name) => self.note_import(name.ident.to_string(), &with(name.ident.to_string())),
            UseTree::Rename(name) => self.note_import(name.rename.to_string(), &with(name.ident.to_string())),
        }
    }

    fn note_import(&mut self, name: String, segments: &[String]) {
        // `use a::{self}` imports `a` itself.
        let (name, segments) = match segments {
            [path @ .., last] if last == "self" && !path.is_empty() => {
                (if name == "self" { path[path.len() - 1].clone() } else { name }, path)
            }
            _ => (name, segments),
        };
        self.note(segments);
        // A path that begins with a child's name, as `use child::Item`, is one of this module.
        let path = self.absolute(segments).unwrap_or_else(|| [&*self.place, segments].concat());
        self.imports.push((name, path));
    }

    /// Reads the paths in a macro's tokens, which have no syntax tree.
    fn note_tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(name) => {
                    if colons != 2 {
                        self.note(&std::mem::take(&mut path));
                    }
                    path.push(name.to_string());
                    colons = 0;
                }
                TokenTree::Punct(sign) if sign.as_char() == ':' => colons += 1,
                TokenTree::Punct(_) => {
                    self.note(&std::mem::take(&mut path));
                    colons = 0;
                }
                TokenTree::Literal(literal) => self.words.push(literal.to_string()),
                TokenTree::Group(group) => {
                    self.note(&std::mem::take(&mut path));
                    self.note_tokens(group.stream());
                }
            }
        }
        self.note(&path);
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item(&mut self, item: &'ast Item) {
        if let Item::Verbatim(tokens) = item {
            self.note_tokens(tokens.clone());
        } else if !is_test(attributes(item)) {
            visit::visit_item(self, item);
        } else if let Item::Mod(ItemMod { ident, content: None, .. }) = item {
            self.test_modules.push(ident.to_string());
        }
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        self.place.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        self.place.pop();
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.note_use(&item.tree, &[]);
    }

    fn visit_impl_item(&mut self, item: &'ast syn::ImplItem) {
        let attributes = match item {
            syn::ImplItem::Fn(item) => &item.attrs,
            syn::ImplItem::Const(item) => &item.attrs,
            _ => return visit::visit_impl_item(self, item),
        };
        if !is_test(attributes) {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_field(&mut self, field: &'ast syn::Field) {
        if !is_test(&field.attrs) {
            visit::visit_field(self, field);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<_> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.note(&segments);
        visit::visit_path(self, path);
    }

    fn visit_vis_restricted(&mut self, visibility: &'ast syn::VisRestricted) {
        if visibility.in_token.is_some() {
            let segments: Vec<_> =
                visibility.path.segments.iter().map(|segment| segment.ident.to_string()).collect();
            self.visibilities.extend(self.absolute(&segments));
        }
    }

    fn visit_macro(&mut self, code: &'ast Macro) {
        self.visit_path(&code.path);
        self.note_tokens(code.tokens.clone());
        self.macros.push(quote::ToTokens::to_token_stream(code));
    }

    fn visit_lit(&mut self, literal: &'ast syn::Lit) {
        if let syn::Lit::Int(_) | syn::Lit::Float(_) = literal {
            self.words.push(quote::ToTokens::to_token_stream(literal).to_string());
        }
    }

    // Doc comments may name anything.
    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        if !attribute.path().is_ident("doc") {
            visit::visit_attribute(self, attribute);
        }
    }
}

fn above(place: &[String]) -> Vec<String> {
    place[..place.len().saturating_sub(1)].to_vec()
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Path>().is_ok_and(|condition| condition.is_ident("test"))
    })
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}
