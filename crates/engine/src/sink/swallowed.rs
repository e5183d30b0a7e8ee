//! Finds file systems that say that an attribute was set and do nothing, or round it (some of FUSE, SMB, old inodes):
//! by looking once for each file system and kind of entry.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::attributes::Attributes;

/// Kinds of entries that a file system may treat differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    File,
    Directory,
    Link,
}

/// The attributes that were set, each with success.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Done {
    pub(super) owner: Option<(u32, u32)>,
    pub(super) mode: Option<u32>,
    pub(super) mtime_ns: Option<i64>,
}

/// The knowledge about a file system and kind.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Known {
    owner: Effect<(u32, u32)>,
    mode: Effect<u32>,
    time: TimeEffect,
    /// The attributes that were refused, if only once.
    refused: Refused,
    looks: u8,
}

/// Attributes that could not be set, and were counted.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Refused {
    pub(super) owner: bool,
    pub(super) mode: bool,
    pub(super) time: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Effect<T> {
    #[default]
    Unknown,
    Set,
    /// The attribute is swallowed: this value is shown, whatever is set.
    Swallowed(T),
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum TimeEffect {
    #[default]
    Unknown,
    /// Multiples of so many nanoseconds are kept; finer ones were not seen yet.
    Keeps(i64),
    /// Only multiples of so many nanoseconds are kept.
    Rounds(i64),
    Swallowed,
}

/// The knowledge that a run has gathered, by device and kind.
#[derive(Debug, Default)]
pub(super) struct Swallowing(Mutex<HashMap<(u64, Kind), Known>>);

/// Number of entries of one kind to look at before it is believed that nothing is swallowed: those that were as wanted
/// before they were set tell nothing.
const LOOKS: u8 = 12;
const SECOND: i64 = 1_000_000_000;
/// The largest difference between our time and that of something that was just written: clocks of servers differ.
const NOW_NS: u64 = 24 * 3600 * SECOND as u64;
/// The permission bits that are compared, without those that the kernel drops for reasons of its own (setuid, setgid,
/// sticky).
const PERMISSIONS: u32 = 0o777;

impl Swallowing {
    pub(super) fn known(&self, dev: u64, kind: Kind) -> Known {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&(dev, kind)).copied().unwrap_or_default()
    }

    /// Takes note of what could not be set.
    pub(super) fn refused(&self, dev: u64, kind: Kind, new: Refused) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = &mut all.entry((dev, kind)).or_default().refused;
        known.owner |= new.owner;
        known.mode |= new.mode;
        known.time |= new.time;
    }

    /// Takes note of what an entry had before and has after `done`, and says what of it had no effect.
    pub(super) fn learn(
        &self,
        (dev, kind): (u64, Kind),
        done: &Done,
        before: Option<&Attributes>,
        after: &Attributes,
    ) -> Vec<String> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = all.entry((dev, kind)).or_default();
        known.looks = known.looks.saturating_add(1);
        // What one entry shows need not be so for others.
        let mut here = Known::default();
        if let Some(owner) = done.owner {
            let (had, has) = (before.map(|b| (b.uid, b.gid)), (after.uid, after.gid));
            known.owner.learn(owner, had, has);
            here.owner = Effect::Swallowed(has);
        }
        if let Some(mode) = done.mode {
            let (had, has) = (before.map(|b| b.mode & PERMISSIONS), after.mode & PERMISSIONS);
            known.mode.learn(mode & PERMISSIONS, had, has);
            here.mode = Effect::Swallowed(has);
        }
        if let Some(wanted) = done.mtime_ns {
            here.time = time_effect(wanted, before.map(|b| b.mtime_ns), after.mtime_ns);
            // A value that the file system cannot hold says nothing about others.
            known.time = known.time.or(here.time);
            if here.time == TimeEffect::Unknown {
                here.time = TimeEffect::Swallowed;
            }
        }
        here.ignored(done)
    }
}

impl Known {
    /// Whether something may be swallowed that nobody has looked for. What is refused is not swallowed.
    pub(super) fn is_unsure(&self, done: &Done) -> bool {
        let owner = done.owner.is_some() && self.owner == Effect::Unknown && !self.refused.owner;
        let mode = done.mode.is_some() && self.mode == Effect::Unknown && !self.refused.mode;
        let time = !self.refused.time
            && done.mtime_ns.is_some_and(|ns| match self.time {
                TimeEffect::Unknown => true,
                TimeEffect::Keeps(grain) => ns % grain != 0,
                TimeEffect::Rounds(_) | TimeEffect::Swallowed => false,
            });
        self.looks < LOOKS && (owner || mode || time)
    }

    pub(super) fn refuses(&self) -> Refused {
        self.refused
    }

