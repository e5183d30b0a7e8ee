//! Inside the engine everything flows one way: who may name whom, read from the source.

use std::collections::BTreeSet;
use std::path::Path;

/// Module → what it may name of the crate. A path allows everything below it.
///
/// The stages stand in their order; each may name earlier ones, never a later one. `finish` is the exception:
/// entries end in it from every stage (reconcile finds them right, write completes them), so it names no stage.
const TABLE: &[(&str, &str)] = &[
    ("error", ""),
    ("limits", ""),
    ("observer", ""),
    ("text", ""),
    ("repository", "error observer"),
    ("sink", "error"),
    // What the stages share: plain values and counters.
    ("restore::options", "observer::Cancel sink::OwnerPolicy restore::report::Deletion crate::ErrorKind"),
    ("restore::clock", ""),
    ("restore::report", "error restore::clock"),
    ("restore::credits", ""),
    ("restore::filter", "error"),
    ("restore::slot", "error sink"),
    ("restore::finish", "error observer sink restore::options restore::report restore::slot"),
    ("restore::rehash", "sink"),
    ("restore::verify", ""),
    // The stages. Walk does not look at the destination; plan is pure; fetch and decode open no files.
    (
        "restore::walk",
        "error observer repository sink::Attributes sink::folding restore::clock restore::filter restore::slot",
    ),
    (
        "restore::reconcile",
        "error repository sink restore::options restore::report restore::slot restore::rehash restore::walk \
         restore::finish",
    ),
    ("restore::plan", "repository::index"),
    ("restore::cost", "restore::plan"),
    (
        "restore::fetch",
        "error repository restore::clock restore::cost restore::credits restore::plan restore::slot",
    ),
    ("restore::decode", "error repository restore::plan restore::fetch"),
    ("restore::write", "error sink restore::fetch restore::report restore::slot restore::finish"),
    (
        "restore::work",
        "error repository restore::clock restore::plan restore::fetch restore::decode restore::report \
         restore::slot restore::verify restore::write",
    ),
    ("restore::threads", "restore::work"),
    // What wires them.
    ("restore::extra", "repository::index::spill sink restore::report"),
    (
        "restore::window",
        "error repository sink restore::clock restore::cost restore::fetch restore::finish restore::options \
         restore::plan restore::reconcile restore::report restore::slot restore::walk restore::work",
    ),
    ("restore::pass", "error observer repository sink restore"),
    // What is known before anything is touched, by a walk of its own.
    (
        "restore::prove",
        "error repository sink restore::extra restore::filter restore::finish restore::options restore::pass \
         restore::report restore::slot restore::walk restore::window",
    ),
    ("restore::ticker", "observer repository restore::finish"),
    ("restore::reread", "error observer repository sink restore"),
    (
        "restore::stages",
        "error observer repository sink restore::clock restore::extra restore::filter restore::finish restore::options \
         restore::pass restore::prove restore::report restore::reread restore::slot restore::ticker restore::walk \
         text",
    ),
    ("restore::run", "error observer repository sink restore"),
    ("restore", "error observer repository sink restore"),
    ("", "error limits observer repository restore sink text"),
];

#[test]
fn modules_name_only_what_is_below_them() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut used = BTreeSet::new();
    let mut wrong = Vec::new();
    for file in sources(&root) {
        let module = module_of(file.strip_prefix(&root).unwrap());
        let source = std::fs::read_to_string(&file).unwrap();
        match violations(&module, &source) {
            Ok((row, found)) => {
                used.insert(row);
                wrong.extend(found);
            }
            Err(missing) => wrong.push(missing),
        }
    }
    let stale: Vec<_> = TABLE.iter().map(|(row, _)| *row).filter(|row| !used.contains(row)).collect();
    assert!(stale.is_empty(), "rows without a module: {stale:?}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn reversed_imports_are_found_however_they_are_written() {
    for (module, source) in [
        ("repository", "use crate::restore::options::RestoreOptions;"),
        ("repository::open", "use crate::{error::Error, sink::Sink};"),
        ("repository::open", "fn f() { crate::restore::run::go() }"),
        ("sink::file", "use super::super::repository::Repository;"),
        ("sink", "use super::restore;"),
        ("restore::walk", "use super::{filter::Filter,\n    plan::{PackRead, plan}};"),
        ("restore::walk", "use crate::sink::{Attributes, Sink};"),
        ("restore::fetch", "use super::decode as later;"),
        ("restore::plan", "use crate::restore::work::Work;"),
        ("restore::plan", "use super::*;"),
        ("restore::decode", "use crate::Report;"),
        ("restore::finish", "let w: super::work::Work;"),
        ("restore::unheard_of", ""),
    ] {
        let found = violations(&module.split("::").collect::<Vec<_>>(), source);
        assert!(!matches!(&found, Ok((_, wrong)) if wrong.is_empty()), "{module}: {source}");
    }
    for (module, source) in [
        ("repository::open", "use super::index::ContentIndex; // crate::restore"),
        ("restore::work", "use super::decode::{ContentDecoder, check_length};"),
        ("restore::walk", "use crate::sink::Attributes;\nmod tests {\n    use super::*;\n}"),
    ] {
        let (_, wrong) = violations(&module.split("::").collect::<Vec<_>>(), source).unwrap();
        assert!(wrong.is_empty(), "{wrong:?}");
    }
}

