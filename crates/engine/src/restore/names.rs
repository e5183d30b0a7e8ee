//! Keeps the names of a directory while it is walked: twins get another, and what a file system may take for one is
//! known.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};

use rekopia_format::entry_name::EntryName;

use crate::sink::folding;

/// The names of a directory so far, by their 64-bit hashes.
#[derive(Default)]
pub(super) struct Names {
    hashes: HashSet<u64>,
    /// Hashes of the keys of names that are not their own [`folding::other_key`].
    folded: HashSet<u64>,
    state: RandomState,
    renamed: HashMap<String, u32>,
}

/// The decision about a name.
pub(super) enum Admitted {
    First {
        name: EntryName,
        /// Whether a name before it differs only in case or normalisation.
        clashes: bool,
    },
    Twin {
        restored_as: EntryName,
        path_hint: String,
    },
}

impl Names {
    /// Whether the directory has this name already.
    pub(super) fn has(&self, name: &EntryName) -> bool {
        self.hashes.contains(&self.state.hash_one(name.as_str()))
    }

    /// Takes in the next name.
    pub(super) fn admit(&mut self, name: EntryName) -> Admitted {
        if self.hashes.insert(self.state.hash_one(name.as_str())) {
            let clashes = self.clashes(name.as_str());
            return Admitted::First { name, clashes };
        }
        let twin = self.renamed.entry(name.as_str().to_owned()).or_insert(0);
        *twin += 1;
        let path_hint = name.as_str().to_owned();
        let stem: String = name.as_str().chars().take(60).collect();
        match EntryName::parse(&format!("{stem}.twin-{twin}")) {
            Ok(restored_as) => Admitted::Twin { restored_as, path_hint },
            Err(_) => Admitted::First { name, clashes: false },
        }
    }

    /// Takes in the key of a name; returns whether a name before it has the same.
    fn clashes(&mut self, name: &str) -> bool {
        match folding::other_key(name) {
            None => !self.folded.is_empty() && self.folded.contains(&self.state.hash_one(name)),
            Some(key) => {
                let hash = self.state.hash_one(key.as_str());
                !self.folded.insert(hash) || self.hashes.contains(&hash)
            }
        }
    }
}
