//! The policy that holds for a source: from its path to the defaults, the more specific one wins (§6.4).

use std::collections::BTreeSet;

use super::settings::{
    Compression, ErrorHandling, Files, MetadataCompression, Retention, Scheduling, Settings, Upload,
};
use super::stored::{Policy, PolicyTarget};
use crate::snapshot::Source;

/// What all policies together say about a source.
///
/// Policies of the path and its parents come first, then those of user, host and all; the built-in defaults fill the
/// gaps. A policy with `noParent` ends this, before the defaults. Several policies for one target all take part,
/// oldest first.
pub fn effective(policies: &[Policy], source: &Source) -> Settings {
    let mut by_age: Vec<&Policy> = policies.iter().collect();
    by_age.sort_by_key(|policy| policy.modified_ns);
    let mut merged = Settings::default();
    for target in levels(source) {
        for policy in by_age.iter().filter(|policy| target.is(&policy.target)) {
            inherit(&mut merged, &policy.settings);
            if policy.settings.no_parent {
                return merged;
            }
        }
    }
    inherit(&mut merged, &defaults());
    merged
}

/// A target, borrowed.
enum Level<'a> {
    Path { user: &'a str, host: &'a str, path: &'a str },
    User { user: &'a str, host: &'a str },
    Host { host: &'a str },
    Global,
}

impl Level<'_> {
    fn is(&self, target: &PolicyTarget) -> bool {
        match (self, target) {
            (Level::Path { user, host, path }, PolicyTarget::Path(source)) => {
                source.user == *user && source.host == *host && source.path == *path
            }
            (Level::User { user, host }, PolicyTarget::User { user: u, host: h }) => u == user && h == host,
            (Level::Host { host }, PolicyTarget::Host { host: h }) => h == host,
            (Level::Global, PolicyTarget::Global) => true,
            _ => false,
        }
    }
}

/// From the path up to everybody.
fn levels(source: &Source) -> impl Iterator<Item = Level<'_>> {
    let (user, host) = (source.user.as_str(), source.host.as_str());
    let paths = std::iter::successors(Some(source.path.as_str()), |path| parent(path)).take(MAX_LEVELS);
    paths.map(move |path| Level::Path { user, host, path }).chain([
        Level::User { user, host },
        Level::Host { host },
        Level::Global,
    ])
}

/// Deeper than any file system goes.
const MAX_LEVELS: usize = 4096;

/// The directory above, on either kind of system; a root (`/`, `C:\`) has none.
fn parent(path: &str) -> Option<&str> {
    let trimmed = path.trim_end_matches(['/', '\\']);
    let cut = trimmed.rfind(['/', '\\'])?;
    let above = trimmed.get(..cut)?;
    let is_root = above.is_empty() || above.ends_with(':');
    if is_root { trimmed.get(..=cut) } else { Some(above) }
}

/// Takes over those of the fields that are not yet set.
macro_rules! fill {
    ($into:expr, $from:expr, $($field:ident),+) => {
        $(if $into.$field.is_none() { $into.$field.clone_from(&$from.$field); })+
    };
}

fn inherit(into: &mut Settings, from: &Settings) {
    fill!(
        into.retention,
        from.retention,
        keep_latest,
        keep_hourly,
        keep_daily,
        keep_weekly,
        keep_monthly,
        keep_annual
    );
    fill!(into.retention, from.retention, ignore_identical_snapshots);
    let (files, more) = (&mut into.files, &from.files);
    fill!(files, more, ignore_cache_dirs, max_file_size, one_file_system);
    replace(&mut files.ignore, &mut files.no_parent_ignore, &more.ignore, more.no_parent_ignore);
    replace(
        &mut files.ignore_dot_files,
        &mut files.no_parent_dot_files,
        &more.ignore_dot_files,
        more.no_parent_dot_files,
    );
    fill!(
        into.error_handling,
        from.error_handling,
        ignore_file_errors,
        ignore_directory_errors,
        ignore_unknown_types
    );
    let (schedule, more) = (&mut into.scheduling, &from.scheduling);
    fill!(schedule, more, interval_seconds, manual, run_missed);
    let ends = &mut schedule.no_parent_time_of_day;
    replace(&mut schedule.time_of_day, ends, &more.time_of_day, more.no_parent_time_of_day);
    replace(&mut schedule.cron, &mut false, &more.cron, false);
    let (compression, more) = (&mut into.compression, &from.compression);
    fill!(compression, more, compressor_name, min_size, max_size);
    let ends = &mut compression.no_parent_only_compress;
    unite(&mut compression.only_compress, ends, &more.only_compress, more.no_parent_only_compress);
    let ends = &mut compression.no_parent_never_compress;
    unite(&mut compression.never_compress, ends, &more.never_compress, more.no_parent_never_compress);
    fill!(into.metadata_compression, from.metadata_compression, compressor_name);
    fill!(into.splitter, from.splitter, algorithm);
    fill!(
        into.upload,
        from.upload,
        max_parallel_snapshots,
        max_parallel_file_reads,
        parallel_upload_above_size
    );
    into.no_parent |= from.no_parent;
}

/// The most specific list that is not empty counts.
fn replace<T: Clone>(list: &mut Vec<T>, ends: &mut bool, more: &[T], more_ends: bool) {
    if list.is_empty() && !*ends {
        list.extend_from_slice(more);
    }
    *ends |= more_ends;
}

