//! Writes and reads numbers, sizes, modes and times as people do.

use std::borrow::Cow;

use rekopia::OwnerPolicy;
pub(crate) use rekopia::human_size as size;
pub(crate) use rekopia::{parse_rate, parse_size};

/// Reads `KEY` or `KEY:VALUE`.
pub(crate) fn parse_tag(text: &str) -> Result<(String, Option<String>), String> {
    let (key, value) = text.split_once(':').map_or((text, None), |(key, value)| (key, Some(value)));
    match key {
        "" => Err("a tag is KEY or KEY:VALUE".into()),
        key => Ok((key.to_owned(), value.map(str::to_owned))),
    }
}

/// Reads `keep`, `skip` or `UID:GID`.
pub(crate) fn parse_owner(text: &str) -> Result<OwnerPolicy, String> {
    match text {
        "keep" => Ok(OwnerPolicy::Keep),
        "skip" => Ok(OwnerPolicy::Skip),
        _ => {
            let (uid, gid) = text.split_once(':').ok_or("take keep, skip or UID:GID")?;
            let number = |t: &str| t.parse().map_err(|_| format!("{t:?} is not a numeric ID"));
            Ok(OwnerPolicy::Set { uid: number(uid)?, gid: number(gid)? })
        }
    }
}

/// Writes a number with its noun: `1 file`, `2 files`.
pub(crate) fn count(n: u64, what: &str) -> String {
    if n == 1 {
        return format!("1 {what}");
    }
    match what.strip_suffix('y') {
        Some(stem) => format!("{n} {stem}ies"),
        None => format!("{n} {what}s"),
    }
}

/// Writes a duration: `2m 5s`.
pub(crate) fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        0..10 => format!("{seconds:.1}s"),
        10..60 => format!("{whole}s"),
        60..3600 => format!("{}m {}s", whole / 60, whole % 60),
        _ => format!("{}h {}m", whole / 3600, whole / 60 % 60),
    }
}

/// Writes a duration without parts of a second: `2m 5s`.
pub(crate) fn whole_duration(seconds: u64) -> String {
    if seconds < 10 { format!("{seconds}s") } else { duration(seconds as f64) }
}

/// Writes a mode as `drwxr-xr-x`, with setuid, setgid and sticky in the usual places.
pub(crate) fn mode(kind: char, mode: u32) -> String {
    let mut text = String::with_capacity(10);
    text.push(kind);
    for (shift, special, low, high) in [(6, 0o4000, 's', 'S'), (3, 0o2000, 's', 'S'), (0, 0o1000, 't', 'T')] {
        let bits = mode >> shift;
        text.push(if bits & 4 != 0 { 'r' } else { '-' });
        text.push(if bits & 2 != 0 { 'w' } else { '-' });
        text.push(match (bits & 1 != 0, mode & special != 0) {
            (true, true) => low,
            (false, true) => high,
            (true, false) => 'x',
            (false, false) => '-',
        });
    }
    text
}

/// Returns a name or path for a terminal: nothing in it can move the cursor or turn the direction of writing, and a
/// very long one is shortened in the middle.
pub(crate) fn printable(name: &str) -> String {
    shortened(&escaped(name), 300).into_owned()
}

/// Returns a name or path as a shell takes it for one word.
pub(crate) fn quoted(name: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+:@%,=".contains(c);
    if !name.is_empty() && name.chars().all(is_plain) {
        return name.to_owned();
    }
    format!("'{}'", printable(&name.replace('\'', r"'\''")))
}

/// Returns a message on one line, of some length that a person reads.
pub(crate) fn line(message: &str) -> String {
    shortened(&escaped(message), 2000).into_owned()
}

/// Shortens `text` to at most about `most` bytes: the middle goes, for a path tells most by its ends.
pub(crate) fn shortened(text: &str, most: usize) -> Cow<'_, str> {
    if text.len() <= most {
        return Cow::Borrowed(text);
    }
    let head = text.floor_char_boundary(most / 2);
    let tail = text.ceil_char_boundary(text.len() - most / 2);
    Cow::Owned(format!("{} [… {} bytes …] {}", &text[..head], tail - head, &text[tail..]))
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if rekopia::is_directional(c) => escaped.extend(c.escape_unicode()),
            c if c.is_control() => escaped.extend(c.escape_default()),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_counts_and_durations() {
        assert_eq!(mode('d', 0o1777), "drwxrwxrwt");
        assert_eq!(mode('-', 0o6644), "-rwSr-Sr--");
        assert_eq!(count(2, "directory"), "2 directories");
        assert_eq!(count(1, "file"), "1 file");
        assert_eq!(duration(125.2), "2m 5s");
        assert_eq!(quoted("45d6/a b/c"), "'45d6/a b/c'");
        assert_eq!((quoted("45d6/ä.b"), quoted("it's")), ("45d6/ä.b".into(), r"'it'\''s'".into()));
        assert_eq!(printable("a\x1b[2Jb"), "a\\u{1b}[2Jb");
        assert_eq!(printable("fdp.\u{202e}exe"), "fdp.\\u{202e}exe");
    }

    #[test]
    fn long_paths_are_shortened_in_the_middle() {
        let path = format!("first/{}/last", "ä".repeat(20_000_000));
        let short = printable(&path);
        assert!(short.len() < 400 && short.starts_with("first/") && short.ends_with("/last"), "{short}");
        assert!(line(&path).len() < 2100);
        assert_eq!(printable("a/b"), "a/b");
    }

    #[test]
    fn tags() {
        assert_eq!(parse_tag("app"), Ok(("app".into(), None)));
        assert_eq!(parse_tag("at:12:30"), Ok(("at".into(), Some("12:30".into()))));
        assert!(parse_tag(":x").is_err() && parse_tag("").is_err());
    }

    #[test]
    fn owners() {
        assert_eq!(parse_owner("1000:100"), Ok(OwnerPolicy::Set { uid: 1000, gid: 100 }));
        assert!(parse_owner("root").is_err());
    }
}
