//! Reads texts in YAML or JSON as values, within limits.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::Options;

use super::error::GitError;

/// The documents of a text, and what is wrong with the others.
#[derive(Default)]
pub(super) struct Parsed {
    pub(super) documents: Vec<Value>,
    /// Sentences about what is wrong, one line each.
    pub(super) faults: Vec<String>,
    /// Length of the text in bytes.
    pub(super) bytes: usize,
}

/// Reads every document of a text in YAML or JSON; lists (`kind: List`) become their items, empty documents vanish.
///
/// # Errors
/// The first document that is neither.
pub fn documents(text: &str) -> Result<Vec<Value>, GitError> {
    let parsed = parse(text);
    match parsed.faults.into_iter().next() {
        None => Ok(parsed.documents),
        Some(fault) => Err(GitError::NotYaml("the manifests".to_owned(), fault)),
    }
}

/// Reads what can be read of a text.
pub(super) fn parse(text: &str) -> Parsed {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut parsed = Parsed { bytes: text.len(), ..Parsed::default() };
    for (line, piece) in pieces(text) {
        match value(piece) {
            Ok(Value::Null) => {}
            Ok(value) => expand(value, &mut parsed.documents),
            Err(why) => {
                parsed.faults.push(format!("the document at line {line}: {}", explained(piece, &why)))
            }
        }
    }
    parsed
}

/// Returns what an unquoted scalar means: a number, a truth value, nothing, or a text.
///
/// # Errors
/// It is no YAML.
pub(super) fn plain(text: &str) -> Result<Value, String> {
    if is_surely_text(text) {
        return Ok(Value::String(text.to_owned()));
    }
    if let Some(number) = surely_number(text) {
        return Ok(number);
    }
    match value(&format!("- {text}\n"))? {
        Value::Array(mut one) if one.len() == 1 => Ok(one.pop().unwrap_or_default()),
        _ => Err("it is not one value".to_owned()),
    }
}

/// Whether nothing can be meant but a text: this saves the parser, since most values are names, sizes and schedules.
fn is_surely_text(text: &str) -> bool {
    if is_ambiguous(text) || !text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return false;
    }
    if text.contains(' ') {
        return true;
    }
    if ["true", "false", "null", "yes", "no", "on", "off"].iter().any(|word| text.eq_ignore_ascii_case(word))
    {
        return false;
    }
    // A number begins with a digit, and has no other letters than these, whatever its base.
    let is_of_number = |c: char| c.is_ascii_hexdigit() || matches!(c, 'x' | 'X' | 'o' | 'O');
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        || text.chars().any(|c| c.is_ascii_alphabetic() && !is_of_number(c))
}

/// Whether YAML could take a part of it for something else.
fn is_ambiguous(text: &str) -> bool {
    text.contains(": ")
        || text.contains(" #")
        || text.ends_with([':', ' '])
        || text.contains(char::is_control)
}

/// Whether a text needs quotes in YAML so as to stay the text that it is.
pub(super) fn needs_quotes(text: &str) -> bool {
    let is_safe = text.starts_with('$') && !is_ambiguous(text);
    !is_safe && !plain(text).is_ok_and(|value| value.as_str() == Some(text))
}

fn surely_number(text: &str) -> Option<Value> {
    let is_simple = !text.starts_with('0') && text.len() < 19 && text.bytes().all(|b| b.is_ascii_digit());
    text.parse::<u64>().ok().filter(|_| is_simple).map(Value::from)
}

/// Returns the documents with the line at which each begins. They are separated here, so that a bad one does not take
/// the others with it.
fn pieces(text: &str) -> Vec<(usize, &str)> {
    let (mut pieces, mut from, mut first, mut at) = (Vec::new(), 0, 1, 0);
    for (number, line) in text.split_inclusive('\n').enumerate() {
        if line
            .strip_prefix("---")
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace))
        {
            pieces.push((first, &text[from..at]));
            (from, first) = (at, number + 1);
        }
        at += line.len();
    }
    pieces.push((first, &text[from..]));
    pieces.retain(|(_, piece)| {
        piece.lines().any(|line| !line.trim().is_empty() && !line.starts_with('#') && line.trim() != "---")
    });
    pieces
}

fn value(text: &str) -> Result<Value, String> {
    let budget = Budget { bytes: Cell::new(text.len() * GROWTH + SPARE_BYTES) };
    let options = options();
    let read = serde_saphyr::with_deserializer_from_str_with_options(text, options, |deserializer| {
        Seed { budget: &budget }.deserialize(deserializer)
    });
    read.map_err(|why| why.without_snippet().to_string().lines().next().unwrap_or_default().to_owned())
}

fn options() -> Options {
    serde_saphyr::options! {
        with_snippet: false,
        emit_comments: false,
        strict_booleans: true,
        legacy_octal_numbers: true,
        non_finite_float_policy: serde_saphyr::NonFiniteFloatPolicy::AsString,
        budget: serde_saphyr::budget! {
            max_depth: MOST_DEPTH,
            enforce_alias_anchor_ratio: false,
        },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 100_000 },
    }
}

/// Returns what people need to hear about a text that is not YAML.
fn explained(text: &str, why: &str) -> String {
    if text.contains("{{") {
        format!("a template (it contains {{{{), not a manifest: {why}")
    } else {
        why.to_owned()
    }
}

