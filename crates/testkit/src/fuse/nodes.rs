//! Keeps what the kernel knows by a number: inodes, held by a descriptor each, and open files.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, Stat};
use rustix::io::Errno;
use unicode_normalization::UnicodeNormalization;

/// An inode that the kernel knows. The descriptor keeps its number from being given to another.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) held: Arc<OwnedFd>,
    /// The name under which the inode was last found.
    pub(super) name: String,
    lookups: u64,
}

/// An open file or directory.
#[derive(Debug, Clone)]
pub(super) enum Open {
    File(Arc<OwnedFd>),
    /// The names, with number and kind, as they were when reading began.
    Listing(Arc<Vec<(u64, rustix::fs::FileType, OsString)>>),
}

#[derive(Debug)]
pub(super) struct Nodes {
    root: u64,
    known: HashMap<u64, Node>,
    open: HashMap<u64, Open>,
    next: u64,
}

/// The kernel's number of the root.
const ROOT: u64 = 1;

impl Nodes {
    pub(super) fn new(backing: &Path) -> Result<Self, Errno> {
        let held = rustix::fs::openat(CWD, backing, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        let root = rustix::fs::fstat(&held)?.st_ino;
        let node = Node { held: Arc::new(held), name: String::new(), lookups: 1 };
        Ok(Nodes { root, known: HashMap::from([(ROOT, node)]), open: HashMap::new(), next: 1 })
    }

    pub(super) fn get(&self, number: u64) -> Result<&Node, Errno> {
        self.known.get(&number).ok_or(Errno::STALE)
    }

    pub(super) fn held(&self, number: u64) -> Result<Arc<OwnedFd>, Errno> {
        self.get(number).map(|node| Arc::clone(&node.held))
    }

    /// Returns the kernel's number of an inode.
    pub(super) fn number(&self, inode: u64) -> u64 {
        if inode == self.root { ROOT } else { inode }
    }

    /// Looks a name up, which the kernel then knows.
    pub(super) fn find(&mut self, parent: u64, name: &OsStr) -> Result<Stat, Errno> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let held = rustix::fs::openat(&self.get(parent)?.held, name, flags, Mode::empty())?;
        let stat = rustix::fs::fstat(&held)?;
        let number = self.number(stat.st_ino);
        let known = self.known.entry(number).or_insert_with(|| Node {
            held: Arc::new(held),
            name: String::new(),
            lookups: 0,
        });
        known.lookups += 1;
        known.name = name.to_string_lossy().into_owned();
        Ok(stat)
    }

    /// Takes note that the name of an inode has changed.
    pub(super) fn renamed(&mut self, parent: u64, name: &OsStr) {
        let Ok(parent) = self.held(parent) else { return };
        if let Ok(stat) = rustix::fs::statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW)
            && let Some(node) = self.known.get_mut(&stat.st_ino)
        {
            node.name = name.to_string_lossy().into_owned();
        }
    }

    pub(super) fn forget(&mut self, number: u64, lookups: u64) {
        if let Some(node) = self.known.get_mut(&number) {
            node.lookups = node.lookups.saturating_sub(lookups);
            if node.lookups == 0 {
                self.known.remove(&number);
            }
        }
    }

    pub(super) fn keep_open(&mut self, open: Open) -> u64 {
        self.next += 1;
        self.open.insert(self.next, open);
        self.next
    }

    pub(super) fn listing(&mut self, handle: u64, listing: Open) {
        self.open.insert(handle, listing);
    }

    pub(super) fn opened(&self, handle: u64) -> Result<Open, Errno> {
        self.open.get(&handle).cloned().ok_or(Errno::BADF)
    }

    pub(super) fn file(&self, handle: u64) -> Result<Arc<OwnedFd>, Errno> {
        match self.opened(handle)? {
            Open::File(file) => Ok(file),
            Open::Listing(_) => Err(Errno::ISDIR),
        }
    }

    pub(super) fn closed(&mut self, handle: u64) {
        self.open.remove(&handle);
    }
}

/// Returns the path by which the kernel reaches what a descriptor holds, whatever its name is.
pub(super) fn by_inode(held: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", held.as_raw_fd())
}

/// Returns the names in a directory.
pub(super) fn list(held: &OwnedFd) -> Result<Vec<(u64, rustix::fs::FileType, OsString)>, Errno> {
    use std::os::unix::ffi::OsStrExt;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dir = rustix::fs::openat(CWD, by_inode(held), flags, Mode::empty())?;
    let entries = rustix::fs::Dir::new(dir)?.map(|entry| {
        let entry = entry?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes()).to_owned();
        Ok((entry.ino(), entry.file_type(), name))
    });
    entries.collect()
}

/// Returns the name of an entry that `name` finds where names are folded: its own spelling, or `name` where there is
/// none.
pub(super) fn folded(held: &OwnedFd, name: &OsStr) -> OsString {
    let fold = |name: &OsStr| name.to_str().map(|name| name.nfc().collect::<String>().to_lowercase());
    let wanted = fold(name);
    let found = list(held).unwrap_or_default().into_iter().map(|(.., listed)| listed);
    found.into_iter().find(|listed| fold(listed) == wanted).unwrap_or_else(|| name.to_owned())
}
