//! Keeps descriptors of large new files: at most some hundred are open.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, Weak};

use rekopia_format::entry_name::EntryName;
use rustix::io::Errno;

use super::attributes::Attributes;
use super::closing;
use super::handles::lock;
use super::node::{DirNode, Opened};

/// Large files that are open at once.
const MAX_OPEN: usize = 256;

/// A large new file, whether its descriptor is open or not.
#[derive(Debug)]
pub(super) struct SharedFile {
    pub(super) node: Arc<DirNode>,
    pub(super) name: EntryName,
    pub(super) identity: Opened,
    /// The attributes of the file when it was made.
    pub(super) made: Attributes,
    pub(super) open: Mutex<Open>,
    /// The kernel lets one writer at a time into a file while the others spin: who waits here instead leaves the core
    /// to a thread that decodes.
    pub(super) turn: Mutex<()>,
}

/// The descriptor of a large file.
#[derive(Debug, Default)]
pub(super) struct Open {
    /// The descriptor; closed when too many are open.
    pub(super) file: Option<Arc<OwnedFd>>,
    /// The error that closing reported then.
    error: Option<Errno>,
}

impl SharedFile {
    /// Gives up the descriptor; an error of this or of an earlier time is told until the file is given up.
    pub(super) fn close(&self) -> Result<(), Errno> {
        // Threads that ask next wait until it is known what closing says.
        let mut open = lock(&self.open);
        if let Some(Err(e)) = open.file.take().map(closing::release) {
            open.error.get_or_insert(e);
        }
        open.error.map_or(Ok(()), Err)
    }

    pub(super) fn path(&self) -> String {
        self.node.path_of(self.name.as_str())
    }
}

/// The large files that are open, oldest first.
#[derive(Debug, Default)]
pub(super) struct OpenFiles(Mutex<VecDeque<Weak<SharedFile>>>);

impl OpenFiles {
    /// Keeps the descriptor of a file, and closes the oldest when there are too many.
    pub(super) fn put(&self, shared: &Arc<SharedFile>, file: OwnedFd) -> Arc<OwnedFd> {
        let file = Arc::clone(lock(&shared.open).file.get_or_insert_with(|| Arc::new(file)));
        let mut evicted = Vec::new();
        let mut open = lock(&self.0);
        open.push_back(Arc::downgrade(shared));
        while open.len() > MAX_OPEN {
            evicted.extend(open.pop_front().and_then(|oldest| oldest.upgrade()));
        }
        drop(open);
        for oldest in evicted {
            if !Arc::ptr_eq(&oldest, shared) {
                // The error is told when the file is finished.
                let _ = oldest.close();
            }
        }
        file
    }
}
