//! What a person types to name something in a repository, and what it turns out to be.

use std::sync::Arc;

use rekopia_format::ObjectId;
use rekopia_format::directory::{Entry, EntryKind};
use rekopia_format::entry_name::EntryName;
use rekopia_format::snapshot::{Snapshot, Source};

use super::Repository;
use super::contents::Contents;
use super::objects::{ObjectReader, ReadAhead};
use super::snapshots::{Selection, Snapshots};
use crate::error::{Error, ErrorKind, Missing, Result};

/// A name for an entry: a snapshot, an object or a source, each with an optional path below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The part that names a tree.
    pub root: RootReference,
    /// Names below the root, outermost first.
    pub sub_path: Vec<String>,
    /// As it was typed: a source that is listed so is meant before anything that the parts may mean. Empty for none.
    text: String,
}

/// The part of a [`Reference`] that names a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RootReference {
    /// A snapshot ID, a unique prefix of one with at least 8 digits, or an object ID.
    Id(String),
    /// `user@host:/path`: a source, or a path inside one.
    Source(Source),
    /// `user@host`, when it has one path.
    Identity {
        /// User name.
        user: String,
        /// Host name.
        host: String,
    },
    /// A path alone, when one source has it.
    Path(String),
    /// The newest snapshot, when there is one source.
    Latest,
}

/// What a [`Reference`] names.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// The entry, with the attributes that its snapshot or directory records.
    pub entry: Entry,
    /// Whether attributes are known; a bare object has none.
    pub has_attributes: bool,
    /// The snapshot that it belongs to, where one was named.
    pub snapshot: Option<Snapshot>,
    /// The path below the snapshot's root; empty for the root.
    pub sub_path: String,
    /// Things to say aloud: how the reference was understood.
    pub notes: Vec<String>,
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

    /// The snapshot with this ID.
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

impl Repository {
    /// Finds what `reference` names.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] with near misses, [`ErrorKind::Usage`] when it is ambiguous,
    /// [`ErrorKind::Corrupt`] when a directory on the way cannot be read.
    pub async fn resolve(&self, reference: &Reference, selection: &Selection) -> Result<Resolved> {
        let mut sub_path = reference.sub_path.clone();
        let mut notes = Vec::new();
        let snapshots = match self.snapshots().await {
            Ok(snapshots) => snapshots,
            // An object needs no manifest.
            Err(e) => match &reference.root {
                RootReference::Id(id) if self.has_object(id)? => {
                    notes.push(format!(
                        "{id} is taken for an object: snapshots cannot be listed ({})",
                        e.chain()
                    ));
                    Arc::default()
                }
                _ => return Err(e),
            },
        };
        let listed = listed_as(&snapshots, &reference.text)?;
        let by_id = listed.is_none() && matches!(reference.root, RootReference::Id(_));
        let found = match listed {
            Some((source, rest)) => {
                sub_path = rest;
                chosen(&snapshots, &source, selection)
            }
            None => self.root_of(&snapshots, &reference.root, selection, &mut sub_path, &mut notes).await,
        };
        let (root, snapshot) = match (found, by_id) {
            // What is named by its ID is what it is, whatever else there may be.
            (Ok(found), true) => found,
            (Err(e), true) if e.kind() == ErrorKind::NotFound => return Err(snapshots.hidden(e)),
            (Err(e), _) if e.kind() == ErrorKind::Usage => return Err(e),
            (found, false) => {
                let newest = found.as_ref().ok().and_then(|(_, snapshot)| snapshot.as_ref());
                match snapshots.doubt(newest) {
                    Some(doubt) => return Err(doubt),
                    None => found?,
                }
            }
            (Err(e), _) => return Err(e),
        };
        let (root, has_attributes) = match root {
            Root::Entry(entry) => (entry, true),
            Root::Object(entry) => (entry, false),
        };
        let id = snapshot.as_ref().map_or_else(|| root.name_text().to_owned(), |s| s.id.to_string());
        let (entry, walked) = match self.descend(&id, root.clone(), &sub_path).await {
            // After an ID people paste the original path, too.
            Err(e) if e.kind() == ErrorKind::NotFound => {
                let typed = sub_path.join("/");
                let rest = snapshot.as_ref().and_then(|s| {
                    below(&s.source.path, &format!("/{typed}")).or_else(|| below(&s.source.path, &typed))
                });
                let Some(rest) = rest.filter(|_| by_id) else { return Err(e) };
                let shown = rest.join("/");
                notes
                    .push(format!("{typed} is taken for the original path: using {shown:?} in the snapshot"));
                sub_path = rest;
                self.descend(&id, root, &sub_path).await?
            }
            other => other?,
        };
        let has_attributes = has_attributes || walked;
        Ok(Resolved { entry, has_attributes, snapshot, sub_path: sub_path.join("/"), notes })
    }

