//! Keeps which contents and objects of a set cannot be read, and why.

use std::collections::HashMap;

use rekopia_format::{ContentId, ObjectId};

use super::bits::Bits;
use crate::error::{Error, ErrorKind};

/// The contents, objects and entries that cannot be read.
#[derive(Debug)]
pub(crate) struct Damage {
    /// The damaged contents, by their number in the index.
    bad: Bits,
    /// Packed bytes of the damaged contents that hold file data.
    pub(crate) data_bytes: u64,
    pub(crate) data_contents: u64,
    /// The reasons, for the first contents.
    why: HashMap<u32, Error>,
    /// The damaged objects that are no single content.
    objects: HashMap<ObjectId, Error>,
    /// Entries that are wrong in themselves, or need a content that the index does not have.
    entries: u64,
}

/// Reasons that are kept.
const KEPT: usize = 1000;

impl Damage {
    /// Makes an empty list for an index with `len` contents.
    pub(crate) fn new(len: usize) -> Self {
        Damage {
            bad: Bits::new(len),
            data_bytes: 0,
            data_contents: 0,
            why: HashMap::new(),
            objects: HashMap::new(),
            entries: 0,
        }
    }

    /// Takes note of a content that cannot be read.
    pub(crate) fn content(&mut self, number: u32, why: Error) {
        if self.bad.set(number) && self.why.len() < KEPT {
            self.why.insert(number, why);
        }
    }

    /// Takes note of a content of file data that cannot be read.
    pub(crate) fn data(&mut self, number: u32, packed_bytes: u64, why: Error) {
        self.data_bytes += packed_bytes;
        self.data_contents += 1;
        self.content(number, why);
    }

    /// Takes note of an object of several contents that cannot be read.
    pub(crate) fn object(&mut self, object: ObjectId, why: Error) {
        self.objects.insert(object, why);
    }

    /// Takes note of an entry that cannot be restored, whatever can be read.
    pub(crate) fn entry(&mut self) {
        self.entries += 1;
    }

    /// Whether anything at all is damaged.
    pub(crate) fn is_empty(&self) -> bool {
        self.bad.count() == 0 && self.objects.is_empty() && self.entries == 0
    }

    /// Returns why a content cannot be read; `None`: it can, or nobody has tried.
    pub(crate) fn of_content(&self, number: u32, id: &ContentId) -> Option<Error> {
        let unread = || Error::new(ErrorKind::Corrupt, "cannot be read").of_content(id);
        self.bad.has(number).then(|| self.why.get(&number).map_or_else(unread, Error::again))
    }

    /// Returns why an object of several contents cannot be read.
    pub(crate) fn of_object(&self, object: &ObjectId) -> Option<Error> {
        self.objects.get(object).map(Error::again)
    }
}
