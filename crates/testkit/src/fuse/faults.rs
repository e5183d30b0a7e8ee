//! Holds what is wrong with the file system; it can be changed while it is mounted.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;

/// An operation that the kernel asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "they are the names of the operations")]
pub enum Op {
    Lookup,
    Getattr,
    Setattr,
    Open,
    Create,
    Read,
    Write,
    /// What `close` asks for, each time a descriptor goes.
    Flush,
    Fsync,
    Mkdir,
    Unlink,
    Rmdir,
    Rename,
    Link,
    Symlink,
    Readlink,
    Readdir,
    Statfs,
    Xattr,
    Fallocate,
}

/// An operation that is about to happen.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// The operation that is asked for.
    pub op: Op,
    /// The last component of what it is asked of, as it was last looked up.
    pub name: &'a str,
}

type Hook = Arc<dyn Fn(Call<'_>) -> Result<(), Errno> + Send + Sync>;

/// The faults of a file system; clones share them. As they begin there are none.
#[derive(Clone, Default)]
pub struct Faults(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    owner: Option<(u32, u32)>,
    modes: Option<(u32, u32)>,
    whole_seconds: bool,
    fold_names: bool,
    hooks: Vec<(Op, Hook)>,
    counts: HashMap<Op, u64>,
}

impl Faults {
    /// Answers a setting of owners with success and does nothing; everything belongs to this user and group.
    pub fn swallow_owner(&self, shown: Option<(u32, u32)>) {
        self.state().owner = shown;
    }

    /// Answers a setting of modes with success and does nothing; files have the first mode, directories the second.
    pub fn swallow_mode(&self, shown: Option<(u32, u32)>) {
        self.state().modes = shown;
    }

    /// Cuts times to whole seconds.
    pub fn whole_seconds(&self, on: bool) {
        self.state().whole_seconds = on;
    }

    /// Lets a name find an entry that is spelled in other cases or another normal form; an entry keeps its first
    /// spelling.
    pub fn fold_names(&self, on: bool) {
        self.state().fold_names = on;
    }

    /// Fails an operation for the names that `matches` says.
    pub fn fail(&self, op: Op, errno: Errno, matches: impl Fn(&str) -> bool + Send + Sync + 'static) {
        self.before(op, move |call| if matches(call.name) { Err(errno) } else { Ok(()) });
    }

    /// Runs `hook` before an operation, which fails if it says so.
    pub fn before(&self, op: Op, hook: impl Fn(Call<'_>) -> Result<(), Errno> + Send + Sync + 'static) {
        self.state().hooks.push((op, Arc::new(hook)));
    }

    /// Ends all faults; what was counted stays.
    pub fn clear(&self) {
        let mut state = self.state();
        let counts = std::mem::take(&mut state.counts);
        *state = State { counts, ..State::default() };
    }

    /// Returns how often an operation was asked for.
    pub fn count(&self, op: Op) -> u64 {
        self.state().counts.get(&op).copied().unwrap_or(0)
    }

    pub(super) fn enter(&self, op: Op, name: &str) -> Result<(), Errno> {
        let hooks: Vec<Hook> = {
            let mut state = self.state();
            *state.counts.entry(op).or_default() += 1;
            state.hooks.iter().filter(|(of, _)| *of == op).map(|(_, hook)| Arc::clone(hook)).collect()
        };
        hooks.iter().try_for_each(|hook| hook(Call { op, name }))
    }

    pub(super) fn owner(&self) -> Option<(u32, u32)> {
        self.state().owner
    }

    pub(super) fn modes(&self) -> Option<(u32, u32)> {
        self.state().modes
    }

    pub(super) fn has_whole_seconds(&self) -> bool {
        self.state().whole_seconds
    }

    pub(super) fn folds_names(&self) -> bool {
        self.state().fold_names
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Faults {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Faults").finish_non_exhaustive()
    }
}
