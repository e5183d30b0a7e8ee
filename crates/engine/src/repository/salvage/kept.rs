//! Keeps what a scan has read, in a file for the next one: of each pack what is stored of its own index, still
//! encrypted.
//!
//! ```text
//! "rekopia salvage index 1\n", length of the repository's unique ID (1 byte), that ID
//! for each pack: length of its name (1), name, bytes of the pack (8), length of the iv (1), iv, length (4), stored bytes
//! ```
//!
//! Numbers are big endian. Packs never change, so one of the same name and length is the same. A file that breaks off (the
//! scan was stopped) is good up to there, and the next scan goes on behind it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rekopia_blob::BlobId;

use crate::error::{Error, ErrorKind, Result};

/// The end of a pack: what is stored of its own index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PackEnd {
    pub(super) id: BlobId,
    /// Bytes of the pack.
    pub(super) pack_len: u64,
    pub(super) iv: Vec<u8>,
    /// The index as it is stored in the pack: encrypted.
    pub(super) stored: Vec<u8>,
}

/// A file of ends of packs, open for more.
#[derive(Debug)]
pub(super) struct KeptEnds {
    file: BufWriter<File>,
    path: PathBuf,
}

const MAGIC: &[u8] = b"rekopia salvage index 1\n";
/// Bytes of what is stored of a local index at most.
pub(super) const LONGEST_INDEX: u64 = 64 << 20;
/// Bytes of one write.
const WRITE: usize = 256 << 10;

impl KeptEnds {
    /// Opens the file, which is made when it is missing, and gives each end that it holds to `each`.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] when it holds something else, or ends of another repository, or another program uses it;
    /// [`ErrorKind::Destination`] when it cannot be read and written.
    pub(super) fn open(path: &Path, unique_id: &[u8], mut each: impl FnMut(PackEnd)) -> Result<Self> {
        let usage = |what: &str| Error::new(ErrorKind::Usage, format!("{} {what}", path.display()));
        let failed = |e: io::Error| {
            Error::new(ErrorKind::Destination, format!("cannot use the salvage index {}", path.display()))
                .because(e)
        };
        if std::fs::metadata(path).is_ok_and(|found| !found.is_file()) {
            return Err(usage("is no file: a salvage index is one"));
        }
        let mut options = OpenOptions::new();
        let file = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(failed)?;
        // Where files cannot be locked, nobody is kept out.
        if matches!(file.try_lock(), Err(TryLockError::WouldBlock)) {
            return Err(usage("is being used by another program: wait for it, or name another file"));
        }
        let header = [MAGIC, &[u8::try_from(unique_id.len()).unwrap_or(u8::MAX)], unique_id].concat();
        let mut good = header.len() as u64;
        let mut reader = BufReader::with_capacity(WRITE, &file);
        let mut found = Vec::new();
        (&mut reader).take(good).read_to_end(&mut found).map_err(failed)?;
        let is_new = found.is_empty();
        if !is_new && !found.starts_with(MAGIC) {
            return Err(usage("is no salvage index: name another file"));
        }
        if !is_new && found != header {
            return Err(usage("is the salvage index of another repository: name another file"));
        }
        while let Some(end) = read_end(&mut reader).map_err(failed)? {
            good += end.len();
            each(end);
        }
        file.set_len(if is_new { 0 } else { good }).map_err(failed)?;
        let mut file = BufWriter::with_capacity(WRITE, file);
        file.seek(SeekFrom::End(0)).map_err(failed)?;
        if is_new {
            file.write_all(&header).map_err(failed)?;
        }
        Ok(KeptEnds { file, path: path.to_owned() })
    }

    /// Adds the end of a pack.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(super) fn add(&mut self, end: &PackEnd) -> io::Result<()> {
        let length = |n: usize| u8::try_from(n).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput));
        let id = end.id.as_str().as_bytes();
        self.file.write_all(&[length(id.len())?])?;
        self.file.write_all(id)?;
        self.file.write_all(&end.pack_len.to_be_bytes())?;
        self.file.write_all(&[length(end.iv.len())?])?;
        self.file.write_all(&end.iv)?;
        self.file.write_all(&u32::try_from(end.stored.len()).map_err(io::Error::other)?.to_be_bytes())?;
        self.file.write_all(&end.stored)
    }

    /// Writes what is still in memory.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.file.flush()
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl PackEnd {
    /// Returns the bytes that the end takes in the file.
    fn len(&self) -> u64 {
        (1 + self.id.as_str().len() + 8 + 1 + self.iv.len() + 4 + self.stored.len()) as u64
    }
}

