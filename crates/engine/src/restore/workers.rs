//! Does the work of a worker thread: decodes the bytes of pack reads to plaintext, which [`super::write`] takes.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use rekopia_format::content::Error as ContentError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::clock::Stage;
use super::decode::{ContentDecoder, check_length};
use super::fetch::{Fetched, PackBytes, Target, lost_error};
use super::finish::Finisher;
use super::ledger::Ledger;
use super::plan::{PackRead, WantedContent};
use super::slot::{FileSlot, Folder};
use super::verify_source::Verifier;
use super::worker_threads::Work;
use super::write::Writer;
use crate::error::{Error, Result};
use crate::repository::contents::{Contents, corrupt};
use crate::repository::index::PackIdx;
use crate::sink::FidelityIssue;

/// The permit of an entry without data to wait for the workers; dropping it lets another one wait.
#[derive(Debug)]
pub(crate) struct WindowPermit(OwnedSemaphorePermit);

/// Entries without data that wait for the workers at most.
const QUEUED_ENTRIES: usize = 4096;

impl WindowPermit {
    /// Makes the permits of a pass.
    pub(crate) fn of_a_pass() -> Arc<Semaphore> {
        Arc::new(Semaphore::new(QUEUED_ENTRIES))
    }

    pub(crate) fn new(permit: OwnedSemaphorePermit) -> Self {
        WindowPermit(permit)
    }

    fn give_back(self) {
        drop(self.0);
    }
}

/// A job for a worker.
#[derive(Debug)]
pub(crate) enum Job {
    /// Bytes to decode, or contents that cannot be had.
    Fetched(Fetched),
    /// All entries of a directory are known; an empty one is created when it is finished.
    Listed(Arc<Folder>, WindowPermit),
    /// A pack read that is only counted.
    Planned(PackRead<Target>),
    /// All slices of a slot are known.
    Announced(Arc<FileSlot>, WindowPermit),
}

/// The workers of a pass: what all of their threads share.
pub(crate) struct Workers {
    pub(crate) contents: Contents,
    pub(crate) writer: Writer,
    pub(crate) finisher: Finisher,
    /// Whether the keyed hash of every content is recomputed.
    pub(crate) hash: bool,
    /// The contents that are tried once more; `None` when what fails has failed.
    pub(crate) again: Option<Mutex<Again>>,
}

/// Contents that are tried once more.
#[derive(Debug, Default)]
pub(crate) struct Again {
    pub(crate) contents: Vec<WantedContent<Target>>,
    /// Whether a pack was not there: a fresh index may know another.
    pub(crate) is_moved: bool,
}

/// The last worker of a run that was dropped leaves nothing half-written either.
impl Drop for Workers {
    fn drop(&mut self) {
        if self.writer.stop.is_cancelled() {
            self.abandon_unfinished();
        }
    }
}

/// A content that is being hashed.
struct Hashed {
    content: WantedContent<Target>,
    pack: PackIdx,
    /// Bytes of its plaintext.
    len: usize,
}

/// Contents that are tried once more at most; more is damage.
const MAX_AGAIN: usize = 1 << 20;

impl Work for Workers {
    type Job = Job;

    /// When the run is stopped nothing is decoded or written any more.
    fn work(&self, queue: impl IntoIterator<Item = Job>) {
        let mut decoder = ContentDecoder::default();
        // What is written is written from where it was decoded, so that it must be known to be right by then.
        let mut verifier = (self.hash && self.writer.destination.written().is_none())
            .then(|| Verifier::new(self.contents.opener.hash()))
            .flatten();
        let clock = &*self.writer.ledger.clock;
        let mut free = Instant::now();
        for job in queue {
            clock.add(Stage::Idle, free);
            match job {
                Job::Fetched(_) if self.writer.stop.is_cancelled() => {}
                Job::Fetched(Fetched::Bytes(bytes)) => self.write_all(bytes, &mut decoder, verifier.as_mut()),
                Job::Fetched(Fetched::Lost { contents, gone, error, pack }) => {
                    for content in contents {
                        self.lost(content, gone, |c| lost_error(c, &error, &pack));
                    }
                }
                Job::Listed(folder, permit) => {
                    self.finisher.child_done(&folder);
                    permit.give_back();
                }
                Job::Planned(read) => {
                    let targets = read.contents.iter().flat_map(|c| &c.targets);
                    targets.for_each(|target| self.slice_done(&target.slot));
                }
                Job::Announced(slot, permit) => {
                    self.slice_done(&slot);
                    permit.give_back();
                }
            }
            free = Instant::now();
        }
        if let Some(verifier) = verifier {
            verifier.finish(|hashed, is_right| self.verified(&hashed, is_right));
            clock.add(Stage::Decode, free);
        }
    }
}

