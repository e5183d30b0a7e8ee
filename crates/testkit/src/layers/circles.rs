//! Finds files that name each other in a circle.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use proc_macro2::{Delimiter, TokenTree};

use super::files::{read, shown};
use super::names::{named, target, tokens};

/// Finds circles of files below `src`: one line each, with the names that close it; nothing when all is well.
///
/// A file names the file in which a path ends: a child that asks for `super::Thing` names its parent's file, whoever
/// defines the thing. The declaration of a module names nothing, a re-export from it does. What is compiled for tests or
/// for the documentation only does not count.
///
/// # Panics
/// When a file cannot be read or is no Rust.
pub fn circles(src: &Path) -> Vec<String> {
    let sources = read(src);
    circles_in(&sources.iter().map(|(m, s)| (m.as_str(), s.as_str())).collect::<Vec<_>>())
}

/// File → the files that it names, each with the paths that lead there.
type Arrows<'a> = BTreeMap<&'a str, BTreeMap<&'a str, BTreeSet<String>>>;

fn circles_in(sources: &[(&str, &str)]) -> Vec<String> {
    let modules: BTreeSet<&str> = sources.iter().map(|(module, _)| *module).collect();
    let mut arrows = Arrows::new();
    for (module, source) in sources {
        let arrows = arrows.entry(*module).or_default();
        for path in named(module, without_tests(tokens(module, source)), &modules) {
            // `target` gives a part of `path`; the module of that name lives longer.
            let Some(to) = modules.get(target(&path, &modules)).filter(|to| *to != module) else { continue };
            arrows.entry(*to).or_default().insert(path);
        }
    }
    let reached: BTreeMap<&str, BTreeSet<&str>> =
        arrows.keys().map(|module| (*module, reached_from(module, &arrows))).collect();
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for (module, reaches) in &reached {
        if !reaches.contains(module) || seen.contains(module) {
            continue;
        }
        let circle: BTreeSet<&str> =
            reaches.iter().copied().filter(|other| reached[other].contains(module)).collect();
        found.push(drawn(&circle, &arrows));
        seen.extend(circle);
    }
    found
}

/// Returns all that can be reached from a file, itself only in a circle.
fn reached_from<'a>(module: &str, arrows: &Arrows<'a>) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<&str> = arrows[module].keys().copied().collect();
    while let Some(next) = open.pop() {
        if reached.insert(next) {
            open.extend(arrows[next].keys());
        }
    }
    reached
}

fn drawn(circle: &BTreeSet<&str>, arrows: &Arrows<'_>) -> String {
    let members: Vec<&str> = circle.iter().map(|module| shown(module)).collect();
    let mut names = Vec::new();
    for from in circle {
        for (_, paths) in arrows[from].iter().filter(|(to, _)| circle.contains(*to)) {
            names.extend(paths.iter().map(|path| format!("{} names {path}", shown(from))));
        }
    }
    format!("a circle of {}: {}", members.join(", "), names.join("; "))
}

/// Returns a source less the items that `#[cfg(test)]` or `#[cfg(doc)]` stands before.
fn without_tests(tokens: Vec<TokenTree>) -> Vec<TokenTree> {
    let mut kept = Vec::new();
    let mut rest = tokens.into_iter();
    while let Some(token) = rest.next() {
        let is_of_tests =
            is_attribute(&kept) && matches!(&token, TokenTree::Group(group) if is_for_tests(group));
        if !is_of_tests {
            kept.push(token);
            continue;
        }
        kept.pop();
        // To the end of the item: its braces, or its semicolon.
        let ends = |token: &TokenTree| match token {
            TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
            TokenTree::Punct(sign) => sign.as_char() == ';',
            _ => false,
        };
        let mut is_import = false;
        for token in rest.by_ref() {
            is_import |= matches!(&token, TokenTree::Ident(word) if *word == "use");
            // The braces of an import are not its end.
            if ends(&token) && !(is_import && matches!(token, TokenTree::Group(_))) {
                break;
            }
        }
    }
    kept
}

fn is_attribute(before: &[TokenTree]) -> bool {
    matches!(before.last(), Some(TokenTree::Punct(sign)) if sign.as_char() == '#')
}

