//! Checks the names of directory entries: path components that are safe to create.

use std::fmt;

/// A path component: not empty, not `.` or `..`, without `/` and NUL (§7.5).
///
/// A value of this type can be handed to the file system below a directory handle as it is. Nothing else is
/// promised: two different names may still meet on a file system that folds case.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryName(Box<str>);

/// A stored name that must not reach the file system.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{raw:?} is not a file name: {reason}")]
pub struct BadName {
    /// The name as stored.
    pub raw: Box<str>,
    reason: &'static str,
}

impl EntryName {
    /// Checks the name.
    ///
    /// # Errors
    /// [`BadName`], with the reason.
    pub fn parse(text: &str) -> Result<Self, BadName> {
        let reason = match text {
            "" => "it is empty",
            "." | ".." => "it means another directory",
            _ if text.bytes().any(|b| b == b'/') => "it holds a slash",
            _ if text.bytes().any(|b| b == 0) => "it holds a NUL",
            _ => return Ok(EntryName(text.into())),
        };
        Err(BadName { raw: text.into(), reason })
    }

    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for EntryName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EntryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for EntryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_names_pass() {
        for ok in ["a", "...", "..a", "a\\b", "C:", " ", "a\u{fffd}b", "-rf", "\n", ".checkpointed.x.y"] {
            assert_eq!(EntryName::parse(ok).unwrap().as_str(), ok);
        }
    }

    #[test]
    fn trap_38_names_cannot_leave_their_directory() {
        for bad in ["", ".", "..", "/", "a/b", "../a", "/etc", "a\0b", "a/"] {
            let error = EntryName::parse(bad).unwrap_err();
            assert_eq!(&*error.raw, bad);
        }
    }
}