    async fn root_of(
        &self,
        snapshots: &Snapshots,
        root: &RootReference,
        selection: &Selection,
        sub_path: &mut Vec<String>,
        notes: &mut Vec<String>,
    ) -> Result<(Root, Option<Snapshot>)> {
        let mut sources: Vec<&Source> = snapshots.by_source().into_keys().collect();
        let source = match root {
            RootReference::Id(id) => return self.root_of_id(snapshots, id).await,
            RootReference::Latest => selection.only(&sources, "sources", "latest", notes)?.clone(),
            RootReference::Identity { user, host } => {
                sources.retain(|s| s.user == *user && s.host == *host);
                let named = format!("{user}@{host}");
                if sources.is_empty() {
                    return Err(no_such_source(snapshots, &named));
                }
                selection.only(&sources, "paths", &named, notes)?.clone()
            }
            RootReference::Path(path) => {
                let longest = sources.iter().filter_map(|s| below(&s.path, path).map(|_| s.path.len())).max();
                sources.retain(|s| below(&s.path, path).is_some() && Some(s.path.len()) == longest);
                if sources.is_empty() {
                    return Err(no_such_source(snapshots, path));
                }
                let source = selection.only(&sources, "identities", path, notes)?;
                *sub_path = below(&source.path, path).unwrap_or_default();
                notes.push(format!("{path} found in {source}"));
                source.clone()
            }
            RootReference::Source(wanted) if snapshots.of_source(wanted).is_empty() => {
                let (parent, rest) = longest_parent(snapshots, wanted)
                    .ok_or_else(|| no_such_source(snapshots, &wanted.to_string()))?;
                notes.push(format!("no source {wanted}: using {} in {parent}", rest.join("/")));
                *sub_path = rest;
                parent
            }
            RootReference::Source(wanted) => wanted.clone(),
        };
        chosen(snapshots, &source, selection)
    }

    /// Whether this is the ID of an object whose contents the index has.
    fn has_object(&self, id: &str) -> Result<bool> {
        match ObjectId::parse(id) {
            Ok(object) => Ok(self.contents().index.find(object.content())?.is_some()),
            Err(_) => Ok(false),
        }
    }

    async fn root_of_id(&self, snapshots: &Snapshots, id: &str) -> Result<(Root, Option<Snapshot>)> {
        let by_id: Vec<&Snapshot> = snapshots
            .all()
            .iter()
            .filter(|s| s.id.as_str() == id || (id.len() >= 8 && s.id.as_str().starts_with(id)))
            .collect();
        if let Some(exact) =
            by_id.iter().find(|s| s.id.as_str() == id).or(by_id.first().filter(|_| by_id.len() == 1))
        {
            let root = exact.root.clone();
            let root = root.ok_or_else(|| {
                let what = format!("snapshot {} has no root: its manifest is damaged", exact.id);
                Error::new(ErrorKind::Corrupt, what)
            })?;
            return Ok((Root::Entry(root), Some((*exact).clone())));
        }
        if by_id.len() > 1 {
            let names: Vec<&str> = by_id.iter().map(|s| s.id.as_str()).collect();
            return Err(Error::new(ErrorKind::Usage, format!("{id} may be any of {}", names.join(", "))));
        }
        let not_found = || no_such_id(snapshots, id);
        let object = ObjectId::parse(id).map_err(|_| not_found())?;
        // A root object's attributes are in its snapshots; the newest knows best.
        let named =
            snapshots.all().iter().filter(|s| s.root.as_ref().is_some_and(|r| r.object == Some(object)));
        if let Some(snapshot) = named.max_by_key(|s| s.start_ns)
            && let Some(root) = snapshot.root.clone()
        {
            return Ok((Root::Entry(root), Some(snapshot.clone())));
        }
        if !self.has_object(id)? {
            return Err(not_found());
        }
        Ok((Root::Object(self.bare_entry(id, &object).await?), None))
    }

