//! Finds the paths that a source names.

use std::collections::BTreeSet;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use super::files::shown;

/// Returns what a source consists of.
///
/// # Panics
/// When it is no Rust.
pub(super) fn tokens(module: &str, source: &str) -> Vec<TokenTree> {
    let stream: TokenStream = source.parse().unwrap_or_else(|e| panic!("{}: {e}", shown(module)));
    stream.into_iter().collect()
}

/// Returns all paths of the crate that a file names, from the crate's root.
pub(super) fn named(module: &str, tokens: Vec<TokenTree>, modules: &BTreeSet<&str>) -> BTreeSet<String> {
    let mut reader = Reader { found: BTreeSet::new(), modules };
    let base: Vec<String> = module.split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect();
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

    /// Returns where a path leads that begins with this word; `None`: out of the crate, or to an item of the file's
    /// own.
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

/// Returns the module in which a path ends.
pub(super) fn target<'a>(path: &'a str, modules: &BTreeSet<&str>) -> &'a str {
    let mut at = path;
    loop {
        if modules.contains(at) {
            return at;
        }
        let Some((parent, _)) = at.rsplit_once("::") else { return "" };
        at = parent;
    }
}
