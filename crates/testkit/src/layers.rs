//! Who may name whom inside a crate, read from its source.
//!
//! A crate says in a table, from the floor to the roof, which modules it has and what each of them may name. The check
//! finds names that the table does not allow, names of what stands further up in it, and what the table has and nobody
//! needs. Names are paths that begin with `crate`, `super` or a module that the file declares, wherever they stand:
//! imports, expressions, macros. Paths in comments and documentation do not count.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// Module → what it may name of the crate, from the floor to the roof.
///
/// Modules are paths without `crate`; the root is `""`. A row stands for the modules below it as long as none of them has
/// a row. What may be named are paths, separated by blanks, and allow everything below them; an item that the root
/// itself defines or re-exports is `crate::Item`.
pub type Table<'a> = &'a [(&'a str, &'a str)];

/// What the source below `src` has against `table`: one line each; nothing when all is well.
///
/// # Panics
/// When a file cannot be read or is no Rust.
pub fn violations(src: &Path, table: Table<'_>) -> Vec<String> {
    let files = sources(src);
    let sources: Vec<(String, String)> = files
        .iter()
        .map(|file| {
            (
                module_of(file.strip_prefix(src).unwrap()),
                std::fs::read_to_string(file).expect("a source file"),
            )
        })
        .collect();
    let sources: Vec<(&str, &str)> = sources.iter().map(|(m, s)| (m.as_str(), s.as_str())).collect();
    violations_in(&sources, table)
}

/// The same for modules and their sources.
///
/// # Panics
/// When a source is no Rust.
pub fn violations_in(sources: &[(&str, &str)], table: Table<'_>) -> Vec<String> {
    let modules: BTreeSet<&str> = sources.iter().map(|(module, _)| *module).collect();
    let (mut used, mut needed) = (BTreeSet::new(), BTreeSet::new());
    let mut wrong = Vec::new();
    for (module, source) in sources {
        let Some(row) = row_of(module, table) else {
            wrong.push(format!("{} is not in the table: say what it may name", shown(module)));
            continue;
        };
        used.insert(row);
        for path in named(module, source, &modules) {
            let target = target(&path, &modules);
            let Some(above) = row_of(target, table).filter(|other| *other != row) else { continue };
            let allowed = table[row].1.split_whitespace().filter(|allowed| below(&path, allowed));
            let allowed: Vec<_> = allowed.map(|allowed| (row, allowed)).collect();
            if allowed.is_empty() {
                wrong.push(format!("{} names {path}", shown(module)));
            } else if above > row {
                wrong.push(format!("{} names {path}, which stands above it", shown(module)));
            }
            needed.extend(allowed);
        }
    }
    let stale = (0..table.len()).filter(|row| !used.contains(row));
    wrong.extend(stale.map(|row| format!("the table has {}, the source does not", shown(table[row].0))));
    for (row, (module, allowed)) in table.iter().enumerate() {
        let idle = allowed.split_whitespace().filter(|allowed| !needed.contains(&(row, *allowed)));
        wrong.extend(
            idle.map(|path| format!("the table lets {} name {path}, which it does not", shown(module))),
        );
    }
    wrong
}

/// The row of a module: its own, or the nearest above it that has no other rows below.
fn row_of(module: &str, table: Table<'_>) -> Option<usize> {
    let mut at = Some(module);
    while let Some(ancestor) = at {
        if let Some(row) = table.iter().position(|(name, _)| *name == ancestor) {
            let alone = || table.iter().all(|(name, _)| *name == ancestor || !below(name, ancestor));
            return (ancestor == module || alone()).then_some(row);
        }
        at = ancestor.rsplit_once("::").map(|(parent, _)| parent);
    }
    None
}

fn below(path: &str, ancestor: &str) -> bool {
    path.strip_prefix(ancestor).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// The module in which a path ends.
fn target<'a>(path: &'a str, modules: &BTreeSet<&str>) -> &'a str {
    let mut at = path;
    loop {
        if modules.contains(at) {
            return at;
        }
        let Some((parent, _)) = at.rsplit_once("::") else { return "" };
        at = parent;
    }
}

fn shown(module: &str) -> &str {
    if module.is_empty() { "the root" } else { module }
}

/// All paths of the crate that a file names, from the crate's root.
fn named(module: &str, source: &str, modules: &BTreeSet<&str>) -> BTreeSet<String> {
    let stream: TokenStream = source.parse().unwrap_or_else(|e| panic!("{}: {e}", shown(module)));
    let mut reader = Reader { found: BTreeSet::new(), modules };
    let base: Vec<String> = module.split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect();
    let tokens: Vec<TokenTree> = stream.into_iter().collect();
    reader.block(&tokens, &base, 0);
    reader.found
}