/// All lists count together, up to the one that says it has no parent.
fn unite(list: &mut Vec<String>, ends: &mut bool, more: &[String], more_ends: bool) {
    if !*ends {
        let all: BTreeSet<String> = list.drain(..).chain(more.iter().cloned()).collect();
        list.extend(all);
    }
    *ends |= more_ends;
}

/// What Kopia does when no policy says anything.
fn defaults() -> Settings {
    Settings {
        retention: Retention {
            keep_latest: Some(10),
            keep_hourly: Some(48),
            keep_daily: Some(7),
            keep_weekly: Some(4),
            keep_monthly: Some(24),
            keep_annual: Some(3),
            ignore_identical_snapshots: Some(false),
        },
        files: Files {
            ignore_dot_files: vec![".kopiaignore".to_owned()],
            ignore_cache_dirs: Some(true),
            one_file_system: Some(false),
            ..Files::default()
        },
        error_handling: ErrorHandling {
            ignore_file_errors: Some(false),
            ignore_directory_errors: Some(false),
            ignore_unknown_types: Some(true),
        },
        scheduling: Scheduling::default(),
        compression: Compression { compressor_name: Some("none".to_owned()), ..Compression::default() },
        metadata_compression: MetadataCompression { compressor_name: Some("zstd-fastest".to_owned()) },
        upload: Upload {
            max_parallel_snapshots: Some(1),
            parallel_upload_above_size: Some(2 << 30),
            ..Upload::default()
        },
        ..Settings::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str) -> Source {
        Source { user: "u".into(), host: "h".into(), path: path.into() }
    }

    fn policy(target: PolicyTarget, modified_ns: i64, keep_latest: Option<i64>) -> Policy {
        let retention = Retention { keep_latest, ..Retention::default() };
        Policy { target, modified_ns, settings: Settings { retention, ..Settings::default() } }
    }

    fn path(path: &str, keep_latest: Option<i64>) -> Policy {
        policy(PolicyTarget::Path(source(path)), 0, keep_latest)
    }

    #[test]
    fn paths_have_parents_on_both_kinds_of_system() {
        let up = |path: &'static str| std::iter::successors(Some(path), |p| parent(p)).collect::<Vec<_>>();
        assert_eq!(up("/a/b"), ["/a/b", "/a", "/"]);
        assert_eq!(up("/"), ["/"]);
        assert_eq!(up("C:\\a\\b"), ["C:\\a\\b", "C:\\a", "C:\\"]);
        assert_eq!(up("C:\\"), ["C:\\"]);
        assert_eq!(up("a"), ["a"]);
        assert_eq!(up(""), [""]);
        assert_eq!(up("//a//"), ["//a//", "/"]);
    }

    #[test]
    fn the_more_specific_policy_wins() {
        let host = || PolicyTarget::Host { host: "h".into() };
        let user = || PolicyTarget::User { user: "u".into(), host: "h".into() };
        let all = [
            policy(PolicyTarget::Global, 0, Some(1)),
            policy(host(), 0, Some(2)),
            policy(user(), 0, Some(3)),
            path("/", Some(4)),
            path("/a", Some(5)),
            path("/a/b", None),
        ];
        let latest = |n: usize, at: &str| effective(&all[..n], &source(at)).retention.keep_latest;
        assert_eq!(latest(0, "/a/b"), Some(10));
        for n in 1..=5 {
            assert_eq!(latest(n, "/a/b"), Some(n as i64));
        }
        assert_eq!((latest(6, "/a/b"), latest(6, "/x"), latest(6, "/a/b/c")), (Some(5), Some(4), Some(5)));
        let stranger = Source { user: "u".into(), host: "other".into(), path: "/a".into() };
        assert_eq!(effective(&all, &stranger).retention.keep_latest, Some(1));
        assert_eq!(effective(&all, &source("/a")).retention.keep_hourly, Some(48));
    }

    #[test]
    fn no_parent_ends_before_the_defaults() {
        let mut local = path("/a", None);
        local.settings.no_parent = true;
        let merged = effective(&[local, policy(PolicyTarget::Global, 0, Some(1))], &source("/a/b"));
        assert_eq!((merged.retention, merged.files.ignore_dot_files.len()), (Retention::default(), 0));
    }

    #[test]
    fn of_several_for_one_target_the_oldest_wins() {
        let all = [policy(PolicyTarget::Global, 9, Some(9)), policy(PolicyTarget::Global, 5, Some(5))];
        assert_eq!(effective(&all, &source("/")).retention.keep_latest, Some(5));
    }

    #[test]
    fn lists_are_united_or_replaced() {
        let list = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        let (mut a, mut b, mut global) =
            (path("/a", None), path("/", None), policy(PolicyTarget::Global, 0, None));
        a.settings.compression.never_compress = list(&[".zip", ".a"]);
        b.settings.compression.never_compress = list(&[".gz", ".zip"]);
        b.settings.compression.no_parent_never_compress = true;
        global.settings.compression.never_compress = list(&[".never"]);
        global.settings.compression.only_compress = list(&[".txt"]);
        a.settings.files.ignore = list(&["*.tmp"]);
        b.settings.files.ignore = list(&["*.bak"]);
        let merged = effective(&[a, b, global], &source("/a"));
        assert_eq!(merged.compression.never_compress, [".a", ".gz", ".zip"]);
        assert_eq!(merged.compression.only_compress, [".txt"]);
        assert_eq!(
            (merged.files.ignore, merged.files.ignore_dot_files),
            (list(&["*.tmp"]), list(&[".kopiaignore"]))
        );
    }
}
