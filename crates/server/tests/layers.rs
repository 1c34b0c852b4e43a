//! The files of this crate only import files below them, and never in a circle.
//!
//! The sources are read as tokens, so comments and strings do not count; neither does code for tests.

#![allow(clippy::unwrap_used)]

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// Directories and files at the root of the crate, from the top. All others are below these.
const LAYERS: [&[&str]; 8] = [
    &["server", "gateway_process"],
    &["app"],
    &["http"],
    &["api"],
    &["gateway"],
    &["lifecycle"],
    &["metering"],
    &["identity"],
];

/// Imports that break a rule: importer, imported, and the reason. Entries are only ever removed.
const EXCEPTIONS: [(&str, &str, &str); 0] = [];

/// The source of each module, by the module's path.
type Sources = BTreeMap<String, String>;

/// The modules that each module imports.
type Imports = BTreeMap<String, BTreeSet<String>>;

#[test]
fn modules_import_downwards_and_without_circles() {
    let mut sources = Sources::new();
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), "", &mut sources);
    for name in LAYERS.concat() {
        assert!(sources.contains_key(name), "LAYERS names {name}, but there is no such module");
    }
    let imports = imports(&sources);
    let count: usize = imports.values().map(BTreeSet::len).sum();
    assert!(count > sources.len(), "only {count} imports found in {} modules", sources.len());
    let exceptions = EXCEPTIONS.map(|(from, to, _)| (from, to));
    assert_eq!(violations(&imports, &exceptions), Vec::<String>::new());
}

/// Reads every module below `folder`.
fn read(folder: &Path, prefix: &str, sources: &mut Sources) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let module = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}::{name}") };
        match name {
            _ if path.is_dir() => read(&path, &module, sources),
            "lib" | "tests" => {}
            "mod" => drop(sources.insert(prefix.to_owned(), fs::read_to_string(&path).unwrap())),
            _ => drop(sources.insert(module, fs::read_to_string(&path).unwrap())),
        }
    }
}

fn imports(sources: &Sources) -> Imports {
    let one = |(module, source): (&String, &String)| {
        let tokens: TokenStream = source.parse().unwrap_or_else(|error| panic!("{module}: {error}"));
        let mut found = Found::default();
        found.collect(&without_tests(tokens), false);
        let targets = found.paths.iter().filter_map(|path| target(path, module, &found.names, sources));
        (module.clone(), targets.filter(|target| target != module).collect())
    };
    sources.iter().map(one).collect()
}

/// The module that `path` refers to in `module`; `None` for another crate.
fn target(
    path: &[String],
    module: &str,
    names: &BTreeMap<String, Vec<String>>,
    sources: &Sources,
) -> Option<String> {
    let here: Vec<String> = module.split("::").map(str::to_owned).collect();
    let (first, rest) = path.split_first()?;
    let mut whole = match first.as_str() {
        "crate" => Vec::new(),
        "self" => here,
        "super" => here[..here.len() - 1].to_vec(),
        name if sources.contains_key(&format!("{module}::{name}")) => [here, vec![first.clone()]].concat(),
        name => {
            // A name that this module has imported.
            let known = names.get(name).filter(|known| known[0] != *name)?;
            return target(&[known, rest].concat(), module, names, sources);
        }
    };
    for part in rest {
        match part.as_str() {
            "super" => drop(whole.pop()),
            part => whole.push(part.to_owned()),
        }
    }
    while !whole.is_empty() {
        let name = whole.join("::");
        if sources.contains_key(&name) {
            return Some(name);
        }
        whole.pop();
    }
    None
}

/// The tokens without items that are marked `#[cfg(test)]`.
fn without_tests(tokens: TokenStream) -> Vec<TokenTree> {
    let mut kept: Vec<TokenTree> = Vec::new();
    let mut tokens = tokens.into_iter();
    while let Some(token) = tokens.next() {
        let attribute = matches!(kept.last(), Some(TokenTree::Punct(punct)) if punct.as_char() == '#');
        if !attribute || token.to_string().replace(' ', "") != "[cfg(test)]" {
            kept.push(token);
            continue;
        }
        kept.pop();
        let ends = |token: &TokenTree| match token {
            TokenTree::Punct(punct) => punct.as_char() == ';',
            TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
            _ => false,
        };
        tokens.find(ends);
    }
    kept
}

/// The names in the tokens of a module.
#[derive(Default)]
struct Found {
    /// Every path with two or more parts.
    paths: BTreeSet<Vec<String>>,
    /// The paths of imported names.
    names: BTreeMap<String, Vec<String>>,
}

impl Found {
    fn collect(&mut self, tokens: &[TokenTree], mut importing: bool) {
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            at += 1;
            match token {
                TokenTree::Ident(ident) if ident == "use" => importing = true,
                TokenTree::Ident(_) => at = self.path(tokens, at - 1, &[], importing),
                TokenTree::Punct(punct) if punct.as_char() == ';' => importing = false,
                TokenTree::Group(group) => {
                    self.collect(&group.stream().into_iter().collect::<Vec<_>>(), false);
                }
                _ => {}
            }
        }
    }

    /// Reads the path, or the tree of paths, that starts at `at`. Returns its end.
    fn path(&mut self, tokens: &[TokenTree], mut at: usize, prefix: &[String], importing: bool) -> usize {
        let mut path = prefix.to_vec();
        loop {
            match tokens.get(at) {
                Some(TokenTree::Ident(ident)) => path.push(ident.to_string()),
                Some(TokenTree::Group(group)) if importing && group.delimiter() == Delimiter::Brace => {
                    let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                    let mut next = 0;
                    while next < inner.len() {
                        next = self.path(&inner, next, &path, importing) + 1;
                    }
                    return at + 1;
                }
                // A glob, or the token after `::` in an expression.
                _ => break,
            }
            at += 1;
            if !is_double_colon(tokens, at) {
                break;
            }
            at += 2;
        }
        if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
            path.pop();
        }
        if importing {
            // Up to the end of this branch: the name after `as`, if there is one, or the last part.
            let mut name = path.last().cloned().unwrap_or_default();
            while let Some(token) =
                tokens.get(at).filter(|token| !matches!(token.to_string().as_str(), "," | ";"))
            {
                name = token.to_string();
                at += 1;
            }
            self.names.insert(name, path.clone());
        }
        if path.len() > 1 {
            self.paths.insert(path);
        }
        at
    }
}