/// Reads the next end; `None` where the file ends, or breaks off, or makes no sense any more.
fn read_end(from: &mut impl Read) -> io::Result<Option<PackEnd>> {
    let Some(name) = short(from)? else { return Ok(None) };
    let Some(id) = std::str::from_utf8(&name).ok().and_then(|name| BlobId::parse(name).ok()) else {
        return Ok(None);
    };
    let Some(pack_len) = exactly(from, 8)?.and_then(|bytes| bytes.try_into().ok()) else { return Ok(None) };
    let Some(iv) = short(from)? else { return Ok(None) };
    let Some(len) = exactly(from, 4)?.and_then(|bytes| bytes.try_into().ok()) else { return Ok(None) };
    let len = u64::from(u32::from_be_bytes(len));
    if len > LONGEST_INDEX {
        return Ok(None);
    }
    let Some(stored) = exactly(from, len)? else { return Ok(None) };
    Ok(Some(PackEnd { id, pack_len: u64::from_be_bytes(pack_len), iv, stored }))
}

/// Reads bytes with their number in one byte before them.
fn short(from: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    match exactly(from, 1)?.as_deref() {
        Some([len]) => exactly(from, u64::from(*len)),
        _ => Ok(None),
    }
}

/// Reads so many bytes, or `None` when there are fewer: a false length takes no more memory than the file has bytes.
fn exactly(from: &mut impl Read, len: u64) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    from.take(len).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 == len).then_some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(n: u8) -> PackEnd {
        let id = BlobId::parse(&format!("p{:032x}-s{n}", 7)).unwrap();
        PackEnd { id, pack_len: 1000 + u64::from(n), iv: vec![n; 16], stored: vec![n; 300 * usize::from(n)] }
    }

    fn kept(path: &Path, id: &[u8]) -> Result<(KeptEnds, Vec<PackEnd>)> {
        let mut ends = Vec::new();
        KeptEnds::open(path, id, |end| ends.push(end)).map(|file| (file, ends))
    }

    #[test]
    fn what_was_written_is_read_and_more_goes_behind_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("index");
        let (mut file, ends) = kept(&path, b"one").unwrap();
        assert!(ends.is_empty());
        file.add(&end(1)).unwrap();
        file.add(&end(2)).unwrap();
        assert!(kept(&path, b"one").unwrap_err().chain().contains("another program"));
        file.finish().unwrap();
        let (mut file, ends) = kept(&path, b"one").unwrap();
        assert_eq!(ends, [end(1), end(2)]);
        file.add(&end(3)).unwrap();
        file.finish().unwrap();
        assert_eq!(kept(&path, b"one").unwrap().1, [end(1), end(2), end(3)]);
        assert!(kept(&path, b"two").unwrap_err().chain().contains("another repository"));
    }

    #[test]
    fn a_file_that_breaks_off_anywhere_is_good_up_to_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("index");
        let (mut file, _) = kept(&path, b"one").unwrap();
        file.add(&end(1)).unwrap();
        file.add(&end(2)).unwrap();
        file.finish().unwrap();
        let whole = std::fs::read(&path).unwrap();
        let header = MAGIC.len() + 1 + 3;
        let first = header + usize::try_from(end(1).len()).unwrap();
        for len in header..whole.len() {
            std::fs::write(&path, &whole[..len]).unwrap();
            let (mut file, ends) = kept(&path, b"one").unwrap();
            assert_eq!(ends.len(), usize::from(len >= first), "{len}");
            file.add(&end(3)).unwrap();
            file.finish().unwrap();
            assert_eq!(kept(&path, b"one").unwrap().1.last(), Some(&end(3)), "{len}");
        }
    }

    #[test]
    fn what_is_something_else_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("index");
        for other in [b"letters to my mother".as_slice(), &MAGIC[..10], &[MAGIC, b"\x05o"].concat()] {
            std::fs::write(&path, other).unwrap();
            assert_eq!(kept(&path, b"one").unwrap_err().kind(), ErrorKind::Usage);
            assert_eq!(std::fs::read(&path).unwrap(), other);
        }
        assert_eq!(kept(dir.path(), b"one").unwrap_err().kind(), ErrorKind::Usage);
    }
}
