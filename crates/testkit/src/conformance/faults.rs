//! Breaks answers in passing, lies, hangs or refuses, and checks what a storage makes of that.
//!
//! Two promises hold whatever comes: bytes are the right ones or there is an error, and a listing is whole or there is an
//! error.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rekopia_blob::{BlobError, BlobErrorKind, BlobReader, Deadlines};

use super::lists::listed;
use super::reads::id;
use super::sample::{LARGE, MIDDLING, Sample};
use super::{Asked, hold, unknown, verdict};
use crate::server::faulty::Faulty;
use crate::server::lies::Lie;

pub use crate::server::faulty::Fault;

/// A storage behind a proxy that breaks its answers.
pub struct Broken {
    /// The storage, for messages.
    pub name: String,
    /// The proxy between the reader and the server.
    pub proxy: Faulty,
    /// The provider alone.
    pub bare: Arc<dyn BlobReader>,
    /// A second reader, with second tries.
    pub retried: Arc<dyn BlobReader>,
    /// The deadlines of both readers.
    pub deadlines: Deadlines,
    /// The blobs that the storage holds.
    pub sample: Arc<Sample>,
    /// The codes with which it says that a blob is missing, and that it refuses.
    pub codes: (&'static str, &'static str),
    /// Cases that it cannot do, each with the reason.
    pub cannot: Vec<(&'static str, &'static str)>,
}

