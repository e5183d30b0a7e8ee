//! In what an entry on the disk may differ from a snapshot's.

use serde::Serialize;

/// What differs about an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Differs {
    /// It is not there, and so nothing below it.
    Missing,
    /// The snapshot does not have it.
    Extra,
    /// It is another kind of thing.
    Type,
    /// A file is longer or shorter.
    Size,
    /// A file of the right length holds other bytes.
    Bytes,
    /// A symbolic link leads elsewhere.
    Link,
    /// Its mode.
    Mode,
    /// Its user or group.
    Owner,
    /// When it was changed last.
    Time,
}