fn expand(value: Value, into: &mut Vec<Value>) {
    let mut open = vec![value];
    while let Some(mut value) = open.pop() {
        let is_list = value["kind"].as_str().is_some_and(|kind| kind.ends_with("List"));
        match value.get_mut("items").filter(|_| is_list).map(Value::take) {
            Some(Value::Array(items)) => open.extend(items.into_iter().rev()),
            _ => into.push(value),
        }
    }
}

/// How much a document may still grow: anchors repeat what was written once.
struct Budget {
    bytes: Cell<usize>,
}

impl Budget {
    fn take<E: Error>(&self, bytes: usize) -> Result<(), E> {
        let left = self.bytes.get().checked_sub(bytes + NODE_BYTES);
        self.bytes.set(left.ok_or_else(|| E::custom("its aliases repeat too much"))?);
        Ok(())
    }
}

#[derive(Clone, Copy)]
struct Seed<'a> {
    budget: &'a Budget,
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        self.budget.take(0)?;
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        self.budget.take(0)?;
        Ok(Value::from(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        self.budget.take(0)?;
        Ok(Value::from(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        self.budget.take(0)?;
        // JSON of Go knows no other 1.0 than 1.
        if value.fract() == 0.0 && value.abs() < WHOLE {
            #[expect(clippy::cast_possible_truncation, reason = "it is whole and small")]
            return Ok(Value::from(value as i64));
        }
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        self.budget.take(value.len())?;
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        self.budget.take(value.len())?;
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        self.budget.take(0)?;
        let mut values = Vec::new();
        while let Some(value) = access.next_element_seed(self)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        self.budget.take(0)?;
        let mut values = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            self.budget.take(key.len())?;
            values.insert(key, access.next_value_seed(self)?);
        }
        Ok(Value::Object(values))
    }
}

/// Whole numbers below this are exact as floating point.
const WHOLE: f64 = 9_007_199_254_740_992.0;
/// Levels of values in values. Each takes stack, and a thread may have no more than 2 MiB.
const MOST_DEPTH: usize = 64;
/// Number of times that a document's values may be as long as its text.
const GROWTH: usize = 16;
/// Number of bytes that a document's values may be longer besides, whatever its length.
const SPARE_BYTES: usize = 1 << 20;
/// Bytes that a value costs beside its text.
const NODE_BYTES: usize = 8;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn scalars_are_read_as_kubernetes_tools_read_them() {
        let text = "a: 1\nb: -1\nc: 18446744073709551615\nd: 1.5\ne: true\nf: yes\ng: ~\nh: '1'\ni: 0644\nj: 5Gi\nk:\n1: x\n";
        let expected = json!({"a": 1, "b": -1, "c": 18446744073709551615u64, "d": 1.5, "e": true, "f": "yes",
            "g": null, "h": "1", "i": 420, "j": "5Gi", "k": null, "1": "x"});
        assert_eq!(documents(text), Ok(vec![expected]));
    }

    #[test]
    fn documents_anchors_and_lists() {
        let text =
            "# comment\n---\nname: &app x\nAPP: *app\n---\n---\nkind: List\nitems: [{kind: A}, {kind: B}]\n";
        let expected = vec![json!({"name": "x", "APP": "x"}), json!({"kind": "A"}), json!({"kind": "B"})];
        assert_eq!(documents(text), Ok(expected));
        assert_eq!(documents("{\"a\": [1, 2]}"), Ok(vec![json!({"a": [1, 2]})]));
        assert_eq!(
            documents("a: &x {b: 1}\nc: {<<: *x, d: 2}"),
            Ok(vec![json!({"a": {"b": 1}, "c": {"b": 1, "d": 2}})])
        );
    }

    #[test]
    fn a_bad_document_leaves_the_others() {
        let parsed = parse("a: 1\n---\nb: [\n---\nc: {{ x }}: {\n---\nd: 1\n");
        assert_eq!(parsed.documents, vec![json!({"a": 1}), json!({"d": 1})]);
        assert_eq!(parsed.faults.len(), 2);
        assert!(parsed.faults[0].starts_with("the document at line 2: "), "{:?}", parsed.faults);
        assert!(parsed.faults[1].contains("a template"), "{:?}", parsed.faults);
        assert!(documents("a: [").is_err());
    }

    #[test]
    fn repeated_aliases_are_bounded() {
        let big = "x".repeat(100_000);
        let text = format!("a: &a {big}\nb: [{}]\n", "*a,".repeat(5000));
        assert!(parse(&text).faults[0].contains("repeat too much"), "{:?}", parse(&text).faults);
    }

    #[test]
    fn plain_scalars() {
        for (text, expected) in [
            ("1000", json!(1000)),
            ("true", json!(true)),
            ("5Gi", json!("5Gi")),
            ("", json!(null)),
            ("'*/15 * * * *'", json!("*/15 * * * *")),
            ("0 * * * *", json!("0 * * * *")),
            ("[a, b]", json!(["a", "b"])),
            ("0640", json!(416)),
            ("1.5", json!(1.5)),
            ("1e3", json!(1000)),
        ] {
            assert_eq!(plain(text), Ok(expected), "{text}");
        }
        assert!(plain("*/15 * * * *").is_err());
        assert!(plain("@daily").is_err());
    }
}
