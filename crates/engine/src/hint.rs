//! What a person can do about an error, as data.

/// What a person can do about an [`Error`](crate::Error). Programs word it with their own options.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Hint {
    /// Look at the snapshots that there are: the one that was named is not among them.
    ListSnapshots,
    /// Look into a directory: a path that was named is not below it.
    ListDirectory {
        /// The nearest directory that is there, as a [`Reference`](crate::Reference): an ID, with names after it.
        directory: String,
    },
    /// Look through a tree: no entry of it matches the patterns.
    ListTree {
        /// The tree, as a [`Reference`](crate::Reference): an ID, with names after it.
        tree: String,
    },
    /// Wait for the upgrade of the repository, or set
    /// [`ignore_upgrade_lock`](crate::OpenOptions::ignore_upgrade_lock) when it has crashed.
    IgnoreUpgradeLock,
    /// Open with [`salvage`](crate::OpenOptions::salvage): the packs hold what is missing.
    Salvage,
    /// Open with a copy of the format blob ([`format_blob`](crate::OpenOptions::format_blob)).
    GiveFormatBlob,
    /// Allow that extras are deleted before anything is written ([`delete_first`](crate::RestoreOptions::delete_first)):
    /// there is no room for old and new together.
    DeleteFirst,
}
