//! Flux's substitution after the build: `${NAME}`, `${NAME:=default}`, `${NAME:-default}`, `$${NAME}`.

use std::collections::BTreeMap;

/// The text with its variables replaced; a name without value or default, and any other form, is an error (Flux itself
/// would put nothing there).
pub(crate) fn substitute(text: &str, variables: &BTreeMap<&str, &str>) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if rest.starts_with("$${") {
            out.push_str("${");
            rest = &rest[3..];
        } else if rest.starts_with("${") {
            let end = closing(rest)?;
            out.push_str(&value(&rest[2..end], variables)?);
            rest = &rest[end + 1..];
        } else {
            return Err(format!("a lone $ in {:?}", rest.lines().next()));
        }
    }
    out.push_str(rest);
    Ok(out)
}

/// Where the brace of the expression at the beginning closes; expressions nest.
fn closing(text: &str) -> Result<usize, String> {
    let mut depth = 0;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 1 => return Ok(at),
            b'}' => depth -= 1,
            b'\n' => break,
            _ => {}
        }
    }
    Err(format!("no closing brace in {:?}", text.lines().next()))
}

fn value(expression: &str, variables: &BTreeMap<&str, &str>) -> Result<String, String> {
    let end = expression.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(expression.len());
    let (name, operator) = expression.split_at(end);
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(format!("no name in {expression:?}"));
    }
    let given = variables.get(name).filter(|given| !given.is_empty());
    match (given, operator) {
        (Some(given), "") => Ok((*given).to_owned()),
        (None, "") => Err(format!("{name} has no value")),
        _ => {
            let default = operator
                .strip_prefix(":=")
                .or_else(|| operator.strip_prefix(":-"))
                .ok_or_else(|| format!("an operator that Flux users do not know: {expression:?}"))?;
            given.map_or_else(|| substitute(default, variables), |given| Ok((*given).to_owned()))
        }
    }
}

#[test]
fn every_form() {
    let variables = BTreeMap::from([("A", "x"), ("EMPTY", "")]);
    let good = [
        ("a ${A} b", "a x b"),
        ("${A:=y}${B:=y}${B:-z}", "xyz"),
        ("${EMPTY:=d}", "d"),
        ("${B:=${A}-1}", "x-1"),
        ("$${A} $${B:=c}", "${A} ${B:=c}"),
        ("${B:=0 * * * *}", "0 * * * *"),
        ("${B:=}", ""),
    ];
    for (text, expected) in good {
        assert_eq!(substitute(text, &variables).as_deref(), Ok(expected), "{text}");
    }
    for text in ["${B}", "${EMPTY}", "${A", "${A^^}", "$A", "${1}", "${}", "${A\n}"] {
        assert!(substitute(text, &variables).is_err(), "{text}");
    }
}
