//! Does the work of a verification's threads: finds out of the bytes of a pack which contents are right.

use std::sync::Arc;
use std::time::Instant;

use rekopia_format::BlobId;
use rekopia_format::content::Error as ContentError;

use super::tally::{Part, Suspect, Tally};
use crate::error::{Error, Result};
use crate::repository::contents::{Contents, corrupt};
use crate::restore::clock::Stage;
use crate::restore::decode::{ContentDecoder, decode_whole};
use crate::restore::fetch::{Fetched, PackBytes, lost_error};
use crate::restore::plan::WantedContent;
use crate::restore::verify_source::Verifier;
use crate::restore::worker_threads::Work;

/// The threads of a verification.
pub(crate) struct Checker {
    pub(crate) contents: Contents,
    pub(crate) tally: Arc<Tally>,
    /// Whether the keyed hash of every content is compared.
    pub(crate) hash: bool,
}

/// A content whose hash is not known yet.
type Hashed = (Suspect, BlobId);

impl Work for Checker {
    type Job = Fetched<Part>;

    fn work(&self, queue: impl IntoIterator<Item = Fetched<Part>>) {
        let mut decoder = ContentDecoder::default();
        let mut verifier = self.hash.then(|| Verifier::new(self.contents.opener.hash())).flatten();
        let clock = &*self.tally.ledger.clock;
        let mut free = Instant::now();
        for job in queue {
            let started = clock.add(Stage::Idle, free);
            match job {
                _ if self.tally.stop.is_cancelled() => {}
                Fetched::Bytes(bytes) => self.check_all(bytes, &mut decoder, verifier.as_mut()),
                Fetched::Lost { contents, error, pack, .. } => {
                    for content in &contents {
                        self.wrong(&pack, suspect(content), lost_error(content, &error, &pack));
                    }
                }
            }
            free = clock.add(Stage::Decode, started);
        }
        if let Some(verifier) = verifier {
            verifier.finish(|hashed, is_right| self.hashed(hashed, is_right));
        }
    }
}

impl Checker {
    fn check_all(
        &self,
        bytes: PackBytes<Part>,
        decoder: &mut ContentDecoder,
        mut verifier: Option<&mut Verifier<'_, Hashed>>,
    ) {
        let pack = self.contents.index.pack(bytes.read.pack).clone();
        bytes.each(|content, stored| {
            let suspect = suspect(&content);
            let Some(stored) = stored else {
                return self.wrong(&pack, suspect, Error::internal("a read is shorter than its range"));
            };
            let mut damaged = 0;
            let hashes = self.hash && verifier.is_none();
            let Suspect { id, location, part } = &suspect;
            let opener = &self.contents.opener;
            let decoded =
                decoder.decode(opener, id, &location.packed, part.whole, stored, hashes, &mut damaged);
            self.contents.repairs.note(&pack, damaged);
            match (decoded, &mut verifier) {
                (Ok(decoded), Some(verifier)) => {
                    let answer = |hashed, is_right| self.hashed(hashed, is_right);
                    verifier.push(suspect.id, decoded.content, (suspect, pack.clone()), answer);
                }
                (Ok(_), None) => self.tally.right(&pack, &suspect.location),
                (Err(e), _) => self.wrong(&pack, suspect, e.in_pack(&pack)),
            }
        });
    }

    fn hashed(&self, (suspect, pack): Hashed, is_right: bool) {
        match is_right {
            true => self.tally.right(&pack, &suspect.location),
            false => self.wrong(&pack, suspect, corrupt(ContentError::Hash, &suspect.id).in_pack(&pack)),
        }
    }

    fn wrong(&self, pack: &BlobId, suspect: Suspect, why: Error) {
        self.tally.wrong(pack, suspect, why, true);
    }
}

fn suspect(content: &WantedContent<Part>) -> Suspect {
    let part = content.targets.first().copied().unwrap_or(Part { number: u32::MAX, whole: None });
    Suspect { id: content.content, location: content.location, part }
}

/// Whether an object that was compressed as a whole can be decompressed, and is as long as recorded.
pub(crate) fn check_whole(suspect: &Suspect, plain: &[u8]) -> Result<()> {
    let Some(len) = suspect.part.whole else { return Ok(()) };
    decode_whole(plain, Some(len), len, &mut Vec::new()).map_err(|e| corrupt(e, &suspect.id))
}
