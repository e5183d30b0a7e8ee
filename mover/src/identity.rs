//! Finds snapshots of somebody who may be meant, and snapshots that look wrong (pure).

use rekopia::{Snapshot, Source};

/// Ends that people put on the names of one application's objects.
const SUFFIXES: [&str; 5] = ["src", "dst", "backup", "bootstrap", "restore"];
const HOUR: i64 = 3_600_000_000_000;

/// Identities that may be meant by `wanted`, each with its newest snapshot.
pub(crate) struct Misses<'a> {
    /// Snapshots of the same namespace under a similar name, or of another path of the same identity.
    pub(crate) near: Vec<&'a Snapshot>,
    /// Snapshots of the same user and path in another namespace, with nothing new for two days.
    pub(crate) orphaned: Vec<&'a Snapshot>,
    /// Snapshots of the same user and path in a namespace that still makes backups.
    pub(crate) elsewhere: Vec<&'a Snapshot>,
}

/// Looks through all snapshots of a repository that has none of `wanted`.
pub(crate) fn misses<'a>(all: &'a [Snapshot], wanted: &Source) -> Misses<'a> {
    let newest_of_all = all.iter().map(|s| s.start.unix_nanos()).max().unwrap_or(0);
    let mut newest: Vec<&Snapshot> = Vec::new();
    for snapshot in all {
        match newest.iter_mut().find(|s| s.source == snapshot.source) {
            Some(known) if known.start < snapshot.start => *known = snapshot,
            Some(_) => {}
            None => newest.push(snapshot),
        }
    }
    let mut misses = Misses { near: Vec::new(), orphaned: Vec::new(), elsewhere: Vec::new() };
    for snapshot in newest {
        let source = &snapshot.source;
        if source.host == wanted.host && fold(&source.user) == fold(&wanted.user) {
            misses.near.push(snapshot);
        } else if source.user == wanted.user && source.path == wanted.path {
            let orphaned = snapshot.start.unix_nanos() < newest_of_all.saturating_sub(48 * HOUR);
            if orphaned { misses.orphaned.push(snapshot) } else { misses.elsewhere.push(snapshot) }
        }
    }
    misses
}

/// Returns sources of the same host or user, the same beginning of a name first, then those with the newest snapshots.
pub(crate) fn related<'a>(all: &'a [Snapshot], wanted: &Source) -> Vec<&'a Source> {
    let is_related = |s: &&Snapshot| s.source.host == wanted.host || s.source.user == wanted.user;
    let mut related: Vec<&Snapshot> = all.iter().filter(is_related).collect();
    related.sort_by_key(|s| {
        let joined = |long: &str, short: &str| {
            long.strip_prefix(short).is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '_', '.']))
        };
        let user = &s.source.user;
        let begins_alike = joined(user, &wanted.user) || joined(&wanted.user, user);
        (!begins_alike, std::cmp::Reverse(s.start))
    });
    let mut sources: Vec<&Source> = Vec::new();
    for snapshot in related {
        if !sources.contains(&&snapshot.source) {
            sources.push(&snapshot.source);
        }
    }
    sources
}

/// Returns a name without what does not count: case, punctuation and one usual suffix, nor what a name is cut to.
fn fold(user: &str) -> String {
    let lower: String = user.to_lowercase().chars().filter(|c| !matches!(c, '.' | '_' | '-')).collect();
    let bare = SUFFIXES.iter().find_map(|s| lower.strip_suffix(s)).filter(|b| !b.is_empty());
    bare.unwrap_or(&lower).chars().take(50).collect()
}

/// A chosen snapshot that lost most of what the identity had.
pub(crate) struct Shrunk<'a> {
    /// The last good snapshot: to be restored instead.
    pub(crate) good: &'a Snapshot,
    /// Whether it happened within the last 14 days of the chosen one.
    pub(crate) recent: bool,
}

/// Compares the newest snapshot with the largest complete one of its source, `candidates` being oldest first.
pub(crate) fn shrunk<'a>(chosen: &Snapshot, candidates: &[&'a Snapshot], now_ns: i64) -> Option<Shrunk<'a>> {
    let complete: Vec<&Snapshot> =
        candidates.iter().copied().filter(|s| s.incomplete.is_none() && s.root.is_some()).collect();
    let (largest_bytes, largest_files) = complete.iter().filter_map(|s| totals(s)).max()?;
    if largest_files < 10 || largest_bytes < 1 << 20 {
        return None;
    }
    let small = |s: &Snapshot| {
        totals(s).is_some_and(|(bytes, files)| {
            files == 0 || (bytes < largest_bytes / 10 && files < largest_files / 10)
        })
    };
    if !small(chosen) {
        return None;
    }
    let good = complete.iter().rev().find(|s| !small(s))?;
    let first_small = complete.iter().find(|s| s.start > good.start)?;
    Some(Shrunk { good, recent: now_ns - first_small.start.unix_nanos() < 14 * 24 * HOUR })
}

/// Returns bytes and files, where the snapshot's root records them.
fn totals(snapshot: &Snapshot) -> Option<(u64, u64)> {
    let summary = snapshot.root.as_ref()?.summary.as_ref()?;
    Some((summary.size, summary.files))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_folded() {
        for (a, b) in
            [("My.App", "myapp"), ("app-src", "app"), ("app_backup", "app-dst"), ("restore", "restore")]
        {
            assert_eq!(fold(a), fold(b), "{a} {b}");
        }
        assert_ne!(fold("app"), fold("apple"));
        assert_eq!(fold(&"x".repeat(60)), fold(&"x".repeat(50)));
    }
}
