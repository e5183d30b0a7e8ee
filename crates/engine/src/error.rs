//! What the user was trying to do, and why it did not work.

use std::fmt;

use rekopia_blob::{BlobError, BlobErrorKind};
use rekopia_format::{BlobId, ContentId};

use crate::hint::Hint;

/// The class of an error: short on purpose, since it decides what a program does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ErrorKind {
    /// The place holds no repository.
    NoRepository,
    /// The format blob does not open: a wrong password, or a damaged blob.
    InvalidPassword,
    /// A format, algorithm or required feature that this version does not know.
    UnsupportedFormat,
    /// A live upgrade lock forbids any use of the repository.
    Locked,
    /// No such source, snapshot or path.
    NotFound,
    /// The repository is damaged.
    Corrupt,
    /// Objects lie in an archive and must be brought back first.
    Archived,
    /// The storage cannot be reached or refuses us.
    Storage,
    /// The destination: space, permission, type conflict.
    Destination,
    /// The request makes no sense.
    Usage,
    /// A policy forbids it.
    Refused,
    /// Entries are missing, while others were restored or found right.
    Incomplete,
    /// The caller asked to stop.
    Cancelled,
    /// A defect of this program.
    Internal,
}

impl ErrorKind {
    /// Returns the exit code of a program that ends with this: one table for every binary.
    pub fn exit_code(self) -> u8 {
        match self {
            ErrorKind::Usage => 2,
            ErrorKind::Incomplete => 3,
            ErrorKind::NoRepository => 10,
            ErrorKind::InvalidPassword => 12,
            ErrorKind::NotFound => 13,
            ErrorKind::Corrupt => 14,
            ErrorKind::Storage | ErrorKind::Archived => 15,
            ErrorKind::Destination => 16,
            ErrorKind::UnsupportedFormat | ErrorKind::Locked => 17,
            ErrorKind::Refused => 18,
            ErrorKind::Cancelled => 130,
            _ => 1,
        }
    }
}

/// A path for a message: a very long one is cut in its middle.
pub(crate) fn shown(path: &str) -> std::borrow::Cow<'_, str> {
    const SIDE: usize = 300;
    if path.len() <= 2 * SIDE + 3 {
        return path.into();
    }
    let start = (0..=SIDE).rev().find(|at| path.is_char_boundary(*at)).unwrap_or(0);
    let end = (path.len() - SIDE..path.len()).find(|at| path.is_char_boundary(*at)).unwrap_or(path.len());
    format!("{}…{}", &path[..start], &path[end..]).into()
}

/// An error of the engine: one line for people, fields for programs, the cause in `source()`.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    what: String,
    content: Option<ContentId>,
    pack: Option<BlobId>,
    bad_data: bool,
    hint: Option<Hint>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// A result of the engine.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub(crate) fn new(kind: ErrorKind, what: impl Into<String>) -> Self {
        let what = what.into();
        let (content, pack, hint, source) = (None, None, None, None);
        Error(Box::new(Inner { kind, what, content, pack, bad_data: false, hint, source }))
    }

    /// Makes the error for bytes that are not what was stored: asked for again, they may be.
    pub(crate) fn bad_data(what: impl Into<String>) -> Self {
        let mut e = Error::new(ErrorKind::Corrupt, what);
        e.0.bad_data = true;
        e
    }

    pub(crate) fn is_bad_data(&self) -> bool {
        self.0.bad_data
    }

    /// Adds one more thing to know to the message.
    pub(crate) fn and(mut self, more: &str) -> Self {
        self.0.what = format!("{}; {more}", self.0.what);
        self
    }

    /// Makes the error for something that was named and is not there.
    pub(crate) fn not_found(what: impl Into<String>, hint: Hint) -> Self {
        Error::new(ErrorKind::NotFound, what).with_hint(hint)
    }

    pub(crate) fn with_hint(mut self, hint: Hint) -> Self {
        self.0.hint = Some(hint);
        self
    }

    /// Makes the error for a storage that could not even be connected to: what is wrong with its settings is usage.
    pub fn from_storage(error: BlobError, what: impl Into<String>) -> Self {
        let kind = match error.kind() {
            BlobErrorKind::NotFound | BlobErrorKind::NoPlace => ErrorKind::NoRepository,
            BlobErrorKind::Settings => ErrorKind::Usage,
            BlobErrorKind::Damaged => ErrorKind::Corrupt,
            _ => ErrorKind::Storage,
        };
        Error::new(kind, what).because(error)
    }

    /// Makes the error for a failed storage request; what it means for the repository depends on what was read.
    pub(crate) fn storage(error: BlobError, what: impl Into<String>) -> Self {
        let kind = match error.kind() {
            BlobErrorKind::NotFound | BlobErrorKind::Truncated | BlobErrorKind::Damaged => ErrorKind::Corrupt,
            BlobErrorKind::Archived => ErrorKind::Archived,
            BlobErrorKind::NoPlace => ErrorKind::NoRepository,
            _ => ErrorKind::Storage,
        };
        let mut e = Error::new(kind, what);
        e.0.pack = error.blob().cloned();
        e.because(error)
    }

    pub(crate) fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    pub(crate) fn of_content(mut self, content: &ContentId) -> Self {
        self.0.content = Some(*content);
        self
    }

    pub(crate) fn in_pack(mut self, pack: &BlobId) -> Self {
        self.0.pack = Some(pack.clone());
        self
    }

    pub(crate) fn cancelled() -> Self {
        Error::new(ErrorKind::Cancelled, "stopped on request")
    }

    pub(crate) fn internal(what: impl Into<String>) -> Self {
        Error::new(ErrorKind::Internal, what)
    }

    /// Returns a copy of the error, for another entry that has the same cause.
    pub(crate) fn again(&self) -> Self {
        let Inner { kind, what, content, pack, bad_data, hint, source } = &*self.0;
        let source = source.as_ref().map(|s| s.to_string().into());
        Error(Box::new(Inner {
            kind: *kind,
            what: what.clone(),
            content: *content,
            pack: pack.clone(),
            bad_data: *bad_data,
            hint: hint.clone(),
            source,
        }))
    }

    /// Whether a storage's own error of this kind is among the causes.
    pub fn is_from_storage(&self, kind: BlobErrorKind) -> bool {
        let first: &(dyn std::error::Error + 'static) = self;
        let mut chain = std::iter::successors(Some(first), |e| e.source());
        chain.any(|e| e.downcast_ref::<BlobError>().is_some_and(|e| e.kind() == kind))
    }

    /// Returns the class of the error.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Returns what a person can do about the error, where the engine knows; a program words it with its own options.
    pub fn hint(&self) -> Option<&Hint> {
        self.0.hint.as_ref()
    }

    /// Returns the content that could not be read.
    pub fn content(&self) -> Option<&ContentId> {
        self.0.content.as_ref()
    }

    /// Returns the blob that could not be read.
    pub fn pack(&self) -> Option<&BlobId> {
        self.0.pack.as_ref()
    }

    /// Returns the whole chain on one line, outermost first.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut next = std::error::Error::source(self);
        while let Some(e) = next {
            let part = e.to_string();
            if !text.contains(&part) {
                text.push_str(": ");
                text.push_str(&part);
            }
            next = e.source();
        }
        text
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.what)?;
        if let Some(content) = &self.0.content {
            write!(f, " (content {content}")?;
            if let Some(pack) = &self.0.pack {
                write!(f, " in pack {pack}")?;
            }
            f.write_str(")")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.0.kind, self.chain())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|s| s as _)
    }
}
