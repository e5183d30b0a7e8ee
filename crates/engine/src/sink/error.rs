//! What can go wrong in the destination.

use std::io;

use rustix::io::Errno;

use crate::error::{Error, ErrorKind};

/// Why writing failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SinkErrorKind {
    Full,
    /// There is space, but not for us.
    Quota,
    ReadOnly,
    Permission,
    /// Something of another kind is in the way.
    Conflict,
    /// Two names of the snapshot are one name here (case-folding or normalising file system).
    Collision,
    Io,
}

/// An operation in the destination that failed, with the entry that it was about.
#[derive(Debug, thiserror::Error)]
#[error("{operation} {path:?}{}", explain(self.kind))]
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

    /// Something could not be created; in a directory that we made it can only be in its own way.
    pub(crate) fn created(path: &str, fresh: bool, errno: Errno) -> Self {
        match errno {
            Errno::EXIST if fresh => {
                SinkError::new(SinkErrorKind::Collision, "creating", path.into(), errno.into())
            }
            Errno::EXIST => SinkError::new(SinkErrorKind::Conflict, "creating", path.into(), errno.into()),
            _ => SinkError::sys("creating", path, errno),
        }
    }

    pub(crate) fn conflict(path: &str, what: &str) -> Self {
        let source = io::Error::other(format!("a {what} is in the way"));
        SinkError::new(SinkErrorKind::Conflict, "replacing", path.to_owned(), source)
    }

    /// What was looked at is not there any more, or something else is.
    pub(crate) fn replaced(path: &str) -> Self {
        let source = io::Error::other("another program has replaced it meanwhile");
        SinkError::new(SinkErrorKind::Io, "changing", path.to_owned(), source)
    }

    /// Whether it was a matter of rights.
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
        SinkErrorKind::Permission | SinkErrorKind::Io => "",
        SinkErrorKind::Conflict => " (--delete-extra removes what is in the way)",
        SinkErrorKind::Collision => " (another entry has this name on this file system)",
    }
}

impl From<SinkError> for Error {
    fn from(e: SinkError) -> Self {
        Error::new(ErrorKind::Destination, "cannot write to the target").because(e)
    }
}
