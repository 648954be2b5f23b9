//! Which file of a module imports which, read from the source. `.ci/imports` prints the same graph in figures.

use std::collections::{BTreeMap, BTreeSet};

use crate::layout::sources;

/// The files of one module of the crate, by their paths in it: `read/reader`, and `sync/queue` for `sync/queue/mod.rs`.
pub(crate) struct Imports {
    module: &'static str,
    code: BTreeMap<String, String>,
    /// The paths that front pages give names to: by the page, and the name.
    exports: BTreeMap<(String, String), String>,
    graph: BTreeMap<String, BTreeSet<String>>,
}

impl Imports {
    pub(crate) fn of(module: &'static str) -> Self {
        let files = sources(module).into_iter().map(|(path, text)| (in_module(module, &path), code(&text)));
        let mut imports =
            Self { module, code: files.collect(), exports: BTreeMap::new(), graph: BTreeMap::new() };
        imports.exports = imports.find_exports();
        imports.graph = imports.find_graph();
        imports
    }

    /// Whether a file imports another.
    pub(crate) fn has(&self, file: &str, other: &str) -> bool {
        self.graph[file].contains(other)
    }

    /// All files that a file needs, itself left out unless it is in a circle.
    pub(crate) fn reached_from(&self, file: &str) -> BTreeSet<&str> {
        let (mut reached, mut left) = (BTreeSet::new(), vec![file]);
        while let Some(file) = left.pop() {
            for target in &self.graph[file] {
                if reached.insert(target.as_str()) {
                    left.push(target);
                }
            }
        }
        reached
    }

    /// The largest set of files of which each needs each other.
    pub(crate) fn largest_circle(&self) -> BTreeSet<&str> {
        let reached: BTreeMap<_, _> =
            self.graph.keys().map(|file| (file.as_str(), self.reached_from(file))).collect();
        let circles = reached.iter().map(|(file, after)| {
            after.iter().copied().filter(|other| reached[other].contains(file)).collect::<BTreeSet<_>>()
        });
        circles.max_by_key(BTreeSet::len).unwrap_or_default()
    }

    /// Which folder imports which, each pair with the imports that make it.
    pub(crate) fn between_folders(&self) -> BTreeMap<(&str, &str), Vec<String>> {
        let mut pairs: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (file, targets) in &self.graph {
            for target in targets {
                if let (Some(from), Some(to)) = (self.folder_of(file), self.folder_of(target))
                    && from != to
                {
                    pairs.entry((from, to)).or_default().push(format!("{file} imports {target}"));
                }
            }
        }
        pairs
    }

    /// The folder a file is in. `None` if it stands beside them.
    fn folder_of<'a>(&self, file: &'a str) -> Option<&'a str> {
        let folder = file.split('/').next()?;
        self.code.keys().any(|other| other.starts_with(&format!("{folder}/"))).then_some(folder)
    }

    fn find_exports(&self) -> BTreeMap<(String, String), String> {
        let mut exports = BTreeMap::new();
        for (page, code) in &self.code {
            for (at, _) in code.match_indices("use ") {
                let (before, path) = (code[..at].rsplit('\n').next().unwrap_or_default(), &code[at + 4..]);
                if before.starts_with("pub") && !path.starts_with("crate::") && !path.starts_with("super::") {
                    let found = paths(path).into_iter();
                    exports.extend(found.map(|(path, name)| ((page.clone(), name), path)));
                }
            }
        }
        exports
    }

    fn find_graph(&self) -> BTreeMap<String, BTreeSet<String>> {
        let whole = format!("crate::{}::", self.module);
        let files = self.code.iter().filter(|(file, _)| !file.is_empty());
        let of_file = |(file, code): (&String, &String)| {
            let from_crate = code.match_indices(&whole).map(|(at, word)| (String::new(), at + word.len()));
            // The last `super` of a path: it may be `super::super::name`.
            let from_parents = code.match_indices("super::").filter_map(|(at, word)| {
                let end = at + word.len();
                let ups = code[..end].rsplit("super::").take_while(|between| between.is_empty()).count();
                let is_last = !code[end..].starts_with("super::");
                is_last.then(|| ((0..ups).fold(file.clone(), |at, _| parent(&at).to_string()), end))
            });
            let found = from_crate.chain(from_parents).flat_map(|(at, end)| {
                paths(&code[end..]).into_iter().filter_map(move |(path, _)| self.resolve(&at, &path))
            });
            (file.clone(), found.filter(|target| target != file).collect())
        };
        files.map(of_file).collect()
    }

    /// The file that a path leads to from a module, also by the names that front pages give.
    fn resolve(&self, from: &str, path: &str) -> Option<String> {
        let mut at = from.to_string();
        let mut steps = path.split("::").peekable();
        while let Some(step) = steps.next() {
            let next = if at.is_empty() { step.to_string() } else { format!("{at}/{step}") };
            let is_module = self.code.contains_key(&next);
            // A name may be that of a module too, which a longer path goes through.
            if let Some(path) = self.exports.get(&(at.clone(), step.to_string()))
                && !(is_module && steps.peek().is_some())
            {
                return self.resolve(&at, path);
            }
            if !is_module {
                break;
            }
            at = next;
        }
        (at.as_str() != from && !at.is_empty()).then_some(at)
    }
}

fn in_module(module: &str, path: &std::path::Path) -> String {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(module);
    let file = path.strip_prefix(root).unwrap().with_extension("").display().to_string();
    if file == "mod" { String::new() } else { file.strip_suffix("/mod").unwrap_or(&file).to_string() }
}

/// Without comments, and without the tests at the end.
fn code(text: &str) -> String {
    let code = text.split("\n#[cfg(test)]\nmod tests").next().unwrap();
    code.lines().filter(|line| !line.trim_start().starts_with("//")).map(|line| format!("{line}\n")).collect()
}

fn parent(file: &str) -> &str {
    file.rsplit_once('/').map_or("", |(parent, _)| parent)
}

/// The paths at the beginning of a text, groups taken apart, each with the name that it gives: `a::{b, c as d}` is
/// `a::b` by the name of `b`, and `a::c` by the name of `d`.
fn paths(text: &str) -> Vec<(String, String)> {
    if let Some(group) = text.strip_prefix('{') {
        return items(group).iter().flat_map(|item| paths(item)).collect();
    }
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    let (step, rest) = text.split_at(end);
    if let Some(rest) = rest.strip_prefix("::") {
        let inner = paths(rest).into_iter();
        return inner.map(|(path, name)| (format!("{step}::{path}"), name)).collect();
    }
    let alias = rest.strip_prefix(" as ").and_then(|rest| paths(rest).pop());
    vec![(step.to_string(), alias.map_or_else(|| step.to_string(), |(name, _)| name))]
}

/// What stands between the commas of a group, up to its end.
fn items(group: &str) -> Vec<&str> {
    let (mut depth, mut start, mut found) = (0, 0, Vec::new());
    for (at, char) in group.char_indices() {
        if depth == 0 && matches!(char, ',' | '}') {
            found.push(group[start..at].trim());
            start = at + 1;
        }
        match char {
            '}' if depth == 0 => break,
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
    }
    found.retain(|item| !item.is_empty());
    found
}

#[test]
fn paths_are_taken_apart() {
    let found = paths("a::{b, c as d, e::{f, g},\n}; h");
    let found: Vec<_> = found.iter().map(|(path, name)| format!("{path} {name}")).collect();
    assert_eq!(found, ["a::b b", "a::c d", "a::e::f f", "a::e::g g"]);
    assert_eq!(paths("a::b(c)"), [("a::b".into(), "b".into())]);
}