/// Whether an attribute is `cfg(test)`, `cfg(doc)` or `cfg(all(test, …))`.
fn is_for_tests(attribute: &proc_macro2::Group) -> bool {
    let text: String = attribute.stream().to_string().split_whitespace().collect();
    attribute.delimiter() == Delimiter::Bracket
        && ["cfg(test)", "cfg(doc)", "cfg(all(test,"].iter().any(|start| text.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODULES: &[&str] = &["", "house", "house::cellar", "house::room", "shed"];

    /// Returns the circles when these modules have these sources and all others are empty.
    fn found(sources: &[(&str, &str)]) -> Vec<String> {
        let mut all: Vec<(&str, &str)> = MODULES.iter().map(|module| (*module, "")).collect();
        all.retain(|(module, _)| sources.iter().all(|(other, _)| other != module));
        all.extend(sources);
        circles_in(&all)
    }

    #[test]
    fn circles_are_found_however_they_are_written() {
        for circle in [
            [("house", "mod cellar; pub use cellar::Barrel;"), ("house::cellar", "use super::Door;")],
            [("house", "mod cellar; pub use self::cellar::Barrel;"), ("house::cellar", "use super::*;")],
            [("house", "mod cellar; use cellar::Barrel;"), ("house::cellar", "use crate::house::Door;")],
            [("house", "mod cellar; fn f() { cellar::go() }"), ("house::cellar", "fn f() { super::go() }")],
            [("house", "mod cellar; use cellar::{Barrel};"), ("house::cellar", "use super::{Door, Wall};")],
            [("house::cellar", "use super::room::Bed;"), ("house::room", "use super::cellar;")],
            [("shed", "use crate::house::room::Bed;"), ("house::room", "use crate::shed;")],
            [("", "mod shed; use shed::Rake;"), ("shed", "use crate::Item;")],
            [("", "mod shed; use shed::Rake;"), ("shed", "mod deep { use super::super::Item; }")],
            [
                ("shed", "#[cfg(unix)] use crate::house;"),
                ("house", "#[cfg(not(test))] use crate::shed::Rake;"),
            ],
        ] {
            let lines = found(&circle);
            assert_eq!(lines.len(), 1, "{circle:?}: {lines:?}");
            for (module, _) in circle {
                assert!(lines[0].contains(&format!("{} names ", shown(module))), "{lines:?}");
            }
        }
    }

    #[test]
    fn what_goes_one_way_is_no_circle() {
        for fine in [
            [("house", "mod cellar;"), ("house::cellar", "use super::Door;")],
            [
                ("house", "pub mod cellar; pub use cellar::Barrel;"),
                ("house::cellar", "use super::room::Bed;"),
            ],
            [
                ("house", "mod cellar; use cellar::B;"),
                ("house::cellar", "#[cfg(test)] mod t { use super::super::D; }"),
            ],
            [
                ("house", "mod cellar; use cellar::B;"),
                ("house::cellar", "#[cfg(test)] use super::{D, E}; use x::Y;"),
            ],
            [
                ("house", "mod cellar; use cellar::B;"),
                ("house::cellar", "mod t { use super::*; } // super::Door"),
            ],
            [("house", "mod cellar; use cellar::B;"), ("house::cellar", "#[cfg(doc)] use super::Door;")],
            [
                ("shed", "use crate::house::Door;"),
                ("house", "/// crate::shed\nstruct A; const B: &str = \"crate::shed\";"),
            ],
            [
                ("shed", "#[cfg(all(test, unix))] mod t { use crate::house; }"),
                ("house", "use crate::shed::Rake;"),
            ],
        ] {
            assert_eq!(found(&fine), Vec::<String>::new(), "{fine:?}");
        }
    }

    #[test]
    fn a_longer_circle_is_one_and_others_are_left_out() {
        let lines = found(&[
            ("", "mod house; use house::Door;"),
            ("house", "use crate::shed::Rake;"),
            ("shed", "use crate::house::room::Bed;"),
            ("house::room", "use super::cellar::Barrel;"),
            ("house::cellar", "use super::Door;"),
        ]);
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].starts_with("a circle of house, house::cellar, house::room, shed: "), "{lines:?}");
        let lines = found(&[
            ("house::room", "use super::cellar::Barrel;"),
            ("house::cellar", "use super::room::Bed;"),
            ("shed", "use crate::Item;"),
            ("", "mod shed; use shed::Rake;"),
        ]);
        assert_eq!(lines.len(), 2, "{lines:?}");
    }
}
