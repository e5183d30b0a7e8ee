//! Knows Kopia's tree of folders (§1.3), for all storages that have folders: where a blob is, what a listing means.
//!
//! The walk itself does no I/O: providers bring the members of folders and are told which ones to look into.

use std::collections::HashSet;
use std::sync::OnceLock;

use rekopia_format::BlobId;
use rekopia_format::sharding::{Error, Sharding, may_contain};

use super::names::{FORMAT_BLOB, is_blob, is_surely_blob, may_begin, not_a_file};
use super::shape::Shape;
use crate::error::{BlobError, BlobErrorKind};
use crate::reader::BlobInfo;

/// The layout of a repository: where its blobs are.
#[derive(Debug)]
pub(crate) struct Layout {
    sharding: Sharding,
    /// Whether nothing in the storage says so: a lost `.shards` can be made up for by looking.
    guessed: bool,
    /// The layout as seen in the storage, looked up once when a blob is not where `sharding` says.
    seen: OnceLock<Option<Sharding>>,
}

impl Layout {
    /// Reads the layout from the text of `.shards`, if there is one; else takes `dir_shards`, which Kopia's
    /// configuration names for repositories without it.
    pub(crate) fn parse(shards: Option<&[u8]>, dir_shards: Option<&[usize]>) -> Result<Self, Error> {
        let (sharding, guessed) = match (shards, dir_shards) {
            (Some(text), _) => (Sharding::parse(text)?, false),
            (None, Some(lens)) => (Sharding::with_default(lens), true),
            (None, None) => (Sharding::legacy(), true),
        };
        Ok(Layout { sharding, guessed, seen: OnceLock::new() })
    }

    /// Returns the layout that can be seen, where `.shards` cannot be understood.
    pub(crate) fn instead(broken: Error, seen: Option<Sharding>, place: &str) -> Result<Self, BlobError> {
        let Some(sharding) = seen else {
            let what = format!("{place}/.shards cannot be understood");
            return Err(BlobError::new(BlobErrorKind::Damaged, what).because(broken));
        };
        tracing::warn!("{place}/.shards: {broken}; using the layout found in the folders");
        Ok(Layout { sharding, guessed: true, seen: OnceLock::new() })
    }

    /// Returns the path of a blob below the root.
    pub(crate) fn path(&self, id: &BlobId) -> String {
        self.seen.get().and_then(Option::as_ref).unwrap_or(&self.sharding).path(id)
    }

    /// Whether a look is worth it when a blob is not where it should be.
    pub(crate) fn is_unseen(&self) -> bool {
        self.guessed && self.seen.get().is_none()
    }

    /// Takes note of what a look at the folders has shown. Somebody else may have looked as well, and seen the same.
    pub(crate) fn saw(&self, seen: Option<Sharding>) {
        let _ = self.seen.set(seen);
    }

    /// Returns another path for a blob that is not at `path`: where the layout that was seen has it.
    pub(crate) fn elsewhere(&self, id: &BlobId, path: &str) -> Option<String> {
        Some(self.path(id)).filter(|other| self.guessed && other != path)
    }
}

/// A folder to look into.
#[derive(Debug, Clone, Default)]
pub(crate) struct Folder {
    /// The path below the root; empty, or ends with `/`.
    pub(crate) path: String,
    /// The beginning of all names that are looked for here: other members need not be listed.
    #[allow(dead_code, reason = "only buckets can be asked for less than a whole folder")]
    pub(crate) starts: String,
    /// The start of the names of blobs below it.
    name: String,
}

impl Folder {
    /// Whether the folder is the root, which has to be there.
    pub(crate) fn is_root(&self) -> bool {
        self.path.is_empty()
    }
}

/// The point at which a walk ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Until {
    End,
    FirstBlob,
    /// The walk ends at the first blob whose name is long enough to be cut into folders.
    FirstLong,
}

/// A walk through the tree: names are the concatenated path components, so no layout is needed.
#[derive(Debug)]
pub(crate) struct Walk<'a> {
    prefixes: &'a [&'a str],
    until: Until,
    folders: Vec<Folder>,
    found: Vec<BlobInfo>,
    seen: Option<Sharding>,
    /// Whether names count without `.f`, too.
    anywhere: bool,
    /// Whether some name was a blob's but for its `.f`.
    strays: bool,
    /// The layouts in which a walk anywhere found something.
    shapes: Vec<Shape>,
    /// Names found so far, of a walk anywhere: a blob may lie in two layouts.
    names: HashSet<BlobId>,
}

