//! Chooses the objects that a patch is for: kustomize's selectors.

use serde_json::Value;

use super::object::{self, Item};

/// A choice of objects, as `target` of a patch says.
#[derive(Default)]
pub(super) struct Selector {
    group: Pattern,
    version: Pattern,
    kind: Pattern,
    name: Pattern,
    namespace: Pattern,
    labels: Vec<Requirement>,
    annotations: Vec<Requirement>,
}

impl Selector {
    /// Reads a `target`.
    ///
    /// # Errors
    /// One line: a field is more than is understood here.
    pub(super) fn new(target: &Value) -> Result<Self, String> {
        let text = |field: &str| target[field].as_str().unwrap_or_default();
        Ok(Selector {
            group: Pattern::new(text("group"))?,
            version: Pattern::new(text("version"))?,
            kind: Pattern::new(text("kind"))?,
            name: Pattern::new(text("name"))?,
            namespace: Pattern::new(text("namespace"))?,
            labels: requirements(text("labelSelector"))?,
            annotations: requirements(text("annotationSelector"))?,
        })
    }

    /// Whether an object is meant.
    pub(super) fn is_for(&self, item: &Item) -> bool {
        let value = &item.value;
        let version = value["apiVersion"].as_str().unwrap_or_default();
        let version = version.rsplit('/').next().unwrap_or_default();
        self.kind.is_like(object::kind(value))
            && item.is_named(|name| self.name.is_like(name))
            && self.group.is_like(object::group(value))
            && self.version.is_like(version)
            && self.namespace.is_like(object::namespace(value))
            && self.labels.iter().all(|label| label.is_met(&value["metadata"]["labels"]))
            && self.annotations.iter().all(|of| of.is_met(&value["metadata"]["annotations"]))
    }
}

/// A regular expression of the simple kind that people write: letters, `.`, `.*`, `.+`, and `|` between whole texts.
/// It has to fit the whole text; an empty one fits all.
#[derive(Default)]
struct Pattern(Vec<Vec<Piece>>);

#[derive(Clone, Copy, PartialEq)]
enum Piece {
    Letter(char),
    Any,
    /// Any letters, also none.
    Many,
}

impl Pattern {
    fn new(text: &str) -> Result<Self, String> {
        let text = text.strip_prefix('^').unwrap_or(text);
        let text = text.strip_suffix('$').unwrap_or(text);
        if text.is_empty() {
            return Ok(Pattern(Vec::new()));
        }
        let text = text.strip_prefix('(').and_then(|text| text.strip_suffix(')')).unwrap_or(text);
        text.split('|').map(pieces).collect::<Result<_, _>>().map(Pattern)
    }

    fn is_like(&self, text: &str) -> bool {
        self.0.is_empty() || self.0.iter().any(|pieces| fits(pieces, text))
    }
}

fn pieces(text: &str) -> Result<Vec<Piece>, String> {
    let (mut pieces, mut letters) = (Vec::new(), text.chars().peekable());
    while let Some(letter) = letters.next() {
        match letter {
            '.' => match letters.peek() {
                Some('*') => pieces.push(Piece::Many),
                Some('+') => pieces.extend([Piece::Any, Piece::Many]),
                _ => {
                    pieces.push(Piece::Any);
                    continue;
                }
            },
            '\\' => {}
            '*' | '+' | '?' | '(' | ')' | '[' | ']' | '{' | '}' | '^' | '$' => {
                return Err(format!("the regular expression {text} is more than is understood here"));
            }
            _ => {
                pieces.push(Piece::Letter(letter));
                continue;
            }
        }
        // The letter after a dot or a backslash is part of it.
        let next = letters.next();
        if letter == '\\' {
            match next {
                Some(next) if !next.is_ascii_alphanumeric() => pieces.push(Piece::Letter(next)),
                _ => return Err(format!("the regular expression {text} is more than is understood here")),
            }
        }
    }
    Ok(pieces)
}