/// The row of the table for a module and what the module names against it.
fn violations(module: &[impl AsRef<str>], source: &str) -> Result<(&'static str, Vec<String>), String> {
    let module: Vec<&str> = module.iter().map(AsRef::as_ref).collect();
    let shown = module.join("::");
    // Below `restore` every file has its own row; the other modules are judged as a whole.
    let key = if module.first() == Some(&"restore") { shown.as_str() } else { module.first().unwrap_or(&"") };
    let (row, allowed) = TABLE
        .iter()
        .find(|(row, _)| *row == key)
        .ok_or_else(|| format!("{shown} is not in the table: say what it may name"))?;
    let wrong = named(&module, source)
        .into_iter()
        .filter(|path| !below(path, if key.is_empty() { "crate" } else { key }))
        .filter(|path| !allowed.split_whitespace().any(|allowed| below(path, allowed)))
        .map(|path| format!("{shown} names {path}"))
        .collect();
    Ok((row, wrong))
}

fn below(path: &str, ancestor: &str) -> bool {
    path.strip_prefix(ancestor).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// All paths of the crate that a file names, from the crate's root.
fn named(module: &[&str], source: &str) -> BTreeSet<String> {
    let tokens = tokens(source);
    let mut found = BTreeSet::new();
    let mut depth = 0_usize;
    // Brace depths at which an inline module begins: there `super` is one level less.
    let mut inline: Vec<usize> = Vec::new();
    for (i, token) in tokens.iter().enumerate() {
        match token.as_str() {
            "{" => {
                depth += 1;
                if i >= 2 && tokens[i - 2] == "mod" {
                    inline.push(depth);
                }
            }
            "}" => {
                if inline.last() == Some(&depth) {
                    inline.pop();
                }
                depth -= 1;
            }
            // Not `pub(crate)`, not the inside of a path.
            "crate" | "super"
                if tokens.get(i + 1).is_some_and(|next| next == "::") && !follows(&tokens, i) =>
            {
                let mut at = i;
                let mut base: Vec<String> = module.iter().map(|part| (*part).to_owned()).collect();
                base.extend(inline.iter().map(|_| "(inline)".to_owned()));
                expand(&tokens, &mut at, base, &mut found);
            }
            _ => {}
        }
    }
    found
}

/// Whether a token continues a path that began before it.
fn follows(tokens: &[String], at: usize) -> bool {
    at > 0 && tokens[at - 1] == "::"
}

/// Follows one path from `at`, through its groups.
fn expand(tokens: &[String], at: &mut usize, mut base: Vec<String>, found: &mut BTreeSet<String>) {
    while let Some(token) = tokens.get(*at) {
        match token.as_str() {
            "crate" => base.clear(),
            "super" => {
                base.pop();
            }
            "self" | "*" => {}
            "{" => {
                *at += 1;
                while tokens.get(*at).is_some_and(|token| token != "}") {
                    expand(tokens, at, base.clone(), found);
                    while tokens.get(*at).is_some_and(|token| token != "," && token != "}") {
                        *at += 1;
                    }
                    if tokens.get(*at).is_some_and(|token| token == ",") {
                        *at += 1;
                    }
                }
                *at += 1;
                return;
            }
            name => base.push(name.to_owned()),
        }
        *at += 1;
        if tokens.get(*at).is_none_or(|token| token != "::") {
            break;
        }
        *at += 1;
    }
    base.retain(|part| part != "(inline)");
    let path = base.join("::");
    // An item of the root goes by the name `crate`: modules below take it from where it is defined.
    let is_module =
        ["error", "observer", "repository", "restore", "sink", "text"].iter().any(|top| below(&path, top));
    found.insert(if is_module { path } else { format!("crate::{path}") });
}

/// Words, `::` and single signs; comments and literals left out.
fn tokens(source: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if first == '"' {
            let mut escaped = false;
            let end = rest[1..].find(|c| match (c, escaped) {
                ('"', false) => true,
                (c, before) => {
                    escaped = c == '\\' && !before;
                    false
                }
            });
            end.map_or(rest.len(), |end| end + 2)
        } else if let Some(sign) = ["'\"'", "'{'", "'}'"].iter().find(|sign| rest.starts_with(**sign)) {
            sign.len()
        } else if first.is_alphanumeric() || first == '_' {
            rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())
        } else if rest.starts_with("::") {
            2
        } else {
            first.len_utf8()
        };
        let token = &rest[..length];
        if !first.is_whitespace() && first != '"' && first != '\'' && !token.starts_with("//") {
            tokens.push(token.to_owned());
        }
        rest = &rest[length..];
    }
    tokens
}

fn module_of(file: &Path) -> Vec<String> {
    let mut parts: Vec<String> =
        file.with_extension("").iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if parts.last().is_some_and(|last| last == "mod" || last == "lib") {
        parts.pop();
    }
    parts
}

fn sources(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}
