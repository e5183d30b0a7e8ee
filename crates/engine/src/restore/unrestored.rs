//! Keeps the paths of entries that a run did not restore: complete, where somebody has to know all of them.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

/// Paths of entries that failed, were left alone as asked, or are needed by the run itself. Keeps nothing unless it is wanted.
#[derive(Debug, Default)]
pub(crate) struct Unrestored(Option<Mutex<Paths>>);

#[derive(Debug, Default)]
struct Paths {
    all: HashSet<String>,
    is_cut: bool,
}

/// Number of paths that are kept: more are a mistake rather than a restore.
pub(crate) const MOST: usize = 1_000_000;

impl Unrestored {
    /// Keeps paths where they are wanted.
    pub(crate) fn new(is_wanted: bool) -> Self {
        Unrestored(is_wanted.then(Mutex::default))
    }

    /// Takes note of an entry; the root is none.
    pub(crate) fn note(&self, path: impl FnOnce() -> String) {
        let Some(paths) = &self.0 else { return };
        let (path, mut paths) = (path(), paths.lock().unwrap_or_else(PoisonError::into_inner));
        if paths.all.len() < MOST {
            if !path.is_empty() {
                paths.all.insert(path);
            }
        } else {
            paths.is_cut = true;
        }
    }

    /// Returns all paths; `None`: there are more than are kept.
    pub(crate) fn take(&self) -> Option<HashSet<String>> {
        let Some(paths) = &self.0 else { return Some(HashSet::new()) };
        let paths = std::mem::take(&mut *paths.lock().unwrap_or_else(PoisonError::into_inner));
        (!paths.is_cut).then_some(paths.all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_kept_or_it_is_said() {
        let (wanted, unwanted) = (Unrestored::new(true), Unrestored::new(false));
        unwanted.note(|| unreachable!("nobody wants it"));
        assert_eq!(unwanted.take(), Some(HashSet::new()));
        wanted.note(String::new);
        wanted.note(|| "a".into());
        wanted.note(|| "a".into());
        assert_eq!(wanted.take(), Some(HashSet::from(["a".to_owned()])));
        for n in 0..=MOST {
            wanted.note(|| n.to_string());
        }
        assert_eq!(wanted.take(), None);
    }
}
