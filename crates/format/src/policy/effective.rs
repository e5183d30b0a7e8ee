//! Finds the retention that holds for a source: from its path to the defaults, the more specific one wins (§6.4).

use super::settings::Retention;
use super::stored::{Policy, PolicyTarget};
use crate::snapshot::Source;

/// Returns what all policies together say about how long a source's snapshots are kept.
///
/// Policies of the path and its parents come first, then those of user, host and all; the built-in defaults fill the
/// gaps. A policy with `noParent` ends this, before the defaults. Several policies for one target all take part,
/// oldest first.
pub fn effective_retention(policies: &[Policy], source: &Source) -> Retention {
    let mut by_age: Vec<&Policy> = policies.iter().collect();
    by_age.sort_by_key(|policy| policy.modified);
    let mut merged = Retention::default();
    for target in levels(source) {
        for policy in by_age.iter().filter(|policy| target.is(&policy.target)) {
            inherit(&mut merged, &policy.settings.retention);
            if policy.settings.no_parent {
                return merged;
            }
        }
    }
    inherit(&mut merged, &DEFAULTS);
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

/// Returns the levels, from the path up to everybody.
fn levels(source: &Source) -> impl Iterator<Item = Level<'_>> {
    let (user, host) = (source.user.as_str(), source.host.as_str());
    let paths = std::iter::successors(Some(source.path.as_str()), |path| parent(path)).take(MAX_LEVELS);
    paths.map(move |path| Level::Path { user, host, path }).chain([
        Level::User { user, host },
        Level::Host { host },
        Level::Global,
    ])
}

/// Levels of a path at most: deeper than any file system goes.
const MAX_LEVELS: usize = 4096;

/// Returns the directory above, on either kind of system; a root (`/`, `C:\`) has none.
fn parent(path: &str) -> Option<&str> {
    let trimmed = path.trim_end_matches(['/', '\\']);
    let cut = trimmed.rfind(['/', '\\'])?;
    let above = trimmed.get(..cut)?;
    let is_root = above.is_empty() || above.ends_with(':');
    if is_root { trimmed.get(..=cut) } else { Some(above) }
}

/// Takes over what is not yet set.
fn inherit(into: &mut Retention, from: &Retention) {
    macro_rules! fill {
        ($($field:ident),+) => {
            $(into.$field = into.$field.or(from.$field);)+
        };
    }
    fill!(
        keep_latest,
        keep_hourly,
        keep_daily,
        keep_weekly,
        keep_monthly,
        keep_annual,
        ignore_identical_snapshots
    );
}

/// The retention when no policy says anything, as Kopia has it.
const DEFAULTS: Retention = Retention {
    keep_latest: Some(10),
    keep_hourly: Some(48),
    keep_daily: Some(7),
    keep_weekly: Some(4),
    keep_monthly: Some(24),
    keep_annual: Some(3),
    ignore_identical_snapshots: Some(false),
};

#[cfg(test)]
mod tests {
    use super::super::settings::Settings;
    use super::*;
    use crate::time::Time;

    fn source(path: &str) -> Source {
        Source { user: "u".into(), host: "h".into(), path: path.into() }
    }

    fn policy(target: PolicyTarget, modified_ns: i64, keep_latest: Option<i64>) -> Policy {
        let retention = Retention { keep_latest, ..Retention::default() };
        Policy {
            target,
            modified: Time::from_unix_nanos(modified_ns),
            settings: Settings { retention, ..Settings::default() },
        }
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
        let latest = |n: usize, at: &str| effective_retention(&all[..n], &source(at)).keep_latest;
        assert_eq!(latest(0, "/a/b"), Some(10));
        for n in 1..=5 {
            assert_eq!(latest(n, "/a/b"), Some(n as i64));
        }
        assert_eq!((latest(6, "/a/b"), latest(6, "/x"), latest(6, "/a/b/c")), (Some(5), Some(4), Some(5)));
        let stranger = Source { user: "u".into(), host: "other".into(), path: "/a".into() };
        assert_eq!(effective_retention(&all, &stranger).keep_latest, Some(1));
        assert_eq!(effective_retention(&all, &source("/a")).keep_hourly, Some(48));
    }

    #[test]
    fn no_parent_ends_before_the_defaults() {
        let mut local = path("/a", None);
        local.settings.no_parent = true;
        let merged = effective_retention(&[local, policy(PolicyTarget::Global, 0, Some(1))], &source("/a/b"));
        assert_eq!(merged, Retention::default());
    }

    #[test]
    fn of_several_for_one_target_the_oldest_wins() {
        let all = [policy(PolicyTarget::Global, 9, Some(9)), policy(PolicyTarget::Global, 5, Some(5))];
        assert_eq!(effective_retention(&all, &source("/")).keep_latest, Some(5));
    }
}
