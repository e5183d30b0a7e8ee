//! Lays out columns that fit a line.

/// Spaces between columns.
const GAP: usize = 2;

/// The width below which columns are not shortened.
const LEAST: usize = 12;

/// Lays out rows, the first being the heads. These columns may be shortened so that a line fits, one after the other;
/// without a width none is. Names in the first column are cut in their middle: their ends tell them apart.
pub(super) fn lay_out(rows: &[Vec<String>], shortened: &[usize], width: Option<usize>) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let mut widths: Vec<usize> = (0..columns)
        .map(|c| rows.iter().filter_map(|row| row.get(c)).map(|cell| length(cell)).max().unwrap_or(0))
        .collect();
    for &column in shortened.iter().filter(|column| **column < columns) {
        let Some(width) = width else { break };
        let others: usize = widths.iter().sum::<usize>() - widths[column] + GAP * columns.saturating_sub(1);
        widths[column] = widths[column].min(width.saturating_sub(others).max(LEAST));
    }
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let cell = if column == 0 { cut_middle(cell, *width) } else { cut(cell, *width) };
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

fn cut_middle(text: &str, most: usize) -> String {
    let all = length(text);
    if all <= most || most < 4 {
        return cut(text, most);
    }
    let (head, tail) = ((most - 1) / 2, most - 1 - (most - 1) / 2);
    let begin = text.chars().take(head);
    begin.chain(['…']).chain(text.chars().skip(all - tail)).collect()
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
        let lines = lay_out(&rows, &[1], Some(24));
        assert_eq!(lines, "A   WHAT               B\näö  a text that is m…  x\n");
        assert!(lines.lines().all(|line| line.chars().count() <= 24), "{lines}");
        assert_eq!(lay_out(&rows, &[1], None).lines().last(), Some("äö  a text that is much too long  x"));
    }

    #[test]
    fn names_keep_their_ends() {
        assert_eq!(cut_middle("observability/loki-0", 12), "obser…loki-0");
        let rows =
            [vec!["NAME".to_owned(), "A".into()], vec!["a-very-long-name-1".to_owned(), "b".repeat(20)]];
        let lines = lay_out(&rows, &[1, 0], Some(30));
        assert!(lines.lines().all(|line| line.chars().count() <= 30), "{lines}");
        assert!(lines.contains("-1  bbb"), "{lines}");
    }

    #[test]
    fn words_wrap() {
        assert_eq!(wrap("one two three", 2, 9), "  one two\n  three\n");
        assert_eq!(wrap("averylongword b", 0, 5), "averylongword\nb\n");
        assert_eq!(wrap("", 2, 9), "");
    }
}
