//! Names what of an entry on the disk may differ from a snapshot's.

use serde::Serialize;

/// What differs about an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Differs {
    /// The entry is not there, and so nothing below it.
    Missing,
    /// The entry is on the disk only; the snapshot does not have it.
    Extra,
    /// The entry is another kind of thing: a directory where a file should be, for example.
    Type,
    /// A file is longer or shorter.
    Size,
    /// A file of the right length holds other bytes.
    Bytes,
    /// A symbolic link leads elsewhere.
    Link,
    /// The mode differs.
    Mode,
    /// The user or group differs.
    Owner,
    /// The modification time differs.
    Time,
}