struct Reader<'a> {
    found: BTreeSet<String>,
    modules: &'a BTreeSet<&'a str>,
}

impl Reader<'_> {
    /// Reads what stands in a file, a module or any brackets. `inline` modules of the file are open around it.
    fn block(&mut self, tokens: &[TokenTree], base: &[String], inline: usize) {
        let mut at = 0;
        while at < tokens.len() {
            match &tokens[at] {
                TokenTree::Group(group) => {
                    let inside: Vec<TokenTree> = group.stream().into_iter().collect();
                    let is_module = group.delimiter() == Delimiter::Brace
                        && at >= 2
                        && is_word(tokens.get(at - 2), "mod");
                    self.block(&inside, base, inline + usize::from(is_module));
                    at += 1;
                }
                TokenTree::Ident(_) if follows(tokens, at) => at += 1,
                TokenTree::Ident(word) if is_path(tokens, at) => {
                    match self.start(&word.to_string(), base, inline) {
                        Some(start) => self.path(tokens, &mut at, start),
                        None => at += 1,
                    }
                }
                _ => at += 1,
            }
        }
    }

    /// Where a path leads that begins with this word; `None`: out of the crate, or to an item of the file's own.
    fn start(&self, word: &str, base: &[String], inline: usize) -> Option<Vec<Option<String>>> {
        let here = || base.iter().cloned().map(Some).chain((0..inline).map(|_| None));
        match word {
            "crate" => Some(Vec::new()),
            "super" => Some(here().take((base.len() + inline).saturating_sub(1)).collect()),
            "self" => Some(here().collect()),
            child => {
                let path = [base, &[child.to_owned()]].concat().join("::");
                (inline == 0 && self.modules.contains(path.as_str()))
                    .then(|| here().chain([Some(child.to_owned())]).collect())
            }
        }
    }

    /// Follows a path whose first word is at `at`, through its groups, to where it ends.
    fn path(&mut self, tokens: &[TokenTree], at: &mut usize, mut path: Vec<Option<String>>) {
        *at += 1;
        while is_colons(tokens, *at) {
            *at += 2;
            match tokens.get(*at) {
                Some(TokenTree::Ident(word)) if *word == "super" => drop(path.pop()),
                Some(TokenTree::Ident(word)) if *word == "self" => {}
                Some(TokenTree::Ident(word)) => path.push(Some(word.to_string())),
                Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                    let inside: Vec<TokenTree> = group.stream().into_iter().collect();
                    for one in inside.split(|token| is_sign(Some(token), ',')).filter(|one| !one.is_empty()) {
                        let mut start = path.clone();
                        match &one[0] {
                            TokenTree::Ident(word) if *word == "self" => {}
                            TokenTree::Ident(word) => start.push(Some(word.to_string())),
                            _ => {}
                        }
                        self.path(one, &mut 0, start);
                    }
                    *at += 1;
                    return;
                }
                // `*`, or the arguments of a type.
                _ => break,
            }
            *at += 1;
        }
        self.note(path);
    }

    fn note(&mut self, path: Vec<Option<String>>) {
        // What is left of an inline module is the file itself.
        let path = path.into_iter().flatten().collect::<Vec<_>>().join("::");
        let is_item = target(&path, self.modules).is_empty();
        self.found.insert(if is_item { format!("crate::{path}") } else { path });
    }
}

fn is_word(token: Option<&TokenTree>, word: &str) -> bool {
    matches!(token, Some(TokenTree::Ident(found)) if *found == word)
}

fn is_sign(token: Option<&TokenTree>, sign: char) -> bool {
    matches!(token, Some(TokenTree::Punct(found)) if found.as_char() == sign)
}

fn is_colons(tokens: &[TokenTree], at: usize) -> bool {
    is_sign(tokens.get(at), ':') && is_sign(tokens.get(at + 1), ':')
}

/// Whether a word begins a path of several: not `pub(crate)`, not `self.field`.
fn is_path(tokens: &[TokenTree], at: usize) -> bool {
    is_colons(tokens, at + 1)
}

/// Whether a word continues a path that began before it.
fn follows(tokens: &[TokenTree], at: usize) -> bool {
    at >= 2 && is_colons(tokens, at - 2)
}

fn module_of(file: &Path) -> String {
    let mut parts: Vec<String> =
        file.with_extension("").iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if parts.last().is_some_and(|last| last == "mod" || last == "lib") {
        parts.pop();
    }
    parts.join("::")
}