/// Layouts that one walk takes note of.
const MAX_SHAPES: usize = 8;
/// The longest name that a blob has.
const MAX_NAME: usize = 512;
/// Families of blobs with long names: packs and indexes, and every repository has some.
const LONG_BLOBS: &[&str] = &["p", "q", "n", "x"];
/// The length up to which names are not cut, whatever the layout.
const MAX_UNCUT: usize = 20;

impl<'a> Walk<'a> {
    /// Makes a walk to all blobs whose names start with one of `prefixes`.
    pub(crate) fn all(prefixes: &'a [&'a str]) -> Self {
        let mut walk = Walk {
            prefixes,
            until: Until::End,
            folders: Vec::new(),
            found: Vec::new(),
            seen: None,
            anywhere: false,
            strays: false,
            shapes: Vec::new(),
            names: HashSet::new(),
        };
        walk.folders.push(Folder { starts: walk.starts(""), ..Folder::default() });
        walk
    }

    /// Makes a walk for the same blobs, from the beginning.
    pub(crate) fn again(&self) -> Self {
        Walk { until: self.until, ..Walk::all(self.prefixes) }
    }

    /// Makes this a walk in every layout that a storage may have, which finds each blob once.
    #[must_use]
    pub(crate) fn anywhere(mut self) -> Self {
        self.anywhere = true;
        self
    }

    /// Makes a walk to the format blob, in whatever layout.
    pub(crate) fn format_blob() -> Walk<'static> {
        Walk { until: Until::FirstBlob, ..Walk::all(&[FORMAT_BLOB]).anywhere() }
    }

    /// Makes a walk to any one of the blobs whose names start with one of `prefixes`.
    pub(crate) fn any(prefixes: &'a [&'a str]) -> Self {
        Walk { until: Until::FirstBlob, ..Walk::all(prefixes) }
    }

    /// Makes a walk that finds the layout which the folders of packs and indexes show.
    pub(crate) fn layout() -> Walk<'static> {
        Walk { until: Until::FirstLong, ..Walk::all(LONG_BLOBS) }
    }

    /// Returns the folder to look into next; `None` when there is none for now.
    pub(crate) fn next(&mut self) -> Option<Folder> {
        if self.is_over() { None } else { self.folders.pop() }
    }

    /// Returns the blob whose name a folder has that only a blob can have: the blob is there, and cannot be read.
    fn misplaced(&mut self, whole: &str) -> Option<BlobId> {
        let id = whole.strip_suffix(".f").or(self.anywhere.then_some(whole));
        let id = id.filter(|id| self.prefixes.iter().any(|p| id.starts_with(p)))?;
        let id = BlobId::parse(id).ok().filter(|id| self.until != Until::FirstLong && is_surely_blob(id))?;
        (!self.anywhere || self.names.insert(id.clone())).then_some(id)
    }

    /// Takes note of a member of `folder`. `info` is asked about wanted blobs only; it says `None` of one that is gone.
    pub(crate) fn meet(
        &mut self,
        folder: &Folder,
        name: &str,
        is_folder: bool,
        info: impl FnOnce(BlobId) -> Result<Option<BlobInfo>, BlobError>,
    ) -> Result<(), BlobError> {
        if self.is_over() || matches!(name, "" | "." | "..") || name.contains('/') {
            return Ok(());
        }
        let whole = format!("{}{name}", folder.name);
        if is_folder && let Some(id) = self.misplaced(&whole) {
            self.found.push(not_a_file(id));
            return Ok(());
        }
        if is_folder {
            let wanted = self.prefixes.iter().any(|prefix| may_contain(&whole, prefix));
            if wanted && whole.len() <= MAX_NAME && may_begin(&whole) {
                let starts = self.starts(&whole);
                self.folders.push(Folder { path: format!("{}{name}/", folder.path), starts, name: whole });
            }
            return Ok(());
        }
        let stripped = whole.strip_suffix(".f");
        self.strays |=
            stripped.is_none() && is_blob(&whole) && self.prefixes.iter().any(|p| whole.starts_with(p));
        let id = stripped.or(self.anywhere.then_some(whole.as_str()));
        let id = id.filter(|id| is_blob(id) && self.prefixes.iter().any(|p| id.starts_with(p)));
        let Some(Ok(id)) = id.map(BlobId::parse) else { return Ok(()) };
        if self.anywhere {
            let lens = folder.path.split_terminator('/').map(str::len).collect();
            let shape = Shape { lens, suffix: stripped.is_some() };
            if self.shapes.len() < MAX_SHAPES && !self.shapes.contains(&shape) {
                self.shapes.push(shape);
            }
        }
        if self.until != Until::FirstLong {
            if !self.anywhere || self.names.insert(id.clone()) {
                self.found.extend(info(id)?);
            }
        } else if Self::is_long(&id) {
            let lens: Vec<usize> = folder.path.split_terminator('/').map(str::len).collect();
            self.seen = Some(Sharding::with_default(&lens));
        }
        Ok(())
    }

    /// Returns the first letter of what is looked for below a folder whose names so far make up `name`, where there is
    /// only one.
    fn starts(&self, name: &str) -> String {
        let mut letters = self.prefixes.iter().map(|prefix| {
            let rest = if name.len() < prefix.len() { &prefix[name.len()..] } else { "" };
            rest.chars().next()
        });
        match (letters.next().flatten(), letters.next()) {
            (Some(letter), None) => letter.to_string(),
            _ => String::new(),
        }
    }

    /// Whether there are blobs without the suffix of a tree, as in a bucket: what was found is not all.
    pub(crate) fn has_strays(&self) -> bool {
        self.strays && !self.anywhere
    }

    /// Whether a name of this length is cut into folders.
    pub(crate) fn is_long(id: &BlobId) -> bool {
        id.as_str().len() > MAX_UNCUT
    }

    /// Returns the layouts that a walk anywhere has met.
    pub(crate) fn shapes(&self) -> &[Shape] {
        &self.shapes
    }

    /// Whether something was found.
    pub(crate) fn has_found(&self) -> bool {
        !self.found.is_empty()
    }

    /// Returns the blobs that were found.
    pub(crate) fn found(self) -> Vec<BlobInfo> {
        self.found
    }

    /// Returns the layout that was seen.
    pub(crate) fn seen(self) -> Option<Sharding> {
        self.seen
    }

    /// Whether the walk has found what it was for.
    pub(crate) fn is_over(&self) -> bool {
        match self.until {
            Until::End => false,
            Until::FirstBlob => !self.found.is_empty(),
            Until::FirstLong => self.seen.is_some(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn met(walk: &mut Walk<'_>, names: &[(&str, bool)]) {
        let folder = walk.next().unwrap();
        for (name, is_folder) in names {
            let info = |id| Ok(Some(BlobInfo { id, len: 1, modified: rekopia_format::Time::default() }));
            walk.meet(&folder, name, *is_folder, info).unwrap();
        }
    }

    #[test]
    fn names_that_lead_elsewhere_are_not_followed() {
        let mut walk = Walk::all(&[""]);
        met(
            &mut walk,
            &[("..", true), (".", true), ("", true), ("a/b", true), ("p/x.f", false), ("..f", false)],
        );
        assert!(walk.next().is_none());
        assert_eq!(walk.found().iter().map(|b| b.id.as_str()).collect::<Vec<_>>(), Vec::<&str>::new());
    }

    #[test]
    fn only_folders_that_can_hold_the_prefix_are_looked_into() {
        let mut walk = Walk::all(&["xn0_"]);
        met(&mut walk, &[("p", true), ("x", true), ("xe1.f", false)]);
        met(&mut walk, &[("n0_", true), ("e12", true)]);
        met(&mut walk, &[("abc.f", false), ("abc.f.tmp.1", false), ("._abc.f", false), ("abc (1).f", false)]);
        assert!(walk.next().is_none());
        assert_eq!(walk.found()[0].id.as_str(), "xn0_abc");
    }

    #[test]
    fn anywhere_a_blob_is_listed_once_however_it_lies() {
        let mut walk = Walk::all(&["p"]).anywhere();
        let rest = "11ac55c280560319f34a78147f19e-s656fecf95845c101147";
        let (bare, file) = (format!("p814{rest}"), format!("{rest}.f"));
        met(&mut walk, &[(&bare, false), ("p", true), ("p81", true), ("pictures", false), ("._p", true)]);
        met(&mut walk, &[("4", true)]);
        met(&mut walk, &[(&file, false)]);
        met(&mut walk, &[("814", true)]);
        met(&mut walk, &[(rest, false)]);
        assert!(walk.next().is_none());
        let shapes: Vec<_> = walk.shapes().iter().map(|s| (s.lens.clone(), s.suffix)).collect();
        assert_eq!(shapes, [(vec![], false), (vec![3, 1], true), (vec![1, 3], false)]);
        assert_eq!(walk.found().len(), 1);
    }

    #[test]
    fn the_layout_is_seen_at_the_first_long_name() {
        let mut walk = Walk::layout();
        met(&mut walk, &[("kopia.repository.f", false), ("p", true), ("_lo", true)]);
        met(&mut walk, &[("814", true)]);
        met(&mut walk, &[("11ac55c280560319f34a78147f19e-s656fecf95845c101147.f", false)]);
        assert!(walk.next().is_none());
        assert_eq!(walk.seen(), Some(Sharding::with_default(&[1, 3])));
    }
}
