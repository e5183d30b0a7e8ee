//! Holds owners, modes and times as values, and decides what is to be done about them.

use rustix::fs::Stat;

/// The attributes that an entry is to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Attributes {
    /// Permission bits with setuid, setgid and sticky, in the positions of Unix.
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// The modification time, in nanoseconds since 1970.
    pub(crate) mtime_ns: i64,
}

/// The owners that restored entries get.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OwnerPolicy {
    /// The owner that the snapshot records.
    #[default]
    Keep,
    /// Owners are not changed: what is made belongs to the user who restores.
    Skip,
    /// All entries get the same owner.
    Set {
        /// Numeric user ID.
        uid: u32,
        /// Numeric group ID.
        gid: u32,
    },
}

/// The attributes that are set.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AttributePolicy {
    pub(crate) owner: OwnerPolicy,
    pub(crate) mode: bool,
    pub(crate) times: bool,
}

impl AttributePolicy {
    /// Returns the owner that something is to have; `None`: any.
    pub(crate) fn owner_of(&self, wanted: &Attributes) -> Option<(u32, u32)> {
        match self.owner {
            OwnerPolicy::Keep => Some((wanted.uid, wanted.gid)),
            OwnerPolicy::Set { uid, gid } => Some((uid, gid)),
            OwnerPolicy::Skip => None,
        }
    }
}

/// An attribute that could not be set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FidelityIssue {
    pub(crate) path: String,
    message: String,
}

impl FidelityIssue {
    pub(super) fn new(path: String, message: String) -> Self {
        FidelityIssue { path, message }
    }
}

impl std::fmt::Display for FidelityIssue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl Attributes {
    /// Returns the attributes that something has now.
    #[expect(clippy::unnecessary_cast, reason = "the fields have other types elsewhere")]
    pub(super) fn of(stat: &Stat) -> Self {
        let ns =
            (stat.st_mtime as i64).saturating_mul(1_000_000_000).saturating_add(stat.st_mtime_nsec as i64);
        Attributes { mode: stat.st_mode as u32 & 0o7777, uid: stat.st_uid, gid: stat.st_gid, mtime_ns: ns }
    }
}
