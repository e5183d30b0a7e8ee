//! Keeps records in a file.
//!
//! The file has no name, is its user's alone and vanishes with the process. It holds ids of contents and where they are:
//! no keys, no data. It is never made in memory: a pod's `/tmp` may be just that.

use std::cmp::Ordering;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use super::record::{Key, Record};

/// Records that are written front to back.
#[derive(Debug)]
pub(super) struct RecordFile {
    file: BufWriter<File>,
    /// Records, also those that are not written yet.
    len: usize,
}

/// Sorted records, one for each content.
#[derive(Debug)]
pub(super) struct SortedFile {
    file: File,
    len: usize,
}

/// Reads a run of records from front to back.
pub(super) struct RunReader<'a> {
    file: &'a File,
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
    /// Begins an empty file in `dir`, which is made when only it is missing.
    pub(super) fn begin(dir: &Path) -> io::Result<Self> {
        Ok(RecordFile { file: BufWriter::with_capacity(WRITE, nameless_in(dir)?), len: 0 })
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn push(&mut self, record: Record) -> io::Result<()> {
        self.len += 1;
        self.file.write_all(&record.to_bytes())
    }

    /// Writes what is not written yet.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }

    /// Reads a part of what is written, up to `bytes` at once.
    pub(super) fn run(&self, records: Range<usize>, bytes: usize) -> RunReader<'_> {
        let at_once = (bytes / Record::BYTES).max(1);
        RunReader { file: self.file.get_ref(), rest: records, buffer: Vec::new(), given: 0, at_once }
    }

    /// Ends the file and makes it ready for lookups.
    pub(super) fn finish(self) -> io::Result<SortedFile> {
        Ok(SortedFile { file: self.file.into_inner()?, len: self.len })
    }
}

impl SortedFile {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Reads all records, in their order.
    pub(super) fn for_each(&self, mut each: impl FnMut(&Record)) -> io::Result<()> {
        const AT_ONCE: usize = (256 << 10) / Record::BYTES;
        let mut reader =
            RunReader { file: &self.file, rest: 0..self.len, buffer: Vec::new(), given: 0, at_once: AT_ONCE };
        while let Some(record) = reader.next()? {
            each(&record);
        }
        Ok(())
    }

    /// Finds the record with this key among those of a range, with its number.
    pub(super) fn search(&self, records: Range<usize>, key: Key) -> io::Result<Option<(usize, Record)>> {
        let Range { mut start, end } = records;
        let mut end = end.min(self.len);
        // Only in an index that somebody has made up do so many records share their first bits.
        while end.saturating_sub(start) > TOGETHER {
            let middle = start + (end - start) / 2;
            let mut bytes = [0; Record::BYTES];
            self.file.read_exact_at(&mut bytes, (middle * Record::BYTES) as u64)?;
            let record = Record::from_bytes(&bytes);
            match record.key().cmp(&key) {
                Ordering::Less => start = middle + 1,
                Ordering::Equal => return Ok(Some((middle, record))),
                Ordering::Greater => end = middle,
            }
        }
        let mut buffer = [0; TOGETHER * Record::BYTES];
        let bytes = &mut buffer[..end.saturating_sub(start) * Record::BYTES];
        self.file.read_exact_at(bytes, (start * Record::BYTES) as u64)?;
        let found = bytes.as_chunks().0;
        let place = found.binary_search_by_key(&key, |bytes| Record::from_bytes(bytes).key());
        Ok(place.ok().map(|place| (start + place, Record::from_bytes(&found[place]))))
    }
}

impl RunReader<'_> {
    pub(super) fn next(&mut self) -> io::Result<Option<Record>> {
        if self.given == self.buffer.len() {
            let count = self.rest.len().min(self.at_once);
            self.buffer.resize(count * Record::BYTES, 0);
            self.file.read_exact_at(&mut self.buffer, (self.rest.start * Record::BYTES) as u64)?;
            self.rest.start += count;
            self.given = 0;
        }
        let next = self.buffer[self.given..].first_chunk().map(Record::from_bytes);
        self.given += next.map_or(0, |_| Record::BYTES);
        Ok(next)
    }
}

/// Makes an empty file without a name in `dir`, for this user only and never in memory; `dir` is made when only it is
/// missing.
pub(crate) fn nameless_in(dir: &Path) -> io::Result<File> {
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
    Ok(nameless(&dir)?.into())
}

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
