//! Reads what a person types to name something in a repository.

use rekopia_format::ObjectId;
use rekopia_format::directory::Entry;
use rekopia_format::snapshot::{Snapshot, Source};

use super::near::components;
use crate::error::{Error, ErrorKind, Result};

/// A name for an entry: a snapshot, an object or a source, each with an optional path below it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reference {
    /// The part that names a tree.
    pub root: RootReference,
    /// Names below the root, outermost first.
    pub sub_path: Vec<String>,
    /// The reference as it was typed: a source that is listed so is meant before anything that the parts may mean.
    /// Empty for none.
    pub(super) text: String,
}

/// The part of a [`Reference`] that names a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RootReference {
    /// A snapshot ID, a unique prefix of one with at least 8 digits, or an object ID.
    Id(String),
    /// A source, or a path inside one: `user@host:/path`.
    Source(Source),
    /// A user and host with a single path: `user@host`.
    Identity {
        /// User name.
        user: String,
        /// Host name.
        host: String,
    },
    /// A path alone, when one source has it.
    Path(String),
    /// The newest snapshot of the only source.
    Latest,
}

/// The entry that a [`Reference`] names.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Resolved {
    /// The entry, with the attributes that its snapshot or directory records.
    pub entry: Entry,
    /// Whether attributes are known; a bare object has none.
    pub has_attributes: bool,
    /// The snapshot that it belongs to, where one was named.
    pub snapshot: Option<Snapshot>,
    /// The path below the snapshot's root; empty for the root.
    pub sub_path: String,
    /// Notes to tell the person: how the reference was understood.
    pub notes: Vec<String>,
}

impl Resolved {
    /// Returns the root of a snapshot.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] when it has none.
    pub fn root_of(snapshot: &Snapshot) -> Result<Self> {
        let entry = snapshot.root.clone().ok_or_else(|| {
            let what = format!("snapshot {} has no root: its manifest is damaged", snapshot.id);
            Error::new(ErrorKind::Corrupt, what)
        })?;
        let (sub_path, notes) = (String::new(), Vec::new());
        Ok(Resolved { entry, has_attributes: true, snapshot: Some(snapshot.clone()), sub_path, notes })
    }
}

impl Reference {
    /// Reads `<id>`, `<user@host:/path>`, `<user@host>`, `latest` or `/path`, each followed by `/sub/path` where that
    /// can be told apart.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] when it is none of them.
    pub fn parse(text: &str) -> Result<Self> {
        let (root, sub_path) = Self::parts(text)?;
        Ok(Reference { root, sub_path, text: text.to_owned() })
    }

    /// Names the snapshot with this ID.
    pub fn of_id(id: impl Into<String>) -> Self {
        Reference { root: RootReference::Id(id.into()), sub_path: Vec::new(), text: String::new() }
    }

    fn parts(text: &str) -> Result<(RootReference, Vec<String>)> {
        let usage = || {
            let what = format!(
                "{text:?} is neither a snapshot ID, an object ID, user@host:/path, user@host nor \"latest\""
            );
            Error::new(ErrorKind::Usage, what)
        };
        if let Some((user, rest)) =
            text.split_once('@').filter(|(user, _)| !user.is_empty() && !user.contains('/'))
        {
            if let Some((host, path)) = rest.split_once(':') {
                if host.is_empty() || path.is_empty() || host.contains('/') {
                    return Err(usage());
                }
                let source = Source { user: user.into(), host: host.into(), path: path.into() };
                return Ok((RootReference::Source(source), Vec::new()));
            }
            let (host, below) = rest.split_once('/').unwrap_or((rest, ""));
            if host.is_empty() {
                return Err(usage());
            }
            let root = RootReference::Identity { user: user.into(), host: host.into() };
            return Ok((root, components(below)));
        }
        if text.starts_with('/') {
            return Ok((RootReference::Path(text.into()), Vec::new()));
        }
        let (first, below) = text.split_once('/').unwrap_or((text, ""));
        let root = match first {
            "latest" => RootReference::Latest,
            id if ObjectId::parse(id).is_ok() || is_id_prefix(id) => RootReference::Id(id.into()),
            _ => return Err(usage()),
        };
        Ok((root, components(below)))
    }
}

fn is_id_prefix(text: &str) -> bool {
    (8..=64).contains(&text.len()) && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_every_form() {
        let parse = |t: &str| Reference::parse(t).unwrap();
        assert_eq!(parse("latest/a//b").sub_path, ["a", "b"]);
        assert_eq!(parse("kabcdef/x").root, RootReference::Id("kabcdef".into()));
        assert_eq!(parse("45d6c84cc").root, RootReference::Id("45d6c84cc".into()));
        let identity = RootReference::Identity { user: "me".into(), host: "nas".into() };
        assert_eq!((parse("me@nas").root, parse("me@nas").sub_path), (identity.clone(), vec![]));
        assert_eq!(parse("me@nas/etc").root, identity);
        let source = Source { user: "me".into(), host: "nas".into(), path: "/data/a".into() };
        assert_eq!(parse("me@nas:/data/a").root, RootReference::Source(source));
        assert_eq!(parse("/data/a").root, RootReference::Path("/data/a".into()));
        for bad in ["", "@nas:/x", "me@:/x", "me@nas:", "hello", "me@"] {
            assert_eq!(Reference::parse(bad).unwrap_err().kind(), ErrorKind::Usage, "{bad:?}");
        }
    }
}
