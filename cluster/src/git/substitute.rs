//! Substitutes as Flux does after a build: `${NAME}` and its defaults.
//!
//! Flux writes each object as YAML, which drops the author's quotes, replaces in that text, and reads it again. So the
//! scalar `"${UID}"` becomes the number 1000. Here the same is done scalar by scalar. The forms:
//!
//! | written | becomes |
//! |---|---|
//! | `${A}` | A's value |
//! | `${A:=d}` `${A:-d}` `${A=d}` `${A-d}` | A's value, or `d` when A is unset or empty; `d` may hold variables |
//! | `${A^^}` `${A,,}` `${A^}` `${A,}` | A's value in capitals or small letters, whole or the first letter |
//! | `$${A}` | `${A}` |
//! | `$A`, `$` | itself |
//!
//! That an empty value takes the default without a colon too is Flux's own rule (`fluxcd/pkg: envsubst/funcs.go`).

use std::cell::Cell;
use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::yaml;

/// Values of variables, by name.
pub type Variables = BTreeMap<String, String>;

/// An expression that was left as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unresolved {
    /// The place of the expression: `spec.trigger.schedule`, `spec.volumes.0.name`.
    pub field: String,
    /// The expression: `${NAME}`.
    pub expression: String,
    /// The reason why the expression could not be replaced.
    pub why: &'static str,
}

/// Replaces the variables of an object, in its keys and values, and says which expressions had to stay.
///
/// An object that forbids it by label or annotation is not touched.
pub fn substitute(value: &mut Value, variables: &Variables) -> Vec<Unresolved> {
    substitute_within(value, variables, &Cell::new(MOST_GROWTH))
}

/// Replaces the variables of one of many objects, whose replaced texts may be no longer than `left` together.
pub(super) fn substitute_within(
    value: &mut Value,
    variables: &Variables,
    left: &Cell<usize>,
) -> Vec<Unresolved> {
    let mut work = Work { variables, field: String::new(), unresolved: Vec::new(), left };
    if !is_disabled(value) {
        work.value(value, 0);
    }
    work.unresolved
}

fn is_disabled(value: &Value) -> bool {
    let says = |of: &str| value["metadata"][of]["kustomize.toolkit.fluxcd.io/substitute"] == "disabled";
    says("labels") || says("annotations")
}

struct Work<'a> {
    variables: &'a Variables,
    field: String,
    unresolved: Vec<Unresolved>,
    left: &'a Cell<usize>,
}

impl Work<'_> {
    fn value(&mut self, value: &mut Value, depth: usize) {
        if depth > MOST_DEPTH {
            return;
        }
        match value {
            Value::String(text) if text.contains("${") => {
                if let Some(replaced) = self.scalar(text) {
                    *value = replaced;
                }
            }
            Value::Array(values) => {
                for (index, value) in values.iter_mut().enumerate() {
                    self.inside(&index.to_string(), value, depth);
                }
            }
            Value::Object(fields) => {
                if fields.keys().any(|key| key.contains("${")) {
                    self.keys(fields);
                }
                for (key, value) in fields {
                    self.inside(key, value, depth);
                }
            }
            _ => {}
        }
    }

    /// Works on a value one step further down.
    fn inside(&mut self, step: &str, value: &mut Value, depth: usize) {
        let length = self.field.len();
        self.field.push('.');
        self.field.push_str(step);
        self.value(value, depth + 1);
        self.field.truncate(length);
    }

    fn keys(&mut self, fields: &mut Map<String, Value>) {
        for (key, value) in std::mem::take(fields) {
            let key = self.text(&key).unwrap_or(key);
            fields.insert(key, value);
        }
    }

    /// Replaces the variables of a scalar; none when nothing was replaced.
    fn scalar(&mut self, text: &str) -> Option<Value> {
        let replaced = self.text(text)?;
        // A text that needs quotes, or several lines, keeps them through Flux's YAML, and so stays a text.
        if text.contains('\n') || replaced.len() > MOST_SHORT || yaml::needs_quotes(text) {
            return Some(Value::String(replaced));
        }
        match yaml::plain(&replaced) {
            Ok(value) => Some(value),
            Err(_) => {
                self.keep(text, "its value needs quotes of its own: Flux refuses the object");
                Some(Value::String(replaced))
            }
        }
    }

    fn text(&mut self, text: &str) -> Option<String> {
        let mut kept = Vec::new();
        // Once used up it stays so: the rest is not even tried.
        let all = self.left.take();
        if all == 0 {
            self.keep(text, TOO_LONG);
            return None;
        }
        let replaced = replaced(text, self.variables, 0, &mut kept).and_then(|replaced| {
            self.left.set(all.checked_sub(replaced.len()).ok_or(TOO_LONG)?);
            Ok(replaced)
        });
        for (expression, why) in kept {
            self.keep(&expression, why);
        }
        match replaced {
            Ok(replaced) => Some(replaced).filter(|replaced| replaced != text),
            Err(why) => {
                if why != TOO_LONG {
                    self.left.set(all);
                }
                self.keep(text, why);
                None
            }
        }
    }

    fn keep(&mut self, expression: &str, why: &'static str) {
        if self.unresolved.len() >= MOST_UNRESOLVED {
            return;
        }
        let field = self.field.trim_start_matches('.').to_owned();
        let mut short: String = expression.chars().take(MOST_SHOWN).collect();
        if short.len() < expression.len() {
            short.push('…');
        }
        self.unresolved.push(Unresolved { field, expression: short, why });
    }
}

