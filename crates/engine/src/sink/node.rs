//! Holds the directories of the destination as the restore knows them, whether they are open or not.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use rekopia_format::entry_name::EntryName;
use rustix::fs::Stat;

use super::aside::Aside;
use super::attributes::Attributes;

/// A directory below the root (or the root itself): a name, what it is to become, and its handle while it is open.
#[derive(Debug)]
pub(crate) struct DirNode {
    parent: Option<Arc<DirNode>>,
    name: Option<EntryName>,
    /// The wanted attributes; `None`: unknown, the directory keeps what it has.
    pub(crate) attributes: Option<Attributes>,
    /// Whether the directory is to exist for itself, and not only for what may be in it.
    wanted: AtomicBool,
    opened: OnceLock<Opened>,
    pub(super) handle: Mutex<Option<Arc<OwnedFd>>>,
    pub(super) used: AtomicBool,
    /// Set when something in it is about to change, until it is finished.
    pub(super) widened: AtomicBool,
    /// Whether the directory's mode was changed by us, or something was moved aside for it: to be put in order however
    /// the run ends.
    pub(super) is_open_end: AtomicBool,
    /// Whether every entry of the directory's listing is known.
    listed_whole: AtomicBool,
    /// The thing that was in the directory's way, until the directory is finished.
    pub(super) aside: Mutex<Option<Aside>>,
    /// Whether the directory above has another name that a file system may take for this one.
    pub(crate) may_clash: AtomicBool,
    /// Whether the snapshot has names here as leftovers of ours have them; held while one is looked for.
    pub(super) spares_leftovers: Mutex<bool>,
    /// Whether leftovers were looked for.
    pub(super) swept: AtomicBool,
    /// The attributes of a file that was just created here, as the first one shows: its owner follows from the process,
    /// the mount and the directory, its mode also from a default ACL.
    pub(super) new_file: OnceLock<Attributes>,
}

/// The state of a directory when it was opened first.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Opened {
    pub(super) dev: u64,
    pub(super) ino: u64,
    /// Whether nothing can be in the directory that we did not make.
    pub(super) fresh: bool,
    /// The attributes that the directory had, if it existed.
    pub(super) existed: Option<Attributes>,
    /// Whether the directory lies on another mount than the root: what the snapshot does not have stays there.
    pub(super) crossed: bool,
}

impl Opened {
    #[expect(clippy::unnecessary_cast, reason = "the fields have other types elsewhere")]
    pub(super) fn of(stat: &Stat, fresh: bool, existed: Option<Attributes>) -> Self {
        Opened { dev: stat.st_dev as u64, ino: stat.st_ino as u64, fresh, existed, crossed: false }
    }

    /// Whether this is the directory that was opened first.
    #[expect(clippy::unnecessary_cast, reason = "the fields have other types elsewhere")]
    pub(super) fn is(&self, stat: &Stat) -> bool {
        self.dev == stat.st_dev as u64 && self.ino == stat.st_ino as u64
    }
}

impl DirNode {
    /// Makes the root of the destination.
    pub(crate) fn root(attributes: Option<Attributes>) -> Arc<Self> {
        Arc::new(DirNode::new(None, None, attributes))
    }

    /// Returns the directory's name in the one above; `None` for the root.
    pub(crate) fn entry_name(&self) -> Option<&EntryName> {
        self.name.as_ref()
    }

    /// Makes a directory in `parent`.
    pub(crate) fn child(parent: &Arc<DirNode>, name: EntryName, attributes: Attributes) -> Arc<Self> {
        Arc::new(DirNode::new(Some(Arc::clone(parent)), Some(name), Some(attributes)))
    }

    fn new(parent: Option<Arc<DirNode>>, name: Option<EntryName>, attributes: Option<Attributes>) -> Self {
        DirNode {
            parent,
            name,
            attributes,
            wanted: AtomicBool::new(true),
            opened: OnceLock::new(),
            handle: Mutex::new(None),
            used: AtomicBool::new(false),
            widened: AtomicBool::new(false),
            is_open_end: AtomicBool::new(false),
            listed_whole: AtomicBool::new(false),
            aside: Mutex::new(None),
            may_clash: AtomicBool::new(false),
            spares_leftovers: Mutex::new(false),
            swept: AtomicBool::new(false),
            new_file: OnceLock::new(),
        }
    }

    /// Lets the directory exist only if something is restored in it.
    pub(crate) fn only_if_used(&self) {
        self.wanted.store(false, Ordering::Relaxed);
    }

    /// Whether the directory exists for itself, or something was restored in it.
    pub(crate) fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Relaxed) || self.is_opened()
    }

    /// Whether the directory exists for itself, whatever is restored in it.
    pub(crate) fn is_for_itself(&self) -> bool {
        self.wanted.load(Ordering::Relaxed)
    }

    /// Notes that every entry of the directory's listing is known.
    pub(crate) fn set_listed_whole(&self) {
        self.listed_whole.store(true, Ordering::Release);
    }

    pub(super) fn listed_whole(&self) -> bool {
        self.listed_whole.load(Ordering::Acquire)
    }

    /// Whether the directory was opened.
    pub(crate) fn is_opened(&self) -> bool {
        self.opened.get().is_some()
    }

    pub(super) fn parent(&self) -> Option<&Arc<DirNode>> {
        self.parent.as_ref()
    }

    /// Returns the directory's name in its parent; empty for the root.
    pub(crate) fn name(&self) -> &str {
        self.name.as_ref().map_or("", EntryName::as_str)
    }

    pub(super) fn opened(&self) -> Option<&Opened> {
        self.opened.get()
    }

    pub(super) fn set_opened(&self, opened: Opened) {
        let _ = self.opened.set(opened);
    }

    /// Returns the path relative to the root; empty for the root.
    pub(crate) fn path(&self) -> String {
        let mut names = Vec::new();
        let mut node = Some(self);
        while let Some(here) = node {
            names.extend(here.name.as_ref().map(EntryName::as_str));
            node = here.parent.as_deref();
        }
        names.reverse();
        names.join("/")
    }

    /// Returns the path of an entry in this directory.
    pub(crate) fn path_of(&self, name: &str) -> String {
        let path = self.path();
        if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") }
    }
}

/// Without this, a long chain of parents would be dropped by recursion.
impl Drop for DirNode {
    fn drop(&mut self) {
        let mut parent = self.parent.take();
        while let Some(node) = parent {
            match Arc::into_inner(node) {
                Some(mut last) => parent = last.parent.take(),
                None => break,
            }
        }
    }
}
