//! Computes the digest of a tree as it stands on the disk, as docs/receipt.md defines it.
//!
//! One thread walks and puts records together, in order; files are hashed beside it. What was begun and not yet taken is
//! bounded, so that neither files nor records pile up; only the names of the directories on the way down are in memory.

use std::collections::{HashSet, VecDeque};
use std::ffi::{CString, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use rustix::fs::{AtFlags, FileType};
use rustix::io::Errno;
use sha2::{Digest, Sha256};

use super::attributes::Attributes;
use super::digest_files::{Job, PutBack, Reader, read_link, searchable};
use super::digest_record::{Entry, Kept, Kind, Records, hex};
use super::digest_walk::{Levels, Next};
use super::digested::{DirectoryDigest, Hashed, TreeDigest};
use super::error::SinkError;

/// The root of what is hashed.
pub(crate) enum DigestRoot {
    /// A directory that is open, with all below it.
    Directory(Arc<OwnedFd>),
    /// A file or link, by its name in a directory that is open.
    Single(Arc<OwnedFd>, CString),
}

/// The way in which a tree is hashed.
pub(crate) struct Digesting<'a> {
    /// Paths that are left out, relative to the root, in byte order.
    pub(crate) others: &'a [Vec<u8>],
    /// Directories of which the digests are wanted, besides those nearest to the root.
    pub(crate) wanted: &'a HashSet<Vec<u8>>,
    /// Threads that hash files.
    pub(crate) threads: usize,
    /// Whether to stop: asked between two pieces of a file.
    pub(crate) stop: &'a (dyn Fn() -> bool + Sync),
    /// Called a few times a second with what was hashed so far.
    pub(crate) tick: &'a dyn Fn(&Hashed),
}

/// Entries that were found and are not in their directory's digest yet.
const AHEAD: usize = 256;
/// Time between two ticks.
const TICK: Duration = Duration::from_millis(200);

/// Hashes a tree; `None`: hashing was stopped. Others are the caller's to fill in.
///
/// # Errors
/// When something of it cannot be read.
pub(crate) fn digest_tree(root: DigestRoot, how: &Digesting<'_>) -> Result<Option<TreeDigest>, SinkError> {
    let (hashed, over) = (Hashed::default(), AtomicBool::new(false));
    let stop = || over.load(Ordering::Relaxed) || (how.stop)();
    let (jobs, taken) = crossbeam_channel::bounded::<Job>(AHEAD + 1);
    let (done, results) = crossbeam_channel::unbounded();
    let ended = std::thread::scope(|scope| {
        let mut workers = 0;
        for _ in 0..how.threads.max(1) {
            let (taken, done, hashed, stop) = (taken.clone(), done.clone(), &hashed, &stop);
            let work = move || {
                let mut reader = Reader::new();
                for job in taken {
                    let entry = reader.read(&job, hashed, stop);
                    if done.send((job.number, entry)).is_err() {
                        return;
                    }
                }
            };
            // Threads are not counted on: without any the walk hashes by itself.
            let started = std::thread::Builder::new().name("hash".into()).spawn_scoped(scope, work);
            workers += usize::from(started.is_ok());
        }
        drop((taken, done));
        let reader = (workers == 0).then(Reader::new);
        let digest = Hashing::new(how, &hashed, jobs, results, reader).run(root);
        over.store(true, Ordering::Relaxed);
        digest
    });
    match ended {
        Ok(digest) => Ok(Some(digest)),
        Err(End::Stopped) => Ok(None),
        Err(End::Failed(e)) => Err(e),
    }
}

/// The reason why hashing ended early.
enum End {
    Stopped,
    Failed(SinkError),
}

impl From<SinkError> for End {
    fn from(e: SinkError) -> Self {
        End::Failed(e)
    }
}

/// A step of the walk, in order.
enum Step {
    Enter(CString),
    Entry { name: CString, entry: Option<Result<Entry, Errno>> },
    Leave { attributes: Attributes, put_back: Option<PutBack> },
}

/// A directory whose records are being taken.
struct Open {
    name: CString,
    records: Records,
    /// Bytes of the path of the directory above.
    above: usize,
}