/// A promise that holds in spite of faults, and how it is checked.
pub type FaultCase = (&'static str, for<'a> fn(&'a Broken) -> Asked<'a>);

/// All promises that need faults.
pub const FAULTS: &[FaultCase] = &[
    ("what fails in passing is transient, and a second try gets it", in_passing),
    ("a part is the one that was asked for, or an error", parts),
    ("a page of somebody else's is no blob", pages_of_others),
    ("missing and refused are told apart", told_apart),
    ("a listing is whole, or an error", listings),
    ("a listing that hides an entry is noticed", hidden_entries),
    ("a listing that never ends is given up", endless),
    ("a slow answer is an answer", slow),
    ("an answer that does not come is given up in time", hanging),
];

/// Asks all of [`FAULTS`].
///
/// # Panics
/// When something is not as it should be: with all that is not.
pub async fn survives(broken: &Broken) {
    let mut wrong = unknown(&broken.cannot, FAULTS.iter().map(|(name, _)| *name));
    for (name, case) in FAULTS {
        // What comes before the first blob (signing in, a layout) is not what is broken here.
        let mut ended = broken.is_well().await;
        if ended.is_ok() {
            ended = case(broken).await;
            let after = broken.is_well().await;
            ended = ended.and(after.map_err(|what| format!("afterwards: {what}")));
        }
        wrong.extend(verdict(name, ended, &broken.cannot));
    }
    assert!(wrong.is_empty(), "{} does not survive:\n{}", broken.name, wrong.join("\n"));
}

const PART: Range<u64> = 100..900;

/// A question to a storage.
#[derive(Debug, Clone, Copy)]
enum Ask {
    Part,
    Whole,
    Stat,
    List,
}

const ALL: [Ask; 4] = [Ask::Part, Ask::Whole, Ask::Stat, Ask::List];

impl Broken {
    /// Breaks only the request of this number, from 0.
    fn break_one(&self, number: usize, fault: Fault) {
        let count = AtomicUsize::new(0);
        self.proxy.break_answers(move |_| (count.fetch_add(1, Ordering::SeqCst) == number).then_some(fault));
    }

    async fn is_well(&self) -> Result<(), String> {
        self.proxy.break_answers(|_| None);
        self.proxy.delay(Duration::ZERO);
        for blobs in [&self.bare, &self.retried] {
            // The first request after a fault may be the one that finds a dead connection.
            let _ = self.ask(blobs, Ask::Part).await;
            for ask in ALL {
                self.ask(blobs, ask).await.map_err(|e| format!("{ask:?} without a fault: {e}"))?;
            }
        }
        Ok(())
    }

    /// Asks the storage; `Err(Wrong)`: the answer is not what is stored.
    async fn ask(&self, blobs: &Arc<dyn BlobReader>, ask: Ask) -> Result<(), Ended> {
        let stored = &self.sample.blobs[MIDDLING];
        let (found, wanted) = match ask {
            Ask::Part => {
                let found = blobs.read(&id(MIDDLING), Some(PART), Vec::new()).await?;
                (found, &stored[PART.start as usize..PART.end as usize])
            }
            Ask::Whole => (blobs.read(&id(MIDDLING), None, Vec::new()).await?, &stored[..]),
            Ask::Stat => {
                let stat = blobs.stat(&id(MIDDLING)).await?;
                let fine = stat.len == stored.len() as u64;
                return if fine { Ok(()) } else { Err(Ended::Wrong(format!("{stat:?}"))) };
            }
            Ask::List => {
                let mut found: Vec<(String, u64)> =
                    blobs.list("").await?.iter().map(|b| (b.id.to_string(), b.len)).collect();
                found.sort();
                let wanted = self.sample.beginning("");
                let what = || Ended::Wrong(format!("{} of {} names", found.len(), wanted.len()));
                return if found == wanted { Ok(()) } else { Err(what()) };
            }
        };
        if found == wanted { Ok(()) } else { Err(Ended::Wrong(format!("{} other bytes", found.len()))) }
    }

    /// Right, or an error that does not say that something is missing; with a second try right if `again`.
    async fn right_or_error(&self, ask: Ask, number: usize, fault: Fault, again: bool) -> Result<(), String> {
        let what = format!("{ask:?}, {fault:?} as answer {number}");
        self.break_one(number, fault);
        match self.ask(&self.bare, ask).await {
            Ok(()) => {}
            Err(Ended::Wrong(wrong)) => return Err(format!("{what}: {wrong}")),
            Err(Ended::Failed(e)) => {
                hold(!e.is_not_found(), || format!("{what}: {e}"))?;
                hold(!again || e.is_transient(), || format!("{what} is not transient: {e}"))?;
            }
        }
        self.break_one(number, fault);
        match self.ask(&self.retried, ask).await {
            Err(Ended::Failed(e)) if !again => hold(!e.is_not_found(), || format!("{what}, retried: {e}")),
            ended => ended.map_err(|e| format!("{what}, retried: {e}")),
        }
    }
}

/// The end of a question.
#[derive(Debug)]
enum Ended {
    Wrong(String),
    Failed(BlobError),
}

impl From<BlobError> for Ended {
    fn from(error: BlobError) -> Self {
        Ended::Failed(error)
    }
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Ended::Wrong(what) => f.write_str(what),
            Ended::Failed(e) => write!(f, "{:?}: {e}", e.kind()),
        }
    }
}

fn in_passing(b: &Broken) -> Asked<'_> {
    Box::pin(async move {
        let before = b.retried.usage().retries;
        for fault in
            [Fault::Status(503, "SlowDown"), Fault::Status(500, "InternalError"), Fault::Reset, Fault::Cut]
        {
            for ask in ALL {
                b.right_or_error(ask, 0, fault, true).await?;
            }
        }
        let retries = b.retried.usage().retries - before;
        hold(retries >= 8, || format!("only {retries} second tries are counted"))
    })
}

fn parts(b: &Broken) -> Asked<'_> {
    Box::pin(async move {
        for fault in
            [Fault::WrongRange, Fault::Lie(Lie::ShortPart), Fault::Lie(Lie::Half(50)), Fault::WholeBlob]
        {
            b.right_or_error(Ask::Part, 0, fault, false).await?;
        }
        b.right_or_error(Ask::Part, 0, Fault::Lie(Lie::Nothing), false).await
    })
}

