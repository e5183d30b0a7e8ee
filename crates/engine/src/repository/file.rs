//! Reads the bytes of a file, in order or from anywhere.

use std::collections::VecDeque;

use rekopia_format::ObjectId;
use rekopia_format::compression::Decoder;

use super::Repository;
use super::contents::Contents;
use super::listed_packs::ListedPacks;
use super::objects::{Slice, SliceReader};
use super::read_ahead::ReadAhead;
use crate::error::{Error, ErrorKind, Result};

/// Reads an object: `next_chunk` in order, `read_at` from anywhere.
pub struct FileReader {
    contents: Contents,
    slices: Vec<Slice>,
    len: u64,
    next: usize,
    ahead: ReadAhead,
    last: Option<(usize, Vec<u8>)>,
}

/// Plaintext bytes that are read ahead when a file is read in order.
const READ_AHEAD_BYTES: u64 = 16 << 20;
const MAX_DECOMPRESSED: usize = 1 << 28;

impl Repository {
    /// Opens an object for reading; its list of contents is read at once. Where an index blob cannot be read, each content
    /// is looked for before anything is given out.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] when the list of contents cannot be read, or one of them is known to be missing.
    pub async fn open_object(&self, object: &ObjectId) -> Result<FileReader> {
        let contents = self.contents();
        let mut ahead = ReadAhead::default();
        let mut reader = SliceReader::new(object, None);
        let mut slices: VecDeque<Slice> = VecDeque::new();
        loop {
            let more = reader.next(&contents, &mut ahead, 4096).await?;
            if more.is_empty() {
                break;
            }
            slices.extend(more);
        }
        if self.is_in_doubt().await {
            let packs = ListedPacks::read(self).await?;
            packs.check_slices(&slices)?;
        }
        let mut len = slices.back().map_or(0, |s| s.start + s.len.unwrap_or(0));
        let mut last = None;
        if let [only] = slices.make_contiguous()
            && only.len.is_none()
        {
            let bytes = read_slice(&contents, &mut ahead, only).await?;
            only.len = Some(bytes.len() as u64);
            len = bytes.len() as u64;
            last = Some((0, bytes));
        }
        Ok(FileReader { contents, slices: slices.into(), len, next: 0, ahead, last })
    }
}

impl FileReader {
    /// Returns the length of the object in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether the object has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Reads the next run of bytes; `None` at the end.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] or [`ErrorKind::Storage`] when a content cannot be read.
    pub async fn next_chunk(&mut self) -> Result<Option<Vec<u8>>> {
        let Some(slice) = self.slices.get(self.next).copied() else { return Ok(None) };
        if self.last.as_ref().is_some_and(|(i, _)| *i == self.next) {
            self.next += 1;
            return Ok(self.last.take().map(|(_, bytes)| bytes));
        }
        if !self.ahead.has(&slice.content) {
            let upcoming = self.slices.iter().skip(self.next).take(64).map(|s| s.content);
            self.ahead.fill(&self.contents, upcoming, READ_AHEAD_BYTES).await;
        }
        self.next += 1;
        read_slice(&self.contents, &mut self.ahead, &slice).await.map(Some)
    }

    /// The run of bytes that holds this offset, and where it begins; reading goes on behind it. `None` at the end.
    pub(crate) async fn chunk_at(&mut self, offset: u64) -> Result<Option<(u64, Vec<u8>)>> {
        self.next = self.slices.partition_point(|s| s.start + s.len.unwrap_or(0) <= offset);
        let Some(start) = self.slices.get(self.next).map(|slice| slice.start) else { return Ok(None) };
        Ok(self.next_chunk().await?.map(|bytes| (start, bytes)))
    }

    /// Reads up to `buf.len()` bytes from `offset`; 0 at the end.
    ///
    /// # Errors
    /// As for [`FileReader::next_chunk`].
    pub async fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<usize> {
        let i = self.slices.partition_point(|s| s.start + s.len.unwrap_or(0) <= offset);
        let Some(slice) = self.slices.get(i).copied() else { return Ok(0) };
        if self.last.as_ref().is_none_or(|(at, _)| *at != i) {
            self.last = Some((i, read_slice(&self.contents, &mut self.ahead, &slice).await?));
        }
        let bytes = self.last.as_ref().map_or(&[][..], |(_, b)| b);
        let from = bytes.get((offset - slice.start) as usize..).unwrap_or_default();
        let n = from.len().min(buf.len());
        buf[..n].copy_from_slice(&from[..n]);
        Ok(n)
    }
}

/// Reads the bytes of one slice.
pub(crate) async fn read_slice(contents: &Contents, ahead: &mut ReadAhead, slice: &Slice) -> Result<Vec<u8>> {
    let mut bytes = ahead.take(contents, &slice.content).await?;
    if slice.compressed {
        let mut out = Vec::new();
        let mut decoder = Decoder::default();
        rekopia_format::content::decode_object(&mut decoder, &bytes, slice.len, MAX_DECOMPRESSED, &mut out)
            .map_err(|e| super::contents::corrupt(e, &slice.content))?;
        bytes = out;
    }
    if slice.len.is_some_and(|len| len != bytes.len() as u64) {
        let what = "a part of the object has another length than recorded";
        return Err(Error::new(ErrorKind::Corrupt, what).of_content(&slice.content));
    }
    Ok(bytes)
}