    /// An object without a directory entry: its length is that of its contents, its name its ID.
    async fn bare_entry(&self, id: &str, object: &ObjectId) -> Result<Entry> {
        let (size, prefix) = self.object_len(object).await?;
        let kind = if prefix == b'k' { EntryKind::Directory } else { EntryKind::File };
        let (mode, uid, gid, mtime_ns) = (0, 0, 0, 0);
        let size = if kind == EntryKind::Directory { 0 } else { size };
        let name = EntryName::parse(id);
        Ok(Entry { name, kind, mode, uid, gid, mtime_ns, size, object: Some(*object), summary: None })
    }

    /// Goes down from the tree `id`; says whether there was anything to go down.
    async fn descend(&self, id: &str, mut entry: Entry, names: &[String]) -> Result<(Entry, bool)> {
        let (mut parent, mut so_far) = (id.to_owned(), String::new());
        for (depth, name) in names.iter().enumerate() {
            so_far = format!("{so_far}/{name}");
            if entry.kind != EntryKind::Directory {
                let what = format!("no {so_far}: its parent is not a directory");
                // That of the parent, which is one.
                let parent = [&[id.to_owned()], &names[..depth.saturating_sub(1)]].concat().join("/");
                return Err(match depth {
                    0 => Error::new(ErrorKind::NotFound, what),
                    _ => Error::not_found(what, Missing::Path { parent }),
                });
            }
            let mut found = None;
            let mut near = Vec::new();
            self.for_each_entry(&entry, |e| {
                if e.name.as_ref().is_ok_and(|n| n.as_str() == name) {
                    found = Some(e);
                } else if let Ok(n) = &e.name
                    && near.len() < 5
                    && alike(n.as_str(), name)
                {
                    near.push(n.as_str().to_owned());
                }
            })
            .await?;
            entry = found.ok_or_else(|| {
                let hint =
                    if near.is_empty() { String::new() } else { format!("; there is {}", near.join(", ")) };
                let what = format!("no {so_far} in the snapshot{hint}");
                Error::not_found(what, Missing::Path { parent: parent.clone() })
            })?;
            parent = format!("{parent}/{name}");
        }
        Ok((entry, !names.is_empty()))
    }

    /// Calls `each` for every entry of a directory, in stored order; unusable entries are skipped.
    pub async fn for_each_entry(&self, directory: &Entry, mut each: impl FnMut(Entry)) -> Result<()> {
        let object = directory
            .object
            .ok_or_else(|| Error::new(ErrorKind::Corrupt, "a directory without an object"))?;
        let contents: Contents = self.contents();
        let mut ahead = ReadAhead::default();
        let mut reader = ObjectReader::new(&object, None);
        let mut scanner = rekopia_format::directory::DirectoryScanner::new();
        let damaged = |e| Error::new(ErrorKind::Corrupt, format!("directory {object} is damaged")).because(e);
        while let Some(chunk) = reader.next(&contents, &mut ahead).await? {
            scanner
                .push(&chunk, |entry| {
                    if let Ok(entry) = entry {
                        each(entry)
                    }
                })
                .map_err(damaged)?;
        }
        scanner.finish().map_err(damaged)?;
        Ok(())
    }
}

enum Root {
    Entry(Entry),
    Object(Entry),
}

fn chosen(snapshots: &Snapshots, source: &Source, selection: &Selection) -> Result<(Root, Option<Snapshot>)> {
    let candidates = snapshots.of_source(source);
    let Some(snapshot) = selection.choose(&candidates) else {
        let complete = candidates.iter().filter(|s| s.incomplete.is_none()).count();
        let why = match (selection.as_of_ns, candidates.len(), complete) {
            (_, 0, _) => return Err(no_such_source(snapshots, &source.to_string())),
            _ if !candidates.iter().any(|s| selection.has_tags(s)) => "none has these tags".to_owned(),
            (Some(_), ..) => "none is that old".to_owned(),
            (None, _, 0) => "all are incomplete (--incomplete takes them)".to_owned(),
            (None, _, n) => format!("it has {n} complete"),
        };
        return Err(Error::not_found(format!("no such snapshot of {source}: {why}"), Missing::Snapshot));
    };
    let root = snapshot.root.clone().ok_or_else(|| Error::internal("a chosen snapshot has a root"))?;
    Ok((Root::Entry(root), Some(snapshot.clone())))
}

