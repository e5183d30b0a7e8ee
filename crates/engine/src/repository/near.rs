//! Finds sources and paths that could be meant: what is listed so, what lies below, what is alike.

use rekopia_format::snapshot::Source;

use super::snapshots::Snapshots;
use crate::error::{Error, ErrorKind, Result};
use crate::hint::Hint;

/// Returns the source that lists show as `text`, or as the beginning of it with names below. The longest one counts; of
/// several that are shown alike none is taken.
pub(super) fn listed_as(snapshots: &Snapshots, text: &str) -> Result<Option<(Source, Vec<String>)>> {
    let mut best: Vec<(&Source, Vec<String>)> = Vec::new();
    let mut longest = 0;
    for source in snapshots.by_source().into_keys() {
        let shown = source.to_string();
        let Some(rest) = text.strip_prefix(&shown) else { continue };
        let separates = |c: char| c == '/' || c == '\\' && is_windows(&source.path);
        let is_below = rest.is_empty() || rest.starts_with(separates) || shown.ends_with(separates);
        if !is_below || shown.len() < longest {
            continue;
        }
        if shown.len() > longest {
            best.clear();
        }
        longest = shown.len();
        let names = rest.split(separates).filter(|name| !name.is_empty());
        best.push((source, names.map(str::to_owned).collect()));
    }
    if best.len() > 1 {
        let part = |s: &Source| format!("user {:?}, host {:?}, path {:?}", s.user, s.host, s.path);
        let parts: Vec<String> = best.iter().map(|(s, _)| part(s)).collect();
        let what = format!("{text:?} may be any of: {}; take a snapshot ID", parts.join("; "));
        return Err(Error::new(ErrorKind::Usage, what));
    }
    Ok(best.pop().map(|(source, names)| (source.clone(), names)))
}

/// Whether the path is one of Windows: with a drive letter, or with backslashes alone.
pub(super) fn is_windows(path: &str) -> bool {
    let drive = matches!(path.as_bytes(), [letter, b':', ..] if letter.is_ascii_alphabetic());
    drive || path.contains('\\') && !path.contains('/')
}

pub(super) fn no_such_source(snapshots: &Snapshots, wanted: &str) -> Error {
    let sources: Vec<&Source> = snapshots.by_source().into_keys().collect();
    if sources.is_empty() {
        return Error::new(
            ErrorKind::NotFound,
            format!("no source {wanted}: the repository has no snapshots"),
        );
    }
    let mut near: Vec<&&Source> = sources.iter().filter(|s| alike(&s.to_string(), wanted)).collect();
    let what = if near.is_empty() { "sources are" } else { "did you mean" };
    if near.is_empty() {
        near = sources.iter().collect();
    }
    let names: Vec<String> = near.iter().take(8).map(|s| s.to_string()).collect();
    let more = if near.len() > 8 { format!(" and {} more", near.len() - 8) } else { String::new() };
    let what = format!("no source {wanted}; {what} {}{more}", names.join(", "));
    Error::not_found(what, Hint::ListSnapshots)
}

/// Makes the error for an ID that no snapshot has; of snapshots whose IDs begin alike the first few are named.
pub(super) fn no_such_id(snapshots: &Snapshots, id: &str) -> Error {
    let what = format!("no snapshot or object {id}");
    if snapshots.all().is_empty() {
        return Error::new(ErrorKind::NotFound, what);
    }
    let beginning = id.get(..6).unwrap_or(id);
    let near = snapshots.all().iter().map(|s| s.id.as_str()).filter(|other| other.starts_with(beginning));
    let near = Vec::from_iter(near.take(5));
    let hint = if near.is_empty() { String::new() } else { format!("; there is {}", near.join(", ")) };
    Error::not_found(what + &hint, Hint::ListSnapshots)
}