impl Workers {
    fn write_all(
        &self,
        bytes: PackBytes,
        decoder: &mut ContentDecoder,
        mut verifier: Option<&mut Verifier<'_, Hashed>>,
    ) {
        let pack = bytes.read.pack;
        let clock = &*self.writer.ledger.clock;
        let mut started = Instant::now();
        bytes.each(|content, stored| {
            let Some(stored) = stored else {
                return self.lost(content, false, |_| Error::internal("a read is shorter than its range"));
            };
            Ledger::add(&self.writer.ledger.needed_bytes, stored.len() as u64);
            let whole = content.targets.first().filter(|target| target.compressed).map(|target| target.len);
            // An object-level stream is not what the id names.
            let verifier = verifier.as_mut().filter(|_| !content.targets.iter().any(|t| t.compressed));
            let hash = self.hash && verifier.is_none();
            let mut damaged = 0;
            let (id, packed) = (&content.content, &content.location.packed);
            let decoded =
                decoder.decode(&self.contents.opener, id, packed, whole, stored, hash, &mut damaged);
            let decoded = decoded.map(|decoded| decoded.object.unwrap_or(decoded.content));
            self.contents.repairs.note(self.contents.index.pack(pack), damaged);
            if let (Ok(plain), Some(verifier)) = (&decoded, verifier) {
                let (id, len) = (content.content, plain.len());
                let hashed = Hashed { content, pack, len };
                verifier.push(id, plain, hashed, |hashed, is_right| self.verified(&hashed, is_right));
                started = clock.add(Stage::Decode, started);
                return;
            }
            started = clock.add(Stage::Decode, started);
            self.deliver(&content, pack, decoded);
            started = clock.add(Stage::Write, started);
        });
    }

    /// Gives a content to all that want it.
    fn deliver(&self, content: &WantedContent<Target>, pack: PackIdx, decoded: Result<&[u8]>) {
        match decoded {
            Ok(plain) => {
                for target in &content.targets {
                    let written = check_length(target, plain.len(), content)
                        .and_then(|()| self.writer.write(target, plain));
                    self.done(target, written);
                }
            }
            Err(e) => self.damaged(content, pack, e),
        }
    }

    /// Takes note of a content that nobody writes, whose hash is known now.
    fn verified(&self, hashed: &Hashed, is_right: bool) {
        let Hashed { content, pack, len } = hashed;
        if !is_right {
            return self.damaged(content, *pack, corrupt(ContentError::Hash, &content.content));
        }
        for target in &content.targets {
            self.done(target, check_length(target, *len, content).map(|()| Vec::new()));
        }
    }

    /// Asks once more for bytes that are not what they should be: they may have been damaged on their way.
    fn damaged(&self, content: &WantedContent<Target>, pack: PackIdx, error: Error) {
        if error.is_bad_data() && self.keeps(content, false) {
            self.contents.blobs.distrust(self.contents.index.pack(pack));
            return;
        }
        let error = Arc::new(error.in_pack(self.contents.index.pack(pack)));
        for target in &content.targets {
            target.slot.fail(error.again(), false);
            self.slice_done(&target.slot);
        }
    }

    /// Ends a slice: the content is where it is wanted, but for these attributes, or cannot be there.
    fn done(&self, target: &Target, written: Result<Vec<FidelityIssue>>) {
        match written {
            Ok(issues) => {
                self.finisher.unset(issues);
                Ledger::add(&self.writer.ledger.done_bytes, target.len);
            }
            Err(e) => target.slot.fail(e, false),
        }
        self.slice_done(&target.slot);
    }

    /// Counts one slice less to wait for; with the last one the entry ends.
    fn slice_done(&self, slot: &Arc<FileSlot>) {
        if let Some(end) = self.writer.slice_done(slot) {
            self.finisher.end(slot, end);
        }
    }

    /// Gives up what is half-written.
    pub(crate) fn abandon_unfinished(&self) {
        self.writer.abandon_unfinished(|slot| self.finisher.half_changed(slot));
    }

    /// Keeps contents that cannot be had for another try, or fails everything that wants them.
    fn lost(
        &self,
        content: WantedContent<Target>,
        gone: bool,
        error: impl Fn(&WantedContent<Target>) -> Error,
    ) {
        if gone && self.keeps(&content, true) {
            return;
        }
        for target in &content.targets {
            target.slot.fail(error(&content), false);
            self.slice_done(&target.slot);
        }
    }

    /// Whether a content is tried once more.
    fn keeps(&self, content: &WantedContent<Target>, is_moved: bool) -> bool {
        let Some(again) = &self.again else { return false };
        let mut again = again.lock().unwrap_or_else(PoisonError::into_inner);
        let has_room = again.contents.len() < MAX_AGAIN;
        if has_room {
            again.contents.push(content.clone());
            again.is_moved |= is_moved;
        }
        has_room
    }
}