impl Selection {
    /// The one source of several; the identity of whoever asks decides where it can.
    fn only<'a>(
        &self,
        sources: &[&'a Source],
        what: &str,
        named: &str,
        notes: &mut Vec<String>,
    ) -> Result<&'a Source> {
        let own =
            |s: &&Source| self.prefer.as_ref().is_some_and(|(user, host)| s.user == *user && s.host == *host);
        let mine: Vec<&Source> = sources.iter().copied().filter(own).collect();
        match (sources, mine.as_slice()) {
            ([one], _) => Ok(one),
            ([], _) => Err(Error::new(ErrorKind::NotFound, "the repository has no snapshots")),
            (many, [one]) => {
                notes.push(format!("{one} is taken, which is yours, of {} {what}", many.len()));
                Ok(one)
            }
            (many, _) => {
                let names: Vec<String> = many.iter().take(10).map(|s| s.to_string()).collect();
                let more = if many.len() > 10 { ", …" } else { "" };
                let what =
                    format!("{named:?} needs one of {} {what}: {}{more}", many.len(), names.join(", "));
                Err(Error::new(ErrorKind::Usage, what))
            }
        }
    }
}

/// The source that lists show as `text`, or as the beginning of it with names below. The longest one counts; of several
/// that are shown alike none is taken.
fn listed_as(snapshots: &Snapshots, text: &str) -> Result<Option<(Source, Vec<String>)>> {
    let mut best: Vec<(&Source, Vec<String>)> = Vec::new();
    let mut longest = 0;
    for source in snapshots.by_source().into_keys() {
        let shown = source.to_string();
        let Some(rest) = text.strip_prefix(&shown) else { continue };
        let separates = |c: char| c == '/' || c == '\\' && is_windows(&source.path);
        let is_below = rest.is_empty() || rest.starts_with(separates) || shown.ends_with(separates);
        if !is_below || shown.len() < longest {
            continue;
        }
        if shown.len() > longest {
            best.clear();
        }
        longest = shown.len();
        let names = rest.split(separates).filter(|name| !name.is_empty());
        best.push((source, names.map(str::to_owned).collect()));
    }
    if best.len() > 1 {
        let part = |s: &Source| format!("user {:?}, host {:?}, path {:?}", s.user, s.host, s.path);
        let parts: Vec<String> = best.iter().map(|(s, _)| part(s)).collect();
        let what = format!("{text:?} may be any of: {}; take a snapshot ID", parts.join("; "));
        return Err(Error::new(ErrorKind::Usage, what));
    }
    Ok(best.pop().map(|(source, names)| (source.clone(), names)))
}

/// Whether the path is one of Windows: with a drive letter, or with backslashes alone.
fn is_windows(path: &str) -> bool {
    let drive = matches!(path.as_bytes(), [letter, b':', ..] if letter.is_ascii_alphabetic());
    drive || path.contains('\\') && !path.contains('/')
}

fn no_such_source(snapshots: &Snapshots, wanted: &str) -> Error {
    let sources: Vec<&Source> = snapshots.by_source().into_keys().collect();
    if sources.is_empty() {
        return Error::new(
            ErrorKind::NotFound,
            format!("no source {wanted}: the repository has no snapshots"),
        );
    }
    let mut near: Vec<&&Source> = sources.iter().filter(|s| alike(&s.to_string(), wanted)).collect();
    let what = if near.is_empty() { "sources are" } else { "did you mean" };
    if near.is_empty() {
        near = sources.iter().collect();
    }
    let names: Vec<String> = near.iter().take(8).map(|s| s.to_string()).collect();
    let more = if near.len() > 8 { format!(" and {} more", near.len() - 8) } else { String::new() };
    let what = format!("no source {wanted}; {what} {}{more}", names.join(", "));
    Error::not_found(what, Missing::Snapshot)
}

/// Of snapshots whose IDs begin alike the first few are named.
fn no_such_id(snapshots: &Snapshots, id: &str) -> Error {
    let what = format!("no snapshot or object {id}");
    if snapshots.all().is_empty() {
        return Error::new(ErrorKind::NotFound, what);
    }
    let beginning = id.get(..6).unwrap_or(id);
    let near = snapshots.all().iter().map(|s| s.id.as_str()).filter(|other| other.starts_with(beginning));
    let near = Vec::from_iter(near.take(5));
    let hint = if near.is_empty() { String::new() } else { format!("; there is {}", near.join(", ")) };
    Error::not_found(what + &hint, Missing::Snapshot)
}

