//! Shows texts safely: what stands in a cluster may come from anywhere.

/// Makes one line of a text, without control characters and invisible marks, of at most about `most` bytes.
#[must_use]
pub fn one_line(text: &str, most: usize) -> String {
    // Marks that show nothing, too: they make two names look the same.
    let is_invisible = |c: char| matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}' | '\u{2029}' | '\u{feff}');
    let safe = |c: char| {
        if c.is_control() || is_invisible(c) || rekopia::is_directional(c) { ' ' } else { c }
    };
    let end = text.floor_char_boundary(most);
    let mut line: String = text[..end].chars().map(safe).collect();
    if end < text.len() {
        line.push('…');
    }
    line.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_line() {
        assert_eq!(one_line("a\nb\u{1b}[1m", 100), "a b [1m");
        assert_eq!(one_line("äöü", 3), "ä…");
    }
}
