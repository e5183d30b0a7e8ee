//! Columns that fit a line.

/// Spaces between columns.
const GAP: usize = 2;

/// Lays out rows, the first being the heads. One column may be shortened so that a line fits; without a width none is.
pub(super) fn lay_out(rows: &[Vec<String>], shortened: usize, width: Option<usize>) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let mut widths: Vec<usize> = (0..columns)
        .map(|c| rows.iter().filter_map(|row| row.get(c)).map(|cell| length(cell)).max().unwrap_or(0))
        .collect();
    if let Some(width) = width {
        let others: usize =
            widths.iter().sum::<usize>() - widths[shortened] + GAP * columns.saturating_sub(1);
        widths[shortened] = widths[shortened].min(width.saturating_sub(others).max(12));
    }
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let cell = cut(cell, *width);
            let pad = width + GAP - length(&cell);
            line.push_str(&cell);
            line.push_str(&" ".repeat(pad));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn length(text: &str) -> usize {
    text.chars().count()
}

fn cut(text: &str, most: usize) -> String {
    if length(text) <= most {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(most.saturating_sub(1)).collect();
    short.push('…');
    short
}

/// Breaks a text into lines of at most `width`, each after `indent` spaces; a word that is longer stands alone.
#[must_use]
pub fn wrap(text: &str, indent: usize, width: usize) -> String {
    let mut lines = String::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() && indent + length(&line) + 1 + length(word) > width {
            lines.push_str(&format!("{}{line}\n", " ".repeat(indent)));
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    if !line.is_empty() {
        lines.push_str(&format!("{}{line}\n", " ".repeat(indent)));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_fits() {
        let row = |cells: &[&str]| cells.iter().map(|&cell| cell.to_owned()).collect::<Vec<_>>();
        let rows = [row(&["A", "WHAT", "B"]), row(&["äö", "a text that is much too long", "x"])];
        let lines = lay_out(&rows, 1, Some(24));
        assert_eq!(lines, "A   WHAT               B\näö  a text that is m…  x\n");
        assert!(lines.lines().all(|line| line.chars().count() <= 24), "{lines}");
        assert_eq!(lay_out(&rows, 1, None).lines().last(), Some("äö  a text that is much too long  x"));
    }

    #[test]
    fn words_wrap() {
        assert_eq!(wrap("one two three", 2, 9), "  one two\n  three\n");
        assert_eq!(wrap("averylongword b", 0, 5), "averylongword\nb\n");
        assert_eq!(wrap("", 2, 9), "");
    }
}