struct Hashing<'a> {
    how: &'a Digesting<'a>,
    hashed: &'a Hashed,
    jobs: Sender<Job>,
    results: Receiver<(u64, Result<Entry, Errno>)>,
    /// The reader of files where there is no thread to hash.
    reader: Option<Reader>,
    steps: VecDeque<Step>,
    /// The number of the first step.
    first: u64,
    open: Vec<Open>,
    path: Vec<u8>,
    kept: Kept<'a>,
    /// The root's record, when it is known.
    root: Option<Vec<u8>>,
    ticked: Instant,
}

impl<'a> Hashing<'a> {
    fn new(
        how: &'a Digesting<'a>,
        hashed: &'a Hashed,
        jobs: Sender<Job>,
        results: Receiver<(u64, Result<Entry, Errno>)>,
        reader: Option<Reader>,
    ) -> Self {
        let (steps, open, path, kept) = (VecDeque::new(), Vec::new(), Vec::new(), Kept::new(how.wanted));
        let (first, root, ticked) = (0, None, Instant::now());
        Hashing { how, hashed, jobs, results, reader, steps, first, open, path, kept, root, ticked }
    }

    fn run(mut self, root: DigestRoot) -> Result<TreeDigest, End> {
        match root {
            DigestRoot::Directory(fd) => self.walk(fd)?,
            DigestRoot::Single(dir, name) => {
                let failed = |e| SinkError::sys("looking at", &name.to_string_lossy(), e);
                let stat = rustix::fs::statat(&*dir, &name, AtFlags::SYMLINK_NOFOLLOW).map_err(failed)?;
                let kind = FileType::from_raw_mode(stat.st_mode);
                self.found(&dir, name, kind)?;
            }
        }
        while !self.steps.is_empty() {
            self.take_first()?;
        }
        let internal = || SinkError::sys("hashing", "", Errno::IO);
        let hash = hex(&Sha256::digest(self.root.ok_or_else(internal)?).into());
        let nearest = self.kept.finish().into_iter().map(|(path, (digest, own))| DirectoryDigest {
            path: PathBuf::from(OsString::from_vec(path)),
            digest: hex(&digest),
            own: hex(&own),
        });
        let Hashed { files, directories, symlinks, bytes } = self.hashed;
        Ok(TreeDigest {
            hash,
            files: Hashed::get(files),
            directories: Hashed::get(directories),
            symlinks: Hashed::get(symlinks),
            bytes: Hashed::get(bytes),
            nearest: nearest.collect(),
            ..TreeDigest::default()
        })
    }

    fn walk(&mut self, root: Arc<OwnedFd>) -> Result<(), End> {
        let mut levels = Levels::new(self.how.others);
        let failed = |e| SinkError::sys("listing", "", e);
        searchable(root).and_then(|dir| levels.enter(c"", dir)).map_err(failed)?;
        self.push(Step::Enter(CString::default()))?;
        loop {
            let next = levels.next().map_err(|e| SinkError::sys("looking at", &levels.shown(b""), e))?;
            match next {
                Next::Entry(fd, name, FileType::Directory) => {
                    let entered = levels.descend(&fd, &name);
                    entered.map_err(|e| SinkError::sys("opening", &levels.shown(name.as_bytes()), e))?;
                    self.push(Step::Enter(name))?;
                }
                Next::Entry(fd, name, kind) => self.found(&fd, name, kind)?,
                Next::Left { attributes, put_back } => self.push(Step::Leave { attributes, put_back })?,
                Next::End => return Ok(()),
            }
        }
    }

