//! Makes records of entries and digests of directories, as docs/receipt.md defines them (pure).

use std::collections::{BTreeMap, HashMap, HashSet};

use sha2::{Digest, Sha256};

/// A SHA-256 digest.
pub(super) type Hash = [u8; 32];

/// The attributes that a record says of an entry, but for its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) kind: Kind,
    /// Permission bits, with setuid, setgid and sticky.
    pub(super) mode: u32,
    /// The modification time, in nanoseconds since 1970.
    pub(super) mtime_ns: i64,
    /// The bytes of a file, or of the path that a link leads to.
    pub(super) size: u64,
    /// The digest of those bytes, or of the records of a directory.
    pub(super) hash: Hash,
}

/// The kind of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Directory,
    Link,
    /// A device, socket or pipe: no restore makes one.
    Special,
}

impl Entry {
    /// Returns the entry's record.
    pub(super) fn record(&self, name: &[u8]) -> Vec<u8> {
        self.written(name, &hex(&self.hash))
    }

    /// Returns the record in the digest of a directory's own entries: what is below a directory does not show.
    fn own_record(&self, name: &[u8]) -> Vec<u8> {
        match self.kind {
            Kind::Directory => self.written(name, "-"),
            _ => self.record(name),
        }
    }

    fn written(&self, name: &[u8], hash: &str) -> Vec<u8> {
        let Entry { mode, mtime_ns, size, .. } = self;
        let head = match self.kind {
            Kind::File => format!("f {mode:04o} {mtime_ns} {size} {hash} "),
            Kind::Directory => format!("d {mode:04o} {mtime_ns} - {hash} "),
            Kind::Link => format!("l - {mtime_ns} {size} {hash} "),
            Kind::Special => format!("o {mode:04o} {mtime_ns} - - "),
        };
        let mut record = head.into_bytes();
        record.extend_from_slice(name);
        record.push(0);
        record
    }
}

/// The digests of one directory, as its records come.
#[derive(Debug, Default)]
pub(super) struct Records {
    all: Sha256,
    own: Sha256,
}

impl Records {
    /// Takes the next entry, in byte order of the names.
    pub(super) fn push(&mut self, name: &[u8], entry: &Entry) {
        self.all.update(entry.record(name));
        self.own.update(entry.own_record(name));
    }

    /// Returns the digest of all that is below, and that of the directory's own entries.
    pub(super) fn finish(self) -> (Hash, Hash) {
        (self.all.finalize().into(), self.own.finalize().into())
    }
}

/// Digests of directories that are kept: those nearest to the root, and those that were asked for by path.
#[derive(Debug, Default)]
pub(super) struct Kept<'a> {
    nearest: BTreeMap<(usize, Vec<u8>), (Hash, Hash)>,
    asked: HashMap<Vec<u8>, (Hash, Hash)>,
    wanted: Option<&'a HashSet<Vec<u8>>>,
}

/// Number of the nearest directories that are kept.
pub(crate) const NEAREST: usize = 1000;
/// Bytes of a path at most; digests of longer ones are not kept.
const LONGEST_PATH: usize = 4096;

impl<'a> Kept<'a> {
    pub(super) fn new(wanted: &'a HashSet<Vec<u8>>) -> Self {
        Kept { wanted: Some(wanted), ..Kept::default() }
    }

    /// Takes a directory's digests; it lies `depth` directories below the root.
    pub(super) fn push(&mut self, depth: usize, path: &[u8], digests: (Hash, Hash)) {
        if path.len() > LONGEST_PATH {
            return;
        }
        if self.wanted.is_some_and(|wanted| wanted.contains(path)) {
            self.asked.insert(path.to_owned(), digests);
        }
        self.nearest.insert((depth, path.to_owned()), digests);
        if self.nearest.len() > NEAREST {
            self.nearest.pop_last();
        }
    }

    /// Returns path and digests of each directory, breadth first.
    pub(super) fn finish(mut self) -> Vec<(Vec<u8>, (Hash, Hash))> {
        self.nearest.extend(self.asked.into_iter().map(|(path, digests)| ((depth(&path), path), digests)));
        self.nearest.into_iter().map(|((_, path), digests)| (path, digests)).collect()
    }
}

/// Returns the number of directories between the root and what is at `path`, itself included.
pub(crate) fn depth(path: &[u8]) -> usize {
    if path.is_empty() { 0 } else { 1 + path.iter().filter(|byte| **byte == b'/').count() }
}

/// Returns the digest in lower-case hexadecimal.
pub(super) fn hex(hash: &Hash) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |four: u8| char::from(DIGITS[usize::from(four & 15)]);
    hash.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_as_documented() {
        let mut entry = Entry { kind: Kind::File, mode: 0o644, mtime_ns: -1, size: 3, hash: [0xab; 32] };
        let hash = "ab".repeat(32);
        let of = |entry: &Entry| String::from_utf8(entry.record(b"a b")).unwrap();
        assert_eq!(of(&entry), format!("f 0644 -1 3 {hash} a b\0"));
        entry.kind = Kind::Directory;
        entry.mode = 0o4755;
        assert_eq!(of(&entry), format!("d 4755 -1 - {hash} a b\0"));
        assert_eq!(String::from_utf8(entry.own_record(b"")).unwrap(), "d 4755 -1 - - \0");
        entry.kind = Kind::Link;
        assert_eq!(of(&entry), format!("l - -1 3 {hash} a b\0"));
        entry.kind = Kind::Special;
        assert_eq!(of(&entry), "o 4755 -1 - - a b\0");
    }

    #[test]
    fn the_nearest_are_kept_breadth_first_and_what_was_asked_for() {
        let wanted = HashSet::from([b"z/z/z".to_vec()]);
        let mut kept = Kept::new(&wanted);
        for n in 0..NEAREST {
            kept.push(2, format!("a/{n:04}").as_bytes(), ([0; 32], [0; 32]));
        }
        for path in ["z/z/z", "a", "b", "", &"long/".repeat(1000)] {
            kept.push(depth(path.as_bytes()), path.as_bytes(), ([1; 32], [1; 32]));
        }
        let paths: Vec<_> =
            kept.finish().into_iter().map(|(path, _)| String::from_utf8(path).unwrap()).collect();
        assert_eq!(paths[..4], ["", "a", "b", "a/0000"]);
        assert_eq!(paths[NEAREST - 1..], ["a/0996", "z/z/z"]);
    }
}