    /// Returns which attributes of `done` have no effect here, one sentence each.
    pub(super) fn ignored(&self, done: &Done) -> Vec<String> {
        let mut found = Vec::new();
        if let (Effect::Swallowed(shown), Some((uid, gid))) = (self.owner, done.owner)
            && shown != (uid, gid)
        {
            found.push(format!("owner {uid}:{gid} could not be set: the file system ignores it"));
        }
        if let (Effect::Swallowed(shown), Some(mode)) = (self.mode, done.mode)
            && shown != mode & PERMISSIONS
        {
            found.push(format!("mode {mode:04o} could not be set: the file system ignores it"));
        }
        match (self.time, done.mtime_ns) {
            (TimeEffect::Swallowed, Some(_)) => {
                found.push("modification time could not be set: the file system ignores it".into());
            }
            (TimeEffect::Rounds(grain), Some(ns)) if ns % grain != 0 => {
                let kept = if grain < SECOND {
                    format!("to {grain} nanoseconds")
                } else if grain == SECOND {
                    "to the second".to_owned()
                } else {
                    format!("to {} seconds", grain / SECOND)
                };
                found.push(format!("modification time is kept {kept} only"));
            }
            _ => {}
        }
        found
    }
}

impl<T: PartialEq + Copy> Effect<T> {
    fn learn(&mut self, wanted: T, had: Option<T>, has: T) {
        if *self != Effect::Unknown {
            return;
        }
        if has != wanted {
            *self = Effect::Swallowed(has);
        } else if had.is_some_and(|had| had != wanted) {
            *self = Effect::Set;
        }
    }
}

impl TimeEffect {
    /// Returns the finer knowledge of two.
    fn or(self, new: TimeEffect) -> TimeEffect {
        match (self, new) {
            (TimeEffect::Keeps(old), TimeEffect::Keeps(new)) => TimeEffect::Keeps(old.min(new)),
            (known, TimeEffect::Unknown) => known,
            // Two threads may have looked at it at once.
            (known @ (TimeEffect::Rounds(_) | TimeEffect::Swallowed), _) => known,
            (_, new) => new,
        }
    }
}

fn time_effect(wanted: i64, had: Option<i64>, has: i64) -> TimeEffect {
    if has == wanted {
        return TimeEffect::Keeps(grain(wanted));
    }
    let away = wanted.abs_diff(has);
    // FAT keeps even seconds.
    let grain = if away < SECOND as u64 { grain(has) } else { 2 * SECOND };
    if has % grain == 0 && away < grain as u64 {
        return TimeEffect::Rounds(grain);
    }
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = clock.map_or(0, |now| i64::try_from(now.as_nanos()).unwrap_or(i64::MAX));
    if had == Some(has) || now.abs_diff(has) < NOW_NS { TimeEffect::Swallowed } else { TimeEffect::Unknown }
}

/// Returns the largest power of ten nanoseconds, up to a second, that the time is a multiple of.
fn grain(ns: i64) -> i64 {
    let mut grain = SECOND;
    while ns % grain != 0 {
        grain /= 10;
    }
    grain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_judged_by_what_is_left_of_them() {
        let fine = 1_700_000_000_123_456_789;
        for (has, effect) in [
            (fine, TimeEffect::Keeps(1)),
            (1_700_000_000_123_456_700, TimeEffect::Rounds(100)),
            (1_700_000_000_123_457_000, TimeEffect::Rounds(1000)),
            (1_700_000_000_000_000_000, TimeEffect::Rounds(SECOND)),
            // The earliest time of exFAT, and the time that was there before.
            (315_532_800_000_000_000, TimeEffect::Unknown),
            (77, TimeEffect::Swallowed),
        ] {
            assert_eq!(time_effect(fine, Some(77), has), effect, "{has}");
        }
        let odd = 1_700_000_001_000_000_000;
        assert_eq!(time_effect(odd, None, odd), TimeEffect::Keeps(SECOND));
        assert_eq!(time_effect(odd, None, odd - SECOND), TimeEffect::Rounds(2 * SECOND));
        assert_eq!(time_effect(-SECOND / 2, None, -SECOND), TimeEffect::Rounds(SECOND));
    }

    #[test]
    fn what_was_as_wanted_before_tells_nothing_and_is_not_looked_at_for_ever() {
        let swallowing = Swallowing::default();
        let root = Attributes { mode: 0o644, uid: 0, gid: 0, mtime_ns: 0 };
        let done = |uid| Done { owner: Some((uid, uid)), ..Done::default() };
        let at = (1, Kind::File);
        assert!(swallowing.learn(at, &done(0), Some(&root), &root).is_empty());
        assert!(swallowing.known(1, Kind::File).is_unsure(&done(0)));
        assert_eq!(swallowing.learn(at, &done(7), Some(&root), &root).len(), 1);
        let known = swallowing.known(1, Kind::File);
        assert!(!known.is_unsure(&done(0)) && known.ignored(&done(0)).is_empty());
        assert_eq!(known.ignored(&done(8)), ["owner 8:8 could not be set: the file system ignores it"]);
        for _ in 0..LOOKS {
            swallowing.learn((2, Kind::File), &done(0), Some(&root), &root);
        }
        assert!(!swallowing.known(2, Kind::File).is_unsure(&done(0)));
        assert!(swallowing.known(2, Kind::Link).is_unsure(&done(0)));
    }
}