    /// Takes an entry that is no directory; what cannot be read shows when its turn comes.
    fn found(&mut self, dir: &Arc<OwnedFd>, name: CString, kind: FileType) -> Result<(), End> {
        let hashed = self.hashed;
        let stat = || rustix::fs::statat(&**dir, &name, AtFlags::SYMLINK_NOFOLLOW);
        let entry = match kind {
            FileType::RegularFile => {
                let number = self.first + self.steps.len() as u64;
                let job = Job { number, dir: Arc::clone(dir), name: name.clone() };
                match &mut self.reader {
                    Some(reader) => Some(reader.read(&job, hashed, &|| (self.how.stop)())),
                    None => self.jobs.send(job).map_or(Some(Err(Errno::IO)), |()| None),
                }
            }
            FileType::Symlink => Some(stat().and_then(|stat| read_link(dir, &name, &stat, hashed))),
            _ => Some(stat().map(|stat| special(&stat))),
        };
        self.push(Step::Entry { name, entry })
    }

    fn push(&mut self, step: Step) -> Result<(), End> {
        self.steps.push_back(step);
        while self.steps.len() > AHEAD {
            self.take_first()?;
        }
        self.tell()
    }

    /// Puts the first step into its directory's digest, as soon as it is known.
    fn take_first(&mut self) -> Result<(), End> {
        while matches!(self.steps.front(), Some(Step::Entry { entry: None, .. })) {
            self.wait()?;
        }
        let Some(step) = self.steps.pop_front() else { return Ok(()) };
        self.first += 1;
        match step {
            Step::Enter(name) => {
                let above = self.path.len();
                if above > 0 {
                    self.path.push(b'/');
                }
                self.path.extend_from_slice(name.as_bytes());
                self.open.push(Open { name, records: Records::default(), above });
            }
            Step::Entry { name, entry: Some(Ok(entry)) } => self.put(&name, &entry),
            Step::Entry { entry: Some(Err(Errno::CANCELED)), .. } => return Err(End::Stopped),
            Step::Entry { name, entry } => {
                let e = entry.and_then(Result::err).unwrap_or(Errno::IO);
                return Err(SinkError::sys("reading", &self.shown(&name), e).into());
            }
            Step::Leave { attributes, put_back } => {
                // Everything in it that was to be read was read.
                drop(put_back);
                let Some(left) = self.open.pop() else { return Ok(()) };
                let digests = left.records.finish();
                self.kept.push(self.open.len(), &self.path, digests);
                self.path.truncate(left.above);
                Hashed::add(&self.hashed.directories, 1);
                let Attributes { mode, mtime_ns, .. } = attributes;
                let entry = Entry { kind: Kind::Directory, mode, mtime_ns, size: 0, hash: digests.0 };
                self.put(&left.name, &entry);
            }
        }
        Ok(())
    }

    /// Returns the path of an entry of the directory that is open, for people.
    fn shown(&self, name: &CString) -> String {
        let mut path = self.path.clone();
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(name.as_bytes());
        String::from_utf8_lossy(&path).into_owned()
    }

    /// Adds a record to the directory that is open, or keeps that of the root, which has no name.
    fn put(&mut self, name: &CString, entry: &Entry) {
        match self.open.last_mut() {
            Some(above) => above.records.push(name.as_bytes(), entry),
            None => self.root = Some(entry.record(b"")),
        }
    }

    /// Waits for the next file that is hashed.
    fn wait(&mut self) -> Result<(), End> {
        match self.results.recv_timeout(TICK) {
            Ok((number, read)) => {
                let place = usize::try_from(number - self.first).unwrap_or(usize::MAX);
                if let Some(Step::Entry { entry, .. }) = self.steps.get_mut(place) {
                    *entry = Some(read);
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                return Err(SinkError::sys("hashing", "", Errno::IO).into());
            }
        }
        self.tell()
    }

    /// Tells how far the hashing is, a few times a second, and looks whether to stop.
    fn tell(&mut self) -> Result<(), End> {
        if (self.how.stop)() {
            return Err(End::Stopped);
        }
        if self.ticked.elapsed() >= TICK {
            self.ticked = Instant::now();
            (self.how.tick)(self.hashed);
        }
        Ok(())
    }
}

/// Makes the entry of something that is neither file, directory nor link: such a thing is never opened.
fn special(stat: &rustix::fs::Stat) -> Entry {
    let Attributes { mode, mtime_ns, .. } = Attributes::of(stat);
    Entry { kind: Kind::Special, mode, mtime_ns, size: 0, hash: [0; 32] }
}