/// Expressions that stay, and why.
type Kept = Vec<(String, &'static str)>;

/// Returns the text with its variables replaced.
fn replaced(
    text: &str,
    variables: &Variables,
    depth: usize,
    kept: &mut Kept,
) -> Result<String, &'static str> {
    if depth > MOST_NESTED {
        return Err("its defaults are nested too deeply");
    }
    let (mut out, mut rest) = (String::new(), text);
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let taken = if rest.starts_with("$${") {
            out.push_str("${");
            3
        } else if rest.starts_with("${") {
            let end = closing(rest).ok_or("a brace is not closed")?;
            let expression = &rest[..=end];
            match expanded(&expression[2..end], variables, depth, kept)? {
                Ok(value) => out.push_str(&value),
                Err(why) => {
                    kept.push((expression.to_owned(), why));
                    out.push_str(expression);
                }
            }
            end + 1
        } else {
            out.push('$');
            1
        };
        rest = &rest[taken..];
        if out.len() > MOST_BYTES {
            return Err("its value is longer than 1 MiB");
        }
    }
    out.push_str(rest);
    Ok(out)
}

/// Returns where the brace of the expression at the beginning closes; expressions nest.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 1 => return Some(at),
            b'}' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// Returns what stands between the braces, or why it cannot be known (inner); the outer error ends the whole text.
fn expanded(
    inner: &str,
    variables: &Variables,
    depth: usize,
    kept: &mut Kept,
) -> Result<Result<String, &'static str>, &'static str> {
    let end = inner.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(inner.len());
    let (name, operator) = inner.split_at(end);
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return Ok(Err("it has no name of a variable"));
    }
    let given = variables.get(name);
    let default = [":=", ":-", "=", "-"].iter().find_map(|of| operator.strip_prefix(of));
    if let Some(default) = default {
        return match given.filter(|given| !given.is_empty()) {
            Some(given) => Ok(Ok(given.clone())),
            None => replaced(default, variables, depth + 1, kept).map(Ok),
        };
    }
    let Some(given) = given else {
        let is_known = ["", "^^", ",,", "^", ","].contains(&operator);
        return Ok(Err(if is_known { "it has no value here, and no default" } else { UNKNOWN_OPERATOR }));
    };
    let (first, others) = given.split_at(given.chars().next().map_or(0, char::len_utf8));
    Ok(match operator {
        "" => Ok(given.clone()),
        "^^" => Ok(given.to_uppercase()),
        ",," => Ok(given.to_lowercase()),
        "^" => Ok(first.to_uppercase() + others),
        "," => Ok(first.to_lowercase() + others),
        _ => Err(UNKNOWN_OPERATOR),
    })
}

