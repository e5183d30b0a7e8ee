//! Holds what is walked: a directory with all below it, or one file or link.

use std::sync::Arc;

use rekopia_format::directory::{Entry, EntryKind};
use rekopia_format::entry_name::EntryName;

use super::slot::Folder;
use crate::error::{Error, Result};
use crate::repository::reference::Resolved;
use crate::sink::DirNode;

/// The tree of a pass: a directory that becomes the root, or one entry in it. It has the countdowns of one walk.
#[derive(Clone)]
pub(crate) enum Tree {
    Directory { folder: Arc<Folder>, root: Entry },
    Single { folder: Arc<Folder>, name: EntryName, entry: Entry },
}

impl Tree {
    /// Returns what `from` names, with `node` for its root. A file or link is called `name` in there; without one, as
    /// its snapshot or directory calls it, and a bare object by its ID.
    pub(crate) fn new(from: &Resolved, node: Arc<DirNode>, name: Option<EntryName>) -> Result<Self> {
        let entry = from.entry.clone();
        if entry.kind == EntryKind::Directory {
            return Ok(Tree::Directory { folder: Folder::root(node), root: entry });
        }
        let name = match name {
            Some(name) => name,
            None => own_name(from)?,
        };
        Ok(Tree::Single { folder: Folder::holder(node), name, entry })
    }
}

fn own_name(from: &Resolved) -> Result<EntryName> {
    let last = from.sub_path.rsplit('/').next().unwrap_or_default();
    let id = || from.entry.object.map_or_else(String::new, |object| object.to_string());
    let name = EntryName::parse(last).or_else(|_| from.entry.name.clone());
    name.or_else(|_| EntryName::parse(&id())).map_err(|_| Error::internal("an entry without a name"))
}