/// Whether the pieces fit the whole text: found by where a pattern could stand after each letter, without going back.
fn fits(pieces: &[Piece], text: &str) -> bool {
    let mut at = vec![false; pieces.len() + 1];
    at[0] = true;
    skip(pieces, &mut at);
    for letter in text.chars() {
        let mut next = vec![false; pieces.len() + 1];
        for (index, piece) in pieces.iter().enumerate().filter(|(index, _)| at[*index]) {
            match piece {
                Piece::Many => next[index] = true,
                Piece::Any => next[index + 1] = true,
                Piece::Letter(wanted) => next[index + 1] |= *wanted == letter,
            }
        }
        skip(pieces, &mut next);
        at = next;
    }
    at[pieces.len()]
}

fn skip(pieces: &[Piece], at: &mut [bool]) {
    for (index, piece) in pieces.iter().enumerate() {
        if at[index] && *piece == Piece::Many {
            at[index + 1] = true;
        }
    }
}

/// A part of a label selector.
enum Requirement {
    Is(String, String),
    IsNot(String, String),
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Has(String),
    HasNot(String),
}

impl Requirement {
    fn is_met(&self, labels: &Value) -> bool {
        let of = |key: &String| labels[key].as_str();
        match self {
            Requirement::Is(key, value) => of(key) == Some(value),
            Requirement::IsNot(key, value) => of(key) != Some(value),
            Requirement::In(key, values) => of(key).is_some_and(|is| values.iter().any(|value| value == is)),
            Requirement::NotIn(key, values) => {
                !of(key).is_some_and(|is| values.iter().any(|value| value == is))
            }
            Requirement::Has(key) => of(key).is_some(),
            Requirement::HasNot(key) => of(key).is_none(),
        }
    }
}

fn requirements(text: &str) -> Result<Vec<Requirement>, String> {
    let (mut parts, mut depth) = (vec![String::new()], 0_usize);
    for letter in text.chars() {
        match letter {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        match parts.last_mut() {
            Some(part) if letter != ',' || depth > 0 => part.push(letter),
            _ => parts.push(String::new()),
        }
    }
    parts.iter().map(|part| part.trim()).filter(|part| !part.is_empty()).map(requirement).collect()
}

fn requirement(part: &str) -> Result<Requirement, String> {
    let own = |text: &str| text.trim().to_owned();
    if let Some((key, value)) = part.split_once("!=") {
        return Ok(Requirement::IsNot(own(key), own(value)));
    }
    if let Some((key, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
        return Ok(Requirement::Is(own(key), own(value)));
    }
    if let Some((head, values)) = part.split_once('(') {
        let values = values.trim_end_matches(')').split(',').map(own).collect();
        let words: Vec<&str> = head.split_whitespace().collect();
        return match words[..] {
            [key, "in"] => Ok(Requirement::In(own(key), values)),
            [key, "notin"] => Ok(Requirement::NotIn(own(key), values)),
            _ => Err(format!("the selector {part} is not understood")),
        };
    }
    if part.contains(char::is_whitespace) {
        return Err(format!("the selector {part} is not understood"));
    }
    Ok(part
        .strip_prefix('!')
        .map_or_else(|| Requirement::Has(own(part)), |key| Requirement::HasNot(own(key))))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn patterns_fit_the_whole_text() {
        for (pattern, text, expected) in [
            ("", "anything", true),
            ("app", "app", true),
            ("app", "apps", false),
            ("app.*", "apps", true),
            (".*", "", true),
            (".+", "", false),
            ("^a.c$", "abc", true),
            ("a|b.*", "bc", true),
            ("(a|b)", "b", true),
            ("a\\.b", "axb", false),
            ("a\\.b", "a.b", true),
            (".*.*.*.*.*.*.*.*x", &"a".repeat(5000), false),
        ] {
            assert_eq!(Pattern::new(pattern).map(|pattern| pattern.is_like(text)), Ok(expected), "{pattern}");
        }
        assert!(Pattern::new("[a-z]+").is_err());
        assert!(Pattern::new("(?i)x").is_err());
    }

    #[test]
    fn labels() {
        let labels = json!({"a": "1", "b": "2"});
        for (selector, expected) in [
            ("a=1", true),
            ("a==1,b!=3", true),
            ("a in (1, 2),c notin (x)", true),
            ("a notin (1,2)", false),
            ("a,!c", true),
            ("!a", false),
        ] {
            let met = requirements(selector).map(|all| all.iter().all(|of| of.is_met(&labels)));
            assert_eq!(met, Ok(expected), "{selector}");
        }
        assert!(requirements("a like b").is_err());
    }
}
