//! Records in a file: the only place of the repository's code that writes.
//!
//! The file has no name, is its user's alone and vanishes with the process. It holds ids of contents and where they are:
//! no keys, no data. It is never made in memory: a pod's `/tmp` may be just that.

use std::io;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use super::record::{Key, Record};

/// Records that are written front to back.
#[derive(Debug)]
pub(super) struct RecordFile {
    file: OwnedFd,
    /// Records, also those that are not written yet.
    len: usize,
    /// What is not written yet.
    buffer: Vec<u8>,
}

/// Sorted records, one for each content.
#[derive(Debug)]
pub(super) struct SortedFile {
    file: OwnedFd,
    len: usize,
}

/// Reads a run of records from front to back.
pub(super) struct RunReader<'a> {
    file: &'a OwnedFd,
    /// Records that are not in the buffer yet.
    rest: Range<usize>,
    buffer: Vec<u8>,
    /// Bytes of the buffer that were given out.
    given: usize,
    /// Records of one read.
    at_once: usize,
}

/// Bytes of one write.
const WRITE: usize = 256 << 10;
/// Records that a search reads together.
const TOGETHER: usize = 256;
/// File systems that are memory.
const TMPFS: i64 = 0x0102_1994;
const RAMFS: i64 = 0x8584_58f6;

impl RecordFile {
    /// An empty one in `dir`, which is made when only it is missing.
    pub(super) fn begin(dir: &Path) -> io::Result<Self> {
        let made = rustix::fs::mkdir(dir, Mode::RWXU);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = rustix::fs::open(dir, flags, Mode::empty()).map_err(|e| match made {
            Err(why) if e == Errno::NOENT => why,
            _ => e,
        })?;
        #[allow(clippy::unnecessary_cast, reason = "its type depends on the platform")]
        let kind = rustix::fs::fstatfs(&dir)?.f_type as i64;
        if kind == TMPFS || kind == RAMFS {
            return Err(io::Error::other("it is memory, not a disk"));
        }
        Ok(RecordFile { file: nameless(&dir)?, len: 0, buffer: Vec::with_capacity(WRITE + Record::BYTES) })
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn push(&mut self, record: Record) -> io::Result<()> {
        self.buffer.extend_from_slice(&record.to_bytes());
        self.len += 1;
        if self.buffer.len() >= WRITE { self.flush() } else { Ok(()) }
    }

    /// Writes what is not written yet.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        let mut at = (self.len * Record::BYTES - self.buffer.len()) as u64;
        let mut rest = &self.buffer[..];
        while !rest.is_empty() {
            match rustix::io::pwrite(&self.file, rest, at) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => (rest, at) = (&rest[n..], at + n as u64),
                Err(Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
        self.buffer.clear();
        Ok(())
    }

    /// Reads a part of what is written, up to `bytes` at once.
    pub(super) fn run(&self, records: Range<usize>, bytes: usize) -> RunReader<'_> {
        let at_once = (bytes / Record::BYTES).max(1);
        RunReader { file: &self.file, rest: records, buffer: Vec::new(), given: 0, at_once }
    }

    /// Ready for lookups.
    pub(super) fn finish(mut self) -> io::Result<SortedFile> {
        self.flush()?;
        Ok(SortedFile { file: self.file, len: self.len })
    }
}

impl SortedFile {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The record with this key among those of a range.
    pub(super) fn search(&self, records: Range<usize>, key: Key) -> io::Result<Option<Record>> {
        let (mut first, mut last) = (records.start, records.end.min(self.len));
        let mut buffer = [0; TOGETHER * Record::BYTES];
        loop {
            let many = last.saturating_sub(first);
            let (at, count) = if many > TOGETHER { (first + many / 2, 1) } else { (first, many) };
            let bytes = &mut buffer[..count * Record::BYTES];
            read_exact_at(&self.file, bytes, (at * Record::BYTES) as u64)?;
            let found = bytes.as_chunks().0;
            if many <= TOGETHER {
                let place = found.binary_search_by_key(&key, |bytes| Record::from_bytes(bytes).key());
                return Ok(place.ok().map(|place| Record::from_bytes(&found[place])));
            }
            // So many share their first bits only in an index that somebody has made up.
            match found.first().map(Record::from_bytes) {
                Some(record) if record.key() < key => first = at + 1,
                Some(record) if record.key() == key => return Ok(Some(record)),
                _ => last = at,
            }
        }
    }
}

impl RunReader<'_> {
    pub(super) fn next(&mut self) -> io::Result<Option<Record>> {
        if self.given == self.buffer.len() {
            let count = self.rest.len().min(self.at_once);
            self.buffer.resize(count * Record::BYTES, 0);
            read_exact_at(self.file, &mut self.buffer, (self.rest.start * Record::BYTES) as u64)?;
            self.rest.start += count;
            self.given = 0;
        }
        let next = self.buffer[self.given..].first_chunk().map(Record::from_bytes);
        self.given += next.map_or(0, |_| Record::BYTES);
        Ok(next)
    }
}

/// A file without a name in the folder, for this user only.
fn nameless(dir: &OwnedFd) -> io::Result<OwnedFd> {
    let (flags, private) = (OFlags::RDWR | OFlags::CLOEXEC, Mode::RUSR | Mode::WUSR);
    match rustix::fs::openat(dir, ".", flags | OFlags::TMPFILE, private) {
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL | Errno::NOENT) => {}
        other => return Ok(other?),
    }
    let own = rustix::process::getpid().as_raw_nonzero();
    let mut number = 0;
    loop {
        let name = format!(".rekopia-index-{own}-{number}");
        match rustix::fs::openat(
            dir,
            &name,
            flags | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW,
            private,
        ) {
            Ok(file) => {
                rustix::fs::unlinkat(dir, &name, AtFlags::empty())?;
                return Ok(file);
            }
            Err(Errno::EXIST) if number < 1000 => number += 1,
            Err(e) => return Err(e.into()),
        }
    }
}

fn read_exact_at(file: &OwnedFd, mut buffer: &mut [u8], mut at: u64) -> io::Result<()> {
    while !buffer.is_empty() {
        match rustix::io::pread(file, &mut *buffer, at) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => (buffer, at) = (&mut buffer[n..], at + n as u64),
            Err(Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(())
}