fn sources(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).expect("a folder of sources") {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: Table<'_> = &[
        ("error", ""),
        ("ground", "error"),
        ("house::cellar", "error ground::Stone"),
        ("house::room", "error ground house::cellar"),
        ("house", "house::room"),
        ("", "error ground house"),
    ];
    const MODULES: &[&str] =
        &["error", "ground", "ground::deep", "house::cellar", "house::room", "house", ""];

    /// What is wrong when one module has this source and all others are empty.
    fn wrong(module: &str, source: &str) -> Vec<String> {
        let mut sources: Vec<(&str, &str)> = MODULES.iter().map(|module| (*module, "")).collect();
        sources.retain(|(name, _)| *name != module);
        sources.push((module, source));
        let mut wrong = violations_in(&sources, TABLE);
        wrong.retain(|line| !line.starts_with("the table"));
        wrong
    }

    #[test]
    fn names_of_what_is_above_are_found_however_they_are_written() {
        for (module, source) in [
            ("error", "use crate::ground::Stone;"),
            ("error", "use crate::Item;"),
            ("error", "use super::ground;"),
            ("ground", "use crate::{error::Error, house::Door};"),
            ("ground", "fn f() { crate::house::go() }"),
            ("ground", "fn f() { assert_eq!(crate::house::A, 1) }"),
            ("ground", "fn f<'a>(x: &'a str) -> char { crate::house::go(x, '\"', r#\"\"#, '{') }"),
            ("ground", "type T = Vec<crate::house::Door>;"),
            ("ground", "#[derive(crate::house::Door)] struct A;"),
            ("ground::deep", "use super::super::house::Door;"),
            ("ground::deep", "use super::super::*;"),
            ("house::cellar", "use super::{error::E,\n    room::{Table, chair}};"),
            ("house::cellar", "use crate::{ground::{self, Stone}, error};"),
            ("house::cellar", "use super::room as later;"),
            ("house::cellar", "use super::*;"),
            ("house::cellar", "mod tests { use super::super::room; }"),
            ("house::room", "use super::Door;"),
            ("house::room", "pub(super) fn f(x: super::Door) {}"),
            ("house", "mod cellar; pub use cellar::Barrel;"),
            ("house", "use self::cellar::Barrel;"),
            ("shed", ""),
        ] {
            assert!(!wrong(module, source).is_empty(), "{module}: {source}");
        }
    }

    #[test]
    fn names_of_what_is_below_are_fine() {
        for (module, source) in [
            ("ground", "use crate::error::Error; // crate::house\n/** crate::house */ struct A;"),
            ("ground", "pub(crate) fn f() { g(\"crate::house::Door\") }"),
            ("ground", "use house::Door; mod deep; use deep::Hole;"),
            ("ground::deep", "use super::Stone;"),
            ("house::cellar", "use crate::ground::Stone;\nmod tests {\n    use super::*;\n}"),
            ("house::room", "use super::cellar::{self, Barrel};"),
            ("house", "mod room; pub use room::Table;"),
            ("", "mod house; pub use house::{Door, room::Table};"),
        ] {
            assert_eq!(wrong(module, source), Vec::<String>::new(), "{module}: {source}");
        }
    }

    /// The table may allow both ways, as it does when somebody makes room for one more name; its order does not.
    #[test]
    fn a_circle_is_found_although_the_table_allows_it() {
        let table: Table<'_> = &[("a", "b"), ("b", "a"), ("", "")];
        let sources = [("a", "use crate::b::B;"), ("b", "use crate::a::A;"), ("", "")];
        assert_eq!(violations_in(&sources, table), ["a names b::B, which stands above it"]);
        let table: Table<'_> = &[("a", "b"), ("b", "c"), ("c", "a"), ("", "")];
        let sources =
            [("a", "use crate::b::B;"), ("b", "fn f() { super::c::g() }"), ("c", "use super::a;"), ("", "")];
        assert_eq!(violations_in(&sources, table).len(), 2);
    }

    #[test]
    fn rows_and_modules_belong_together() {
        assert_eq!(
            violations_in(&[("a", "")], &[("a", ""), ("b", "")]),
            ["the table has b, the source does not"]
        );
        let found = violations_in(&[("a", ""), ("b", "use crate::a::A;")], &[("a", ""), ("b", "a a::B")]);
        assert_eq!(found, ["the table lets b name a::B, which it does not"]);
        let found = violations_in(&[("a", ""), ("a::b", ""), ("a::c", "")], &[("a", ""), ("a::b", "")]);
        assert_eq!(found, ["a::c is not in the table: say what it may name"]);
    }
}
