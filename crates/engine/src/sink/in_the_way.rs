//! Decides what happens to things in the way of something else: whether they may go, and when they do.

use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::sync::{Arc, PoisonError};

use rekopia_format::entry_name::EntryName;
use rustix::fs::{AtFlags, Stat};
use rustix::io::Errno;

use super::aside::{Aside, NAMES, PREFIX, left_aside, put_back};
use super::error::SinkError;
use super::existing::ExistingKind;
use super::handles::DirHandle;
use super::mounts::{self, device};
use super::node::DirNode;
use super::remove::{self, Removals, is_protected};
use super::state::Sink;

impl Sink {
    /// Whether what is at `name` may be moved aside for something of another kind.
    pub(super) fn may_move(
        &self,
        dir: &DirNode,
        handle: &DirHandle,
        name: &EntryName,
        stat: &Stat,
        what: &str,
    ) -> Result<(), SinkError> {
        let shown = dir.path_of(name.as_str());
        if !self.moves_in(dir) {
            return Err(self.in_the_way(&shown, what));
        }
        must_stay(self, &handle.fd, name.as_str(), stat, &shown)
    }

    /// Whether things in the way may be moved aside in this directory.
    pub(super) fn moves_in(&self, dir: &DirNode) -> bool {
        self.options.delete_extra && !dir.opened().is_some_and(|opened| opened.crossed)
    }

    /// Makes the error for something that is in the way and stays; the hint is only given where it is true.
    pub(super) fn in_the_way(&self, shown: &str, what: &str) -> SinkError {
        match (self.options.in_doubt, self.options.delete_extra) {
            (true, _) => {
                let why = "is in the way, and stays as long as not everything can be restored";
                SinkError::immovable(shown, &format!("a {what} {why}"))
            }
            (false, true) => SinkError::immovable(
                shown,
                &format!("a {what} is in the way, below a mount point, where nothing is deleted"),
            ),
            (false, false) => SinkError::conflict(shown, what),
        }
    }

    /// Does `put`, which takes the place of `name` in one step. A directory cannot be replaced so: it is moved aside
    /// before, comes back when that fails, and goes after it.
    pub(super) fn in_place_of(
        &self,
        node: &DirNode,
        dir: &DirHandle,
        name: &str,
        kind: ExistingKind,
        put: impl FnOnce() -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        if kind != ExistingKind::Directory {
            return put();
        }
        let aside = Aside::of(&dir.fd, name, self.options.first_aside, true)?;
        if let Err(e) = put() {
            aside.put_back()?;
            return Err(e);
        }
        aside.discard(self, &node.path());
        Ok(())
    }

    /// Removes what was in the way of a directory, when its listing was read to the end; else the directory goes again
    /// and the other thing comes back: false.
    pub(super) fn settle_aside(&self, node: &Arc<DirNode>) -> bool {
        let aside = node.aside.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(aside) = aside else { return true };
        let above = node.parent().map_or_else(String::new, |above| above.path());
        if node.listed_whole() {
            aside.discard(self, &above);
            return true;
        }
        self.handles.finished(node);
        if let Err(e) = aside.put_back_over(self) {
            self.removals
                .remains(node.path(), format!("what was here is beside it and could not be put back: {e}"));
        }
        false
    }
}

impl Aside {
    /// Removes what has taken the thing's name meanwhile, which this run made, and moves the thing back.
    pub(super) fn put_back_over(&self, sink: &Sink) -> Result<(), Errno> {
        let name = CString::new(self.name.as_str()).map_err(|_| Errno::INVAL)?;
        let shown = |_: &[u8]| String::new();
        remove::remove(&self.dir, &name, &sink.protected, &Removals::default(), &shown)?;
        self.put_back()
    }

    /// Removes the thing: what replaces it is complete.
    pub(super) fn discard(self, sink: &Sink, folder_shown: &str) {
        let (inside, own) = (CString::new(self.name.as_str()), CString::new(self.folder.as_str()));
        let held = mounts::enter(&self.dir, 0, self.folder.as_str());
        let shown = |path: &[u8]| join(folder_shown, &self.folder, &String::from_utf8_lossy(path));
        let uncounted = Removals::default();
        let removals = if self.counts { &sink.removals } else { &uncounted };
        let why = match (held, inside, own) {
            (Ok(held), Ok(inside), Ok(_)) => {
                match remove::remove(&held.fd, &inside, &sink.protected, removals, &shown) {
                    // Not empty: what stays is named already.
                    Ok(()) => match rustix::fs::unlinkat(&self.dir, &self.folder, AtFlags::REMOVEDIR) {
                        Ok(()) | Err(Errno::NOTEMPTY | Errno::EXIST) => return,
                        Err(e) => e,
                    },
                    Err(e) => e,
                }
            }
            (Err(e), ..) => e,
            _ => Errno::INVAL,
        };
        sink.removals.remains(join(folder_shown, &self.folder, ""), why.to_string());
    }
}

fn join(folder: &str, name: &str, below: &str) -> String {
    let parts = [folder, name, below];
    parts.iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join("/")
}

/// Puts back what a run that was killed left aside in this directory. Only names that were used first are looked for.
pub(super) fn put_back_leftovers(sink: &Sink, dir: &OwnedFd) {
    for number in 0..NAMES {
        let folder = format!("{PREFIX}{number}");
        match rustix::fs::statat(dir, &folder, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => {}
            Err(_) => return,
        }
        if let Some(name) = left_aside(dir, &folder) {
            sink.changing();
            let _ = put_back(dir, &folder, &name);
        }
    }
}

/// Returns why the thing at `name` may not be moved: something is mounted on it or in it, or this run needs it.
pub(super) fn must_stay(
    sink: &Sink,
    dir: &OwnedFd,
    name: &str,
    stat: &Stat,
    shown: &str,
) -> Result<(), SinkError> {
    if is_protected(&sink.protected, stat) {
        return Err(SinkError::protected(shown));
    }
    let name = CString::new(name).map_err(|_| SinkError::sys("looking at", shown, Errno::INVAL))?;
    let seen = remove::survey(dir, &name, &sink.protected, &mut |_, _| ());
    let seen = seen.map_err(|e| SinkError::sys("looking into", shown, e))?;
    let own = rustix::fs::fstat(dir).map_err(|e| SinkError::sys("looking at", shown, e))?;
    if seen.mount.is_some() || device(stat) != device(&own) {
        return Err(SinkError::immovable(shown, "a mount point, or something that holds one, is in the way"));
    }
    if seen.protected.is_some() {
        return Err(SinkError::protected(shown));
    }
    Ok(())
}