const UNKNOWN_OPERATOR: &str = "its operator is not known here";
/// Levels of defaults in defaults.
const MOST_NESTED: usize = 16;
/// Levels of values in values; what was read from a file is less deep.
const MOST_DEPTH: usize = 256;
const MOST_BYTES: usize = 1 << 20;
/// Bytes that the variables of one object may bring.
const MOST_GROWTH: usize = 32 << 20;
const TOO_LONG: &str = "the values are too long together";
/// Bytes of a short value at most: no number is longer, nor a list that somebody keeps in a variable.
const MOST_SHORT: usize = 64 << 10;
/// Expressions of one object that are told of.
const MOST_UNRESOLVED: usize = 1000;
/// Letters of an expression that a note shows.
const MOST_SHOWN: usize = 80;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn variables() -> Variables {
        let values =
            [("A", "x"), ("EMPTY", ""), ("N", "1000"), ("YES", "true"), ("W", "aBc"), ("LIST", "[a, b]")];
        values.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
    }

    fn of(text: &str) -> (Value, usize) {
        let mut value = json!({ "field": text });
        let unresolved = substitute(&mut value, &variables());
        (value["field"].take(), unresolved.len())
    }

    #[test]
    fn every_form() {
        for (text, expected) in [
            ("a ${A} b", json!("a x b")),
            ("${A:=y}${B:=y}${B:-z}${B=v}${B-w}", json!("xyzvw")),
            ("${EMPTY:=d}${EMPTY-e}", json!("de")),
            ("${B:=${A}-1}", json!("x-1")),
            ("${B:=${C:-${A}}}", json!("x")),
            ("$${A} $${B:=c}", json!("${A} ${B:=c}")),
            ("${B:=0 * * * *}", json!("0 * * * *")),
            ("${B:=5Gi}", json!("5Gi")),
            ("${W^^} ${W,,} ${W^} ${A,}", json!("ABC abc ABc x")),
            ("$ $A ${A}$", json!("$ $A x$")),
            ("${N}", json!(1000)),
            ("${B:=18446744073709551615}", json!(18446744073709551615u64)),
            ("${YES}", json!(true)),
            ("${LIST}", json!(["a", "b"])),
            ("${EMPTY}", json!(null)),
            ("${B:=}", json!(null)),
            ("${N}\n", json!("1000\n")),
            ("note: ${N}", json!("note: 1000")),
            ("${B:='*/15 * * * *'}", json!("*/15 * * * *")),
        ] {
            assert_eq!(of(text), (expected, 0), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_known_stays() {
        for text in
            ["${B}", "x ${B}", "${A", "${A:?no}", "${A/x/y}", "${A:1:2}", "${1}", "${}", "${B^^}", "${#A}"]
        {
            assert_eq!(of(text), (json!(text), 1), "{text}");
        }
        assert_eq!(of("${A} ${B}"), (json!("x ${B}"), 1));
        assert_eq!(of("${B:=${C}}"), (json!("${C}"), 1));
        assert_eq!(of("${B:=*/15 * * * *}"), (json!("*/15 * * * *"), 1));
        let mut value = json!({"spec": {"list": [{"x": "${B}"}]}});
        let unresolved = substitute(&mut value, &variables());
        assert_eq!(unresolved[0].field, "spec.list.0.x");
        assert_eq!(unresolved[0].expression, "${B}");
    }

    #[test]
    fn keys_and_the_label_that_forbids() {
        let mut value = json!({"a-${A}": {"n": "${N}"}});
        assert_eq!(substitute(&mut value, &variables()), []);
        assert_eq!(value, json!({"a-x": {"n": 1000}}));
        for of in ["labels", "annotations"] {
            let mut value = json!({"metadata": {of: {"kustomize.toolkit.fluxcd.io/substitute": "disabled"}}, "x": "${A}"});
            assert_eq!(substitute(&mut value, &variables()), []);
            assert_eq!(value["x"], "${A}");
        }
    }

    #[test]
    fn nesting_and_length_are_bounded() {
        let deep = format!("{}x{}", "${B:=".repeat(10_000), "}".repeat(10_000));
        assert_eq!(of(&deep).1, 1);
        let variables = BTreeMap::from([("BIG".to_owned(), "x".repeat(1 << 19))]);
        let mut value = json!({ "field": "${BIG}".repeat(1000) });
        assert_eq!(substitute(&mut value, &variables).len(), 1);
        let mut value = json!(vec!["${BIG}"; 100]);
        assert_eq!(substitute(&mut value, &variables).len(), 36);
    }
}
