//! Counts what the threads of a verification find out about contents.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use rekopia_blob::BlobId;
use rekopia_format::ContentId;

use super::damage::Damage;
use super::ranges::Ranges;
use crate::error::{Error, ErrorKind};
use crate::observer::Cancel;
use crate::repository::index::Location;
use crate::restore::ledger::Ledger;

/// A content that is read, and what has to be right about it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part {
    /// The number of the content in the table of the index.
    pub(crate) number: u32,
    /// Bytes of the object that the content holds compressed as a whole, if it does.
    pub(crate) whole: Option<u64>,
}

/// A content that was not right the first time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Suspect {
    pub(crate) id: ContentId,
    pub(crate) location: Location,
    pub(crate) part: Part,
}

/// The results so far; shared by the threads.
pub(crate) struct Tally {
    pub(crate) ledger: Arc<Ledger>,
    /// The flag that ends the reading: when it is set nothing more is read.
    pub(crate) stop: Cancel,
    found: Mutex<Found>,
}

/// The results of a verification.
pub(crate) struct Found {
    pub(crate) damage: Damage,
    /// The ranges that were right, by the name of their pack.
    pub(crate) right: HashMap<BlobId, Ranges>,
    /// The contents that were not right, with the name of their pack.
    pub(crate) wrong: Vec<(BlobId, Suspect)>,
    /// The contents that are read once more.
    pub(crate) suspects: Vec<Suspect>,
    /// Number of contents that were right.
    pub(crate) contents: u64,
    pub(crate) packed_bytes: u64,
    pub(crate) plain_bytes: u64,
    /// Contents in a row that the storage did not give.
    refused: u32,
    /// The reason why nothing more was tried.
    pub(crate) fatal: Option<Error>,
}

/// Contents that are read once more at most; more is damage.
const SUSPECTS: usize = 1 << 16;
/// Contents in a row that the storage does not give before it is taken to be away.
const REFUSED: u32 = 256;

impl Tally {
    pub(crate) fn new(damage: Damage, ledger: &Arc<Ledger>, stop: &Cancel) -> Self {
        let found = Found {
            damage,
            right: HashMap::new(),
            wrong: Vec::new(),
            suspects: Vec::new(),
            contents: 0,
            packed_bytes: 0,
            plain_bytes: 0,
            refused: 0,
            fatal: None,
        };
        Tally { ledger: Arc::clone(ledger), stop: stop.clone(), found: Mutex::new(found) }
    }

    /// Takes note of a content that was read and is right.
    pub(crate) fn right(&self, pack: &BlobId, location: &Location) {
        let packed = u64::from(location.packed.packed_len);
        self.with(|found| {
            found.refused = 0;
            found.contents += 1;
            found.packed_bytes += packed;
            found.plain_bytes += u64::from(location.packed.original_len);
            match found.right.get_mut(pack) {
                Some(ranges) => ranges.add(location.range()),
                None => found.right.entry(pack.clone()).or_default().add(location.range()),
            }
        });
        self.progress(packed);
    }

    /// Takes note of a content that is not right; `may_retry`: it is read once more at the end.
    pub(crate) fn wrong(&self, pack: &BlobId, suspect: Suspect, why: Error, may_retry: bool) {
        let is_away = why.kind() == ErrorKind::Storage;
        let packed = u64::from(suspect.location.packed.packed_len);
        let is_known = self.with(|found| {
            found.refused = if is_away { found.refused + 1 } else { 0 };
            if found.refused >= REFUSED && found.fatal.is_none() {
                found.fatal = Some(why.again());
                self.stop.cancel();
            }
            if may_retry && !is_away && found.suspects.len() < SUSPECTS {
                found.suspects.push(suspect);
                return false;
            }
            found.wrong.push((pack.clone(), suspect));
            found.damage.data(suspect.part.number, packed, why);
            true
        });
        if is_known {
            Ledger::add(&self.ledger.failed, 1);
            self.progress(packed);
        }
    }

    /// Takes the contents that are to be read once more.
    pub(crate) fn take_suspects(&self) -> Vec<Suspect> {
        self.with(|found| std::mem::take(&mut found.suspects))
    }

    /// Ends the counting; returns the results.
    pub(crate) fn into_found(self) -> Found {
        self.found.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn progress(&self, packed_bytes: u64) {
        Ledger::add(&self.ledger.done_bytes, packed_bytes);
        Ledger::add(&self.ledger.needed_bytes, packed_bytes);
    }

    fn with<T>(&self, f: impl FnOnce(&mut Found) -> T) -> T {
        f(&mut self.found.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
