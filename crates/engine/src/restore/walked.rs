//! Defines what the walk gives to the stages after it.

use std::sync::Arc;

use rekopia_format::entry_name::EntryName;

use super::slot::{FileSlot, Folder};
use crate::error::Error;
use crate::repository::objects::Slice;

/// An item that the walk found, in order.
#[derive(Debug)]
pub(crate) enum Walked {
    /// A directory that is to exist; its entries follow.
    Folder(Arc<Folder>),
    /// Every entry of the directory was sent.
    Listed {
        folder: Arc<Folder>,
        /// Whether the directory's listing was readable to the end: only then is anything in it extra.
        whole: bool,
    },
    /// A file or symlink with (some of) its slices; more of the same slot follow until `last`.
    Slices { slot: Arc<FileSlot>, slices: Vec<Slice>, last: bool },
    /// An entry that cannot be restored.
    Failed { path: String, error: Error },
    /// An entry whose name is none that a file can have: it goes on under another.
    Renamed {
        /// The path, with the name as it is stored.
        path: String,
        /// The name under which the entry is restored.
        restored_as: EntryName,
        /// Whether nothing but leading slashes was dropped, as Kopia does.
        is_usual: bool,
    },
}