/// Whether two names could be meant to be the same: equal but for case and separators, with a few typing errors, or one
/// inside the other, or the same user, host or path.
pub(super) fn alike(a: &str, b: &str) -> bool {
    let fold = |s: &str| -> String {
        s.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
    };
    let (x, y) = (fold(a), fold(b));
    if x.is_empty() || y.is_empty() {
        return false;
    }
    let part = |s: &str, n: usize| s.split(['@', ':']).nth(n).map(fold).filter(|p| !p.is_empty());
    let same = |n| part(a, n).is_some() && part(a, n) == part(b, n);
    x.contains(&y)
        || y.contains(&x)
        || is_mistyped(&x, &y)
        || (a.contains('@') && b.contains('@') && (same(0) || same(1)))
}

/// Whether a third of the letters at most, and three of them, would have to be typed otherwise; two that changed places
/// are two. Long names are not compared: that would take long for what nobody types.
pub(super) fn is_mistyped(a: &str, b: &str) -> bool {
    let (a, b) = (Vec::from_iter(a.chars()), Vec::from_iter(b.chars()));
    let most = a.len().min(b.len()).saturating_add(1) / 3;
    let most = most.min(3);
    if a.len().max(b.len()) > 100 || a.len().abs_diff(b.len()) > most {
        return false;
    }
    // Levenshtein's distance, row by row.
    let mut row = Vec::from_iter(0..=b.len());
    for (i, x) in a.iter().enumerate() {
        let mut above_left = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let above = row[j + 1];
            row[j + 1] = (above_left + usize::from(x != y)).min(above + 1).min(row[j] + 1);
            above_left = above;
        }
    }
    row[b.len()] <= most
}

/// Returns the source with the longest path that `wanted` lies in, and what is left of the path.
pub(super) fn longest_parent(snapshots: &Snapshots, wanted: &Source) -> Option<(Source, Vec<String>)> {
    let same = |s: &&Source| s.user == wanted.user && s.host == wanted.host;
    let sources = snapshots.by_source().into_keys().filter(same);
    let parent = sources.filter(|s| below(&s.path, &wanted.path).is_some()).max_by_key(|s| s.path.len())?;
    Some((parent.clone(), below(&parent.path, &wanted.path)?))
}

/// Returns the names that are left of `path` below `parent`; `None` when it is not below. In paths of Windows either
/// slash separates.
pub(super) fn below(parent: &str, path: &str) -> Option<Vec<String>> {
    let either = is_windows(parent);
    let even = |text: &str| if either { text.replace('\\', "/") } else { text.to_owned() };
    let (parent, path) = (even(parent), even(path));
    // After an ID such a path comes with a slash before its drive.
    let path = path.strip_prefix('/').filter(|_| either && !parent.starts_with('/')).unwrap_or(&path);
    let rest = path.strip_prefix(parent.trim_end_matches('/'))?;
    (rest.is_empty() || rest.starts_with('/')).then(|| components(rest))
}

pub(super) fn components(path: &str) -> Vec<String> {
    path.split('/').filter(|c| !c.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_be_meant() {
        for (a, b) in [
            ("Documents", "documents"),
            ("documents", "documnets"),
            ("my-photos", "my_photos"),
            ("photos", "photos-2026"),
            ("report.txt", "reprot.txt"),
            ("media", "medai"),
            ("me@nas:/data", "me@naz:/dta"),
        ] {
            assert!(alike(a, b) && alike(b, a), "{a} {b}");
        }
        for (a, b) in [("cat", "dog"), ("music", "photos"), ("a", "b"), ("--", "x")] {
            assert!(!alike(a, b), "{a} {b}");
        }
    }

    #[test]
    fn paths_below_a_parent() {
        let below = |parent, path| below(parent, path).map(|names| names.join("|"));
        assert_eq!(below("/data", "/data/a/b").as_deref(), Some("a|b"));
        assert_eq!(below("/data", "/data/").as_deref(), Some(""));
        assert_eq!(below("/data/", "/data").as_deref(), Some(""));
        assert_eq!(below("/data", "/database"), None);
        assert_eq!(below("/", "/a").as_deref(), Some("a"));
        for path in ["C:\\Users\\me\\a\\b", "C:\\Users\\me/a/b", "C:/Users/me/a/b"] {
            assert_eq!(below("C:\\Users\\me", path).as_deref(), Some("a|b"), "{path}");
        }
        assert_eq!(below("/data", "/data/a\\b").as_deref(), Some("a\\b"));
    }
}
