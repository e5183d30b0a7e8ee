//! Names what can go wrong in the destination.

use std::io;

use rustix::io::Errno;

use crate::error::{Error, ErrorKind, shown};

/// The reason why writing failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SinkErrorKind {
    Full,
    /// There is space, but a quota keeps it from us.
    Quota,
    ReadOnly,
    Permission,
    /// Something of another kind is in the way.
    Conflict,
    /// Something of another kind is in the way and has to stay.
    Immovable,
    /// The place is in the repository that is restored from.
    Repository,
    /// Nothing is there, and nothing is made: the target is only looked at.
    Absent,
    /// What is there stays as it is, because what exists is kept.
    Kept,
    /// What is there stays as it is, because this run needs it.
    Protected,
    /// Two names of the snapshot are one name here (case-folding or normalising file system).
    Collision,
    Io,
}

/// An operation in the destination that failed, with the entry that it was about.
#[derive(Debug, thiserror::Error)]
#[error("{operation} {:?}{}", shown(path), explain(self.kind))]
pub(crate) struct SinkError {
    kind: SinkErrorKind,
    operation: &'static str,
    path: String,
    source: io::Error,
}

impl SinkError {
    pub(crate) fn new(kind: SinkErrorKind, operation: &'static str, path: String, source: io::Error) -> Self {
        SinkError { kind, operation, path, source }
    }

    pub(crate) fn sys(operation: &'static str, path: &str, errno: Errno) -> Self {
        let kind = match errno {
            Errno::NOSPC => SinkErrorKind::Full,
            Errno::DQUOT => SinkErrorKind::Quota,
            Errno::ROFS => SinkErrorKind::ReadOnly,
            Errno::ACCESS | Errno::PERM => SinkErrorKind::Permission,
            _ => SinkErrorKind::Io,
        };
        SinkError::new(kind, operation, path.to_owned(), errno.into())
    }

    pub(crate) fn std(operation: &'static str, path: &str, error: io::Error) -> Self {
        match error.raw_os_error() {
            Some(code) => SinkError::sys(operation, path, Errno::from_raw_os_error(code)),
            None => SinkError::new(SinkErrorKind::Io, operation, path.to_owned(), error),
        }
    }

    /// Makes the error for something that could not be created; in a directory that we made it can only be in its own
    /// way.
    pub(crate) fn created(path: &str, fresh: bool, errno: Errno) -> Self {
        match errno {
            Errno::EXIST if fresh => {
                SinkError::new(SinkErrorKind::Collision, "creating", path.into(), errno.into())
            }
            Errno::EXIST => SinkError::new(SinkErrorKind::Conflict, "creating", path.into(), errno.into()),
            _ => SinkError::sys("creating", path, errno),
        }
    }

    /// Makes the error for something in the way that `--delete-extra` would move.
    pub(crate) fn conflict(path: &str, what: &str) -> Self {
        let source = io::Error::other(format!("a {what} is in the way"));
        SinkError::new(SinkErrorKind::Conflict, "replacing", path.to_owned(), source)
    }

    /// Makes the error for something in the way that stays, whatever was asked for.
    pub(crate) fn immovable(path: &str, why: &str) -> Self {
        SinkError::new(
            SinkErrorKind::Immovable,
            "replacing",
            path.to_owned(),
            io::Error::other(why.to_owned()),
        )
    }

    /// Makes the error for an entry that would land in the repository.
    pub(crate) fn in_repository(path: &str) -> Self {
        let source = io::Error::other("this is the repository that is restored from");
        SinkError::new(SinkErrorKind::Repository, "writing to", path.to_owned(), source)
    }

    pub(crate) fn absent(path: String) -> Self {
        SinkError::new(SinkErrorKind::Absent, "looking at", path, io::ErrorKind::NotFound.into())
    }

    pub(crate) fn kept(path: &str) -> Self {
        let source = io::Error::other("what exists is kept");
        SinkError::new(SinkErrorKind::Kept, "replacing", path.to_owned(), source)
    }

    pub(crate) fn protected(path: &str) -> Self {
        let source = io::Error::other("this run needs what is there");
        SinkError::new(SinkErrorKind::Protected, "replacing", path.to_owned(), source)
    }

    pub(crate) fn collision(path: &str) -> Self {
        SinkError::new(SinkErrorKind::Collision, "creating", path.to_owned(), Errno::EXIST.into())
    }

    /// Whether something has the name already.
    pub(crate) fn is_taken(&self) -> bool {
        matches!(self.kind, SinkErrorKind::Collision | SinkErrorKind::Conflict)
    }

    /// Whether nothing is there.
    pub(crate) fn is_absent(&self) -> bool {
        self.kind == SinkErrorKind::Absent
    }

    /// Whether what exists is kept as the options say.
    pub(crate) fn is_kept(&self) -> bool {
        self.kind == SinkErrorKind::Kept
    }

    /// Whether what is there is kept because this run needs it.
    pub(crate) fn is_protected(&self) -> bool {
        self.kind == SinkErrorKind::Protected
    }

    /// Makes the error for an entry that is not there any more, or was replaced by another.
    pub(crate) fn replaced(path: &str) -> Self {
        let source = io::Error::other("another program has replaced it meanwhile");
        SinkError::new(SinkErrorKind::Io, "changing", path.to_owned(), source)
    }

    /// Whether rights were missing.
    pub(crate) fn is_refused(&self) -> bool {
        self.kind == SinkErrorKind::Permission
    }

    /// Whether going on with other entries makes no sense.
    pub(crate) fn stops_everything(&self) -> bool {
        matches!(self.kind, SinkErrorKind::Full | SinkErrorKind::Quota | SinkErrorKind::ReadOnly)
    }
}

fn explain(kind: SinkErrorKind) -> &'static str {
    match kind {
        SinkErrorKind::Full => " (the target is full)",
        SinkErrorKind::Quota => " (the quota is used up)",
        SinkErrorKind::ReadOnly => " (the target is read-only)",
        SinkErrorKind::Conflict => " (--delete-extra replaces what is in the way)",
        SinkErrorKind::Collision => " (another entry has this name on this file system)",
        _ => "",
    }
}

impl From<SinkError> for Error {
    fn from(e: SinkError) -> Self {
        Error::new(ErrorKind::Destination, "cannot write to the target").because(e)
    }
}
