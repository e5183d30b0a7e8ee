//! Writes the pod's log, and is the one place that does. Whoever calls the library hears nothing of it.

use std::borrow::Cow;
use std::sync::OnceLock;

/// Bytes of a line of the log at most: a path from a snapshot may be as long as it likes.
const LONGEST_LINE: usize = 4000;

/// The function that takes the lines; none, until a program says so.
static OUT: OnceLock<fn(&str)> = OnceLock::new();

/// Lets the lines of this process go to `out` from now on. The first call counts.
pub(crate) fn say_to(out: fn(&str)) {
    let _ = OUT.set(out);
}

/// Says a line for the pod's log.
pub(crate) fn say(line: &str) {
    if let Some(out) = OUT.get() {
        out(&shortened(line, LONGEST_LINE));
    }
}

/// Returns text without control characters and marks of direction, at most about `most` bytes: a name from a snapshot
/// must not forge or flood the log. The middle goes, for a path tells most by its ends, and a verdict ends with its
/// remedy.
pub(crate) fn one_line(text: &str, most: usize) -> String {
    let safe = |c: char| if c.is_control() || rekopia::is_directional(c) { '?' } else { c };
    shortened(text, most).chars().map(safe).collect()
}

fn shortened(text: &str, most: usize) -> Cow<'_, str> {
    if text.len() <= most {
        return Cow::Borrowed(text);
    }
    let head = text.floor_char_boundary(most / 2);
    let tail = text.ceil_char_boundary(text.len() - most / 2);
    Cow::Owned(format!("{}…{}", &text[..head], &text[tail..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_line() {
        assert_eq!(one_line("a\nb\u{1b}[1m\u{202e}", 100), "a?b?[1m?");
        assert_eq!(one_line("äöü", 4), "ä…ü");
        let long = one_line(&format!("first/{}/last: why", "x".repeat(36_000_000)), 200);
        assert!(long.len() < 210 && long.starts_with("first/") && long.ends_with("/last: why"), "{long}");
    }
}
