//! Checks which module may name which others: the order from the floor to the roof.

use std::collections::BTreeSet;
use std::path::Path;

use super::files::{read, shown};
use super::names::{named, target, tokens};

/// Modules with what each may name of the crate, from the floor to the roof.
///
/// Modules are paths without `crate`; the root is `""`. A row stands for the modules below it as long as none of them has
/// a row. What may be named are paths, separated by blanks, and allow everything below them; an item that the root
/// itself defines or re-exports is `crate::Item`.
pub type Table<'a> = &'a [(&'a str, &'a str)];

/// Returns what the source below `src` has against `table`: one line each; nothing when all is well.
///
/// # Panics
/// When a file cannot be read or is no Rust.
pub fn violations(src: &Path, table: Table<'_>) -> Vec<String> {
    let sources = read(src);
    let sources: Vec<(&str, &str)> = sources.iter().map(|(m, s)| (m.as_str(), s.as_str())).collect();
    violations_in(&sources, table)
}

/// Returns what modules, given with their sources, have against `table`.
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
        for path in named(module, tokens(module, source), &modules) {
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

/// Returns the row of a module: its own, or the nearest above it that has no other rows below.
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

    /// Returns what is wrong when one module has this source and all others are empty.
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
