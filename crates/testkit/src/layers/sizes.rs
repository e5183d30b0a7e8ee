//! Finds what has grown too long to be read at once.

use std::path::Path;

use proc_macro2::{Delimiter, TokenTree};

use super::files::sources;
use super::names::tokens;

/// Lines of a file.
const FILE: usize = 400;
/// Lines of a function, from its `fn` to its closing brace.
const FUNCTION: usize = 60;

/// Finds files below `dir` of more than 400 lines and functions of more than 60: one line each; nothing when all is
/// well.
///
/// # Panics
/// When a file cannot be read or is no Rust.
pub fn oversized(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for file in sources(dir) {
        let name = file.strip_prefix(dir).unwrap().display().to_string();
        found.extend(oversized_in(&name, &std::fs::read_to_string(&file).expect("a source file")));
    }
    found
}

fn oversized_in(name: &str, source: &str) -> Vec<String> {
    let mut found = Vec::new();
    let lines = source.lines().count();
    if lines > FILE {
        found.push(format!("{name} has {lines} lines; the most is {FILE}"));
    }
    for (function, at, lines) in functions(&tokens(name, source)) {
        if lines > FUNCTION {
            found.push(format!("{name}:{at}: {function} has {lines} lines; the most is {FUNCTION}"));
        }
    }
    found
}

/// Returns the functions of a source, those inside others too: name, first line, number of lines.
fn functions(tokens: &[TokenTree]) -> Vec<(String, usize, usize)> {
    let mut found = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        match token {
            TokenTree::Group(group) => {
                found.extend(functions(&group.stream().into_iter().collect::<Vec<_>>()));
            }
            // Not the type of a function, which has no name.
            TokenTree::Ident(word) if *word == "fn" => {
                let Some(TokenTree::Ident(name)) = tokens.get(at + 1) else { continue };
                let Some(end) = end_of(&tokens[at..]) else { continue };
                let start = word.span().start().line;
                found.push((name.to_string(), start, end + 1 - start));
            }
            _ => {}
        }
    }
    found
}

/// Returns the line on which a function ends that begins here; `None` where it has no body.
fn end_of(function: &[TokenTree]) -> Option<usize> {
    function.iter().find_map(|token| match token {
        TokenTree::Group(body) if body.delimiter() == Delimiter::Brace => {
            Some(Some(body.span_close().end().line))
        }
        TokenTree::Punct(sign) if sign.as_char() == ';' => Some(None),
        _ => None,
    })?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(head: &str, lines: usize) -> String {
        format!("{head} {{\n{}}}\n", "    go();\n".repeat(lines - 2))
    }

    #[test]
    fn long_functions_are_found_wherever_they_stand() {
        for head in [
            "fn long()",
            "#[test]\n/// Text.\npub(crate) async fn long<'a, const N: usize>(a: [u8; 4], f: fn(u8) -> u8) -> u8\nwhere u8: Copy,\n",
            "impl A { fn short(); fn long(&self)",
            "mod tests { proptest! { #[test] fn long(a in 0..10)",
        ] {
            let (most, one_more) = match head.contains("where") {
                // The head counts from the line with `fn` on.
                true => (FUNCTION - 2, FUNCTION - 1),
                false => (FUNCTION, FUNCTION + 1),
            };
            let closed = |lines| function(head, lines) + &"}".repeat(head.matches('{').count());
            assert_eq!(oversized_in("a.rs", &closed(most)), Vec::<String>::new(), "{head}");
            let found = oversized_in("a.rs", &closed(one_more));
            assert_eq!(found.len(), 1, "{head}: {found:?}");
            assert!(found[0].contains("long has 61 lines"), "{found:?}");
        }
    }

    #[test]
    fn what_is_no_function_or_has_no_body_is_not_taken_for_a_long_one() {
        let trait_ = format!("trait A {{ fn short();\n{}}}", "const A: u8 = 1;\n".repeat(100));
        let value = format!("const F: &[fn(u8)] = &[{}];\nfn go() {{}}", "\n".repeat(100));
        for source in [trait_, value] {
            assert_eq!(oversized_in("a.rs", &source), Vec::<String>::new(), "{source}");
        }
    }

    #[test]
    fn long_files_are_found() {
        assert_eq!(oversized_in("a.rs", &"// a\n".repeat(FILE)), Vec::<String>::new());
        assert_eq!(oversized_in("a.rs", &"// a\n".repeat(FILE + 1)), ["a.rs has 401 lines; the most is 400"]);
    }
}