/// Whether two names could be meant to be the same: equal but for case and separators, with a few typing errors, or one
/// inside the other, or the same user, host or path.
fn alike(a: &str, b: &str) -> bool {
    let fold = |s: &str| -> String {
        s.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
    };
    let (x, y) = (fold(a), fold(b));
    if x.is_empty() || y.is_empty() {
        return false;
    }
    let part = |s: &str, n: usize| s.split(['@', ':']).nth(n).map(fold).filter(|p| !p.is_empty());
    let same = |n| part(a, n).is_some() && part(a, n) == part(b, n);
    x.contains(&y)
        || y.contains(&x)
        || is_mistyped(&x, &y)
        || (a.contains('@') && b.contains('@') && (same(0) || same(1)))
}

/// Whether a third of the letters at most, and three of them, would have to be typed otherwise; two that changed places
/// are two. Long names are not compared: that would take long for what nobody types.
fn is_mistyped(a: &str, b: &str) -> bool {
    let (a, b) = (Vec::from_iter(a.chars()), Vec::from_iter(b.chars()));
    let most = a.len().min(b.len()).saturating_add(1) / 3;
    let most = most.min(3);
    if a.len().max(b.len()) > 100 || a.len().abs_diff(b.len()) > most {
        return false;
    }
    // Levenshtein's distance, row by row.
    let mut row = Vec::from_iter(0..=b.len());
    for (i, x) in a.iter().enumerate() {
        let mut above_left = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let above = row[j + 1];
            row[j + 1] = (above_left + usize::from(x != y)).min(above + 1).min(row[j] + 1);
            above_left = above;
        }
    }
    row[b.len()] <= most
}

/// The source with the longest path that `wanted` lies in, and what is left of the path.
fn longest_parent(snapshots: &Snapshots, wanted: &Source) -> Option<(Source, Vec<String>)> {
    let same = |s: &&Source| s.user == wanted.user && s.host == wanted.host;
    let sources = snapshots.by_source().into_keys().filter(same);
    let parent = sources.filter(|s| below(&s.path, &wanted.path).is_some()).max_by_key(|s| s.path.len())?;
    Some((parent.clone(), below(&parent.path, &wanted.path)?))
}

/// The names that are left of `path` below `parent`; `None` when it is not below. In paths of Windows either slash
/// separates.
fn below(parent: &str, path: &str) -> Option<Vec<String>> {
    let either = is_windows(parent);
    let even = |text: &str| if either { text.replace('\\', "/") } else { text.to_owned() };
    let (parent, path) = (even(parent), even(path));
    // After an ID such a path comes with a slash before its drive.
    let path = path.strip_prefix('/').filter(|_| either && !parent.starts_with('/')).unwrap_or(&path);
    let rest = path.strip_prefix(parent.trim_end_matches('/'))?;
    (rest.is_empty() || rest.starts_with('/')).then(|| components(rest))
}

fn components(path: &str) -> Vec<String> {
    path.split('/').filter(|c| !c.is_empty()).map(str::to_owned).collect()
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

    #[test]
    fn names_that_could_be_meant() {
        for (a, b) in [
            ("Documents", "documents"),
            ("documents", "documnets"),
            ("my-photos", "my_photos"),
            ("photos", "photos-2026"),
            ("report.txt", "reprot.txt"),
            ("media", "medai"),
            ("me@nas:/data", "me@naz:/dta"),
        ] {
            assert!(alike(a, b) && alike(b, a), "{a} {b}");
        }
        for (a, b) in [("cat", "dog"), ("music", "photos"), ("a", "b"), ("--", "x")] {
            assert!(!alike(a, b), "{a} {b}");
        }
    }

    #[test]
    fn paths_below_a_parent() {
        let below = |parent, path| below(parent, path).map(|names| names.join("|"));
        assert_eq!(below("/data", "/data/a/b").as_deref(), Some("a|b"));
        assert_eq!(below("/data", "/data/").as_deref(), Some(""));
        assert_eq!(below("/data/", "/data").as_deref(), Some(""));
        assert_eq!(below("/data", "/database"), None);
        assert_eq!(below("/", "/a").as_deref(), Some("a"));
        for path in ["C:\\Users\\me\\a\\b", "C:\\Users\\me/a/b", "C:/Users/me/a/b"] {
            assert_eq!(below("C:\\Users\\me", path).as_deref(), Some("a|b"), "{path}");
        }
        assert_eq!(below("/data", "/data/a\\b").as_deref(), Some("a\\b"));
    }
}