fn is_double_colon(tokens: &[TokenTree], at: usize) -> bool {
    let colon = |at| matches!(tokens.get(at), Some(TokenTree::Punct(punct)) if punct.as_char() == ':');
    colon(at) && colon(at + 1)
}

/// Violations of the rules, including exceptions that are not needed.
fn violations(imports: &Imports, exceptions: &[(&str, &str)]) -> Vec<String> {
    let mut found = broken(imports, exceptions);
    for exception in exceptions {
        let others: Vec<_> = exceptions.iter().filter(|other| *other != exception).copied().collect();
        if broken(imports, &others) == broken(imports, exceptions) {
            found.push(format!("remove the exception {} -> {}: it is not needed", exception.0, exception.1));
        }
    }
    found
}

fn broken(imports: &Imports, exceptions: &[(&str, &str)]) -> Vec<String> {
    let mut imports = imports.clone();
    for (from, to) in exceptions {
        imports.entry((*from).to_owned()).and_modify(|all| {
            all.remove(*to);
        });
    }
    let layer = |module: &str| {
        let root = module.split("::").next().unwrap_or_default();
        LAYERS.iter().position(|names| names.contains(&root)).unwrap_or(LAYERS.len())
    };
    let mut found = Vec::new();
    for (from, all) in &imports {
        let above = all.iter().filter(|to| layer(to) < layer(from));
        found.extend(above.map(|to| format!("{from} imports {to}, which is above it")));
    }
    found.extend(circle(imports).map(|circle| format!("circle: {}", circle.join(" -> "))));
    found
}

/// A circle of modules, if there is one.
fn circle(mut imports: Imports) -> Option<Vec<String>> {
    // Removes the modules that import none of the others, until only circles and what leads to them are left.
    loop {
        let left: BTreeSet<String> = imports.keys().cloned().collect();
        imports.values_mut().for_each(|all| all.retain(|to| left.contains(to)));
        imports.retain(|_, all| !all.is_empty());
        if imports.len() == left.len() {
            break;
        }
    }
    let mut way = vec![imports.keys().next()?.clone()];
    loop {
        let next = imports[way.last()?].first()?.clone();
        if let Some(start) = way.iter().position(|module| *module == next) {
            way.drain(..start);
            way.push(next);
            return Some(way);
        }
        way.push(next);
    }
}

fn sources(all: &[(&str, &str)]) -> Sources {
    all.iter().map(|(module, source)| ((*module).to_owned(), (*source).to_owned())).collect()
}

#[test]
fn imports_of_every_form_are_found() {
    let source = r#"
        //! use crate::comment;
        use crate::{alone, folder::{self, one::{One, Two as Three}}, glob::*};
        use super::sibling;
        pub(crate) use super::super::top as renamed;
        const TEXT: &str = "crate::text";
        fn call() -> crate::result::Result<u8> {
            child::run(folder::two::Two, renamed::below::f(), vec![crate::argument::f()], std::fmt::x)
        }
        macro_rules! m { () => { $crate::in_macro::f() } }
        #[cfg(test)]
        mod tests { use crate::test; }
        use crate::last;
    "#;
    let expected = "a::b::child a::sibling alone argument folder folder::one folder::two glob in_macro last \
                    result top top::below";
    let expected: Vec<&str> = expected.split_whitespace().collect();
    let mut all: Vec<(&str, &str)> = expected.iter().map(|name| (*name, "")).collect();
    all.extend([("comment", ""), ("test", ""), ("text", ""), ("a", ""), ("a::b", source)]);
    let found: Vec<String> = imports(&sources(&all))["a::b"].iter().cloned().collect();
    assert_eq!(found, expected);
}

#[test]
fn upward_imports_circles_and_needless_exceptions_are_reported() {
    let imports = imports(&sources(&[
        ("http::routes", "use crate::api::Api;"),
        ("api", "use crate::api::inner;"),
        ("api::inner", "use super::Api; use crate::cache::Cache;"),
        ("cache", "fn f() { crate::http::routes::g() }"),
    ]));
    let up = "cache imports http::routes, which is above it";
    assert_eq!(violations(&imports, &[("cache", "http::routes")]), ["circle: api -> api::inner -> api"]);
    let long = "circle: api -> api::inner -> cache -> http::routes -> api";
    assert_eq!(violations(&imports, &[("api::inner", "api")]), [up, long]);
    let both = [("cache", "http::routes"), ("api::inner", "api")];
    assert_eq!(violations(&imports, &both), Vec::<String>::new());
    let needless = [both[0], both[1], ("http::routes", "api")];
    assert_eq!(
        violations(&imports, &needless),
        ["remove the exception http::routes -> api: it is not needed"]
    );
}