fn pages_of_others(b: &Broken) -> Asked<'_> {
    Box::pin(async move {
        for ask in [Ask::Part, Ask::Whole, Ask::List] {
            b.right_or_error(ask, 0, Fault::Lie(Lie::Html), false).await?;
        }
        Ok(())
    })
}

fn told_apart(b: &Broken) -> Asked<'_> {
    Box::pin(async move {
        let (missing, refused) = b.codes;
        for (status, code, kind) in
            [(404, missing, BlobErrorKind::NotFound), (403, refused, BlobErrorKind::Denied)]
        {
            b.proxy.break_answers(move |_| Some(Fault::Status(status, code)));
            for ask in ALL {
                let what = format!("{ask:?}, {status} {code}");
                let e = match b.ask(&b.bare, ask).await {
                    Err(Ended::Failed(e)) => e,
                    other => return Err(format!("{what}: {other:?}")),
                };
                let is_right = match ask {
                    // Nothing there is an empty listing: one that is not found is none.
                    Ask::List if status == 404 => !e.is_not_found(),
                    _ => e.kind() == kind,
                };
                hold(is_right && !e.is_transient(), || format!("{what}: {:?}: {e}", e.kind()))?;
            }
        }
        Ok(())
    })
}

fn listings(b: &Broken) -> Asked<'_> {
    Box::pin(async move {
        for fault in [
            Fault::Lie(Lie::Half(30)),
            Fault::Lie(Lie::Half(95)),
            Fault::Lie(Lie::Nothing),
            Fault::Lie(Lie::NoWayOn),
            Fault::Cut,
        ] {
            for number in 0..4 {
                b.right_or_error(Ask::List, number, fault, false).await?;
            }
        }
        Ok(())
    })
}

fn hidden_entries(b: &Broken) -> Asked<'_> {
    Box::pin(async move {
        for number in 0..4 {
            b.right_or_error(Ask::List, number, Fault::Lie(Lie::LessThanAnnounced), false).await?;
        }
        Ok(())
    })
}

fn endless(b: &Broken) -> Asked<'_> {
    Box::pin(async move {
        b.proxy.break_answers(|_| Some(Fault::PageAgain));
        let listing = tokio::time::timeout(Duration::from_secs(60), listed(&*b.bare, ""));
        match listing.await {
            Err(_) => Err("it goes on and on".into()),
            Ok(Ok(found)) => hold(found == b.sample.beginning(""), || format!("{} names", found.len())),
            Ok(Err(_)) => Ok(()),
        }
    })
}

fn slow(b: &Broken) -> Asked<'_> {
    Box::pin(async move {
        b.proxy.delay(Duration::from_millis(100));
        for ask in ALL {
            b.ask(&b.bare, ask).await.map_err(|e| format!("{ask:?}: {e}"))?;
        }
        b.proxy.delay(Duration::ZERO);
        b.break_one(0, Fault::Drip);
        let read = b.bare.read(&id(MIDDLING), Some(2..9), Vec::new()).await;
        let read = read.map_err(|e| format!("drop by drop: {e}"))?;
        hold(read == b.sample.blobs[MIDDLING][2..9], || "drop by drop: other bytes".into())
    })
}

fn hanging(b: &Broken) -> Asked<'_> {
    Box::pin(async move {
        for fault in [Fault::Hang, Fault::HangMidway] {
            b.proxy.break_answers(move |_| Some(fault));
            let began = Instant::now();
            let read = b.bare.read(&id(LARGE), Some(0..200_000), Vec::new()).await;
            let took = began.elapsed();
            hold(read.as_ref().is_err_and(BlobError::is_transient), || {
                format!("{fault:?}: {:?}", read.map(|bytes| bytes.len()))
            })?;
            hold(took < b.deadlines.silence() * 5, || format!("{fault:?}: given up after {took:?}"))?;
        }
        Ok(())
    })
}
