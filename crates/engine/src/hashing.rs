//! Hashes a tree on the disk, with progress: after a restore, and when a receipt is checked.

use std::cell::RefCell;
use std::collections::HashSet;
use std::time::Instant;

use crate::limits::cores;
use crate::observer::{Cancel, Event, Observer, Pace, Progress};
use crate::sink::{DigestRoot, Digesting, Hashed, SinkError, TreeDigest, digest_tree};

/// How much there is to hash.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Known {
    pub(crate) entries: u64,
    pub(crate) files: u64,
    pub(crate) bytes: u64,
}

/// Hashes `root` but for `others`, on `threads` threads (0: as many as cores), and tells how far it is; `None`: hashing
/// was stopped. Blocks. `wanted`: directories of which the digests are wanted, besides those nearest to the root.
///
/// # Errors
/// When something of it cannot be read.
pub(crate) fn hash_tree(
    root: DigestRoot,
    others: &[Vec<u8>],
    wanted: &HashSet<Vec<u8>>,
    threads: usize,
    known: Known,
    stop: &Cancel,
    observer: &dyn Observer,
) -> Result<Option<TreeDigest>, SinkError> {
    let pace = RefCell::new(Pace::default());
    let tick = |hashed: &Hashed| {
        let (bytes, files) = (Hashed::get(&hashed.bytes), Hashed::get(&hashed.files));
        let total_bytes = known.bytes.max(bytes);
        let rate = pace.borrow_mut().rate(Instant::now(), bytes);
        let entries = files + Hashed::get(&hashed.directories) + Hashed::get(&hashed.symlinks);
        observer.event(Event::Progress(Progress {
            entries,
            total_entries: known.entries.max(entries),
            files,
            total_files: known.files.max(files),
            bytes,
            total_bytes,
            bytes_per_second: rate,
            eta_seconds: (total_bytes - bytes).checked_div(rate),
            ..Progress::default()
        }));
    };
    let threads = if threads > 0 { threads } else { cores() };
    let stop = || stop.is_cancelled();
    digest_tree(root, &Digesting { others, wanted, threads, stop: &stop, tick: &tick })
}
