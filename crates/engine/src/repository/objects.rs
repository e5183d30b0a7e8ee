//! Finds the slices of contents that an object is made of, and reads their bytes (§5.2).
//!
//! Seek tables are read content by content, so the table of a huge file never is in memory as a whole.

use std::collections::VecDeque;

use rekopia_format::compression::Decoder;
use rekopia_format::directory::{DirectoryScanner, Entry};
use rekopia_format::object::{IndirectEntry, SeekTableScanner};
use rekopia_format::{ContentId, ObjectId};

use super::contents::Contents;
use super::read_ahead::ReadAhead;
use crate::error::{Error, ErrorKind, Result};

/// A part of an object: one content and its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slice {
    pub(crate) content: ContentId,
    /// Whether the content is an object-level compressed stream (`Z`, §3.5).
    pub(crate) compressed: bool,
    /// Where the part starts in the object, in bytes.
    pub(crate) start: u64,
    /// Plaintext bytes; `None` for a direct `Z` object whose length is not recorded.
    pub(crate) len: Option<u64>,
}

/// Yields the slices of an object in order.
#[derive(Debug)]
pub(crate) struct SliceReader {
    direct: Option<Slice>,
    frames: Vec<Frame>,
}

/// A seek table that is being read.
#[derive(Debug)]
struct Frame {
    /// Where the object of this table starts in the whole object.
    base: u64,
    table: Box<ObjectReader>,
    scanner: Option<SeekTableScanner>,
    ready: VecDeque<IndirectEntry>,
}

/// Seek tables inside seek tables; real repositories have at most three levels.
const MAX_DEPTH: usize = 16;

impl SliceReader {
    /// Makes a reader of the slices of `object`; `len` is the recorded length of a direct object, where there is one.
    pub(crate) fn new(object: &ObjectId, len: Option<u64>) -> Self {
        match object.seek_table() {
            None => {
                let slice =
                    Slice { content: *object.content(), compressed: object.is_compressed(), start: 0, len };
                SliceReader { direct: Some(slice), frames: Vec::new() }
            }
            Some(table) => SliceReader { direct: None, frames: vec![Frame::new(0, &table)] },
        }
    }

    /// Returns the next slices, at most about `max`; an empty list is the end.
    pub(crate) async fn next(
        &mut self,
        contents: &Contents,
        ahead: &mut ReadAhead,
        max: usize,
    ) -> Result<Vec<Slice>> {
        let mut slices = Vec::new();
        slices.extend(self.direct.take());
        while slices.len() < max {
            let Some(frame) = self.frames.last_mut() else { break };
            if let Some(entry) = frame.ready.pop_front() {
                let start = frame.base.checked_add(entry.start).ok_or_else(|| broken("is too long"))?;
                if entry.len == 0 {
                    continue;
                }
                match entry.object.seek_table() {
                    None => slices.push(Slice {
                        content: *entry.object.content(),
                        compressed: entry.object.is_compressed(),
                        start,
                        len: Some(entry.len),
                    }),
                    Some(_) if self.frames.len() >= MAX_DEPTH => return Err(broken("is nested too deeply")),
                    Some(table) => self.frames.push(Frame::new(start, &table)),
                }
            } else if !frame.advance(contents, ahead).await? {
                self.frames.pop();
            }
        }
        Ok(slices)
    }
}

impl Frame {
    fn new(base: u64, table: &ObjectId) -> Self {
        let scanner = Some(SeekTableScanner::new());
        Frame { base, table: Box::new(ObjectReader::new(table, None)), scanner, ready: VecDeque::new() }
    }

    /// Parses one more content of the table; false at its end.
    async fn advance(&mut self, contents: &Contents, ahead: &mut ReadAhead) -> Result<bool> {
        let Some(scanner) = &mut self.scanner else { return Ok(false) };
        let ready = &mut self.ready;
        match Box::pin(self.table.next(contents, ahead)).await? {
            Some(chunk) => {
                scanner
                    .push(&chunk, |entry| ready.push_back(entry))
                    .map_err(|e| broken("is damaged").because(e))?;
                Ok(true)
            }
            None => {
                let scanner = self.scanner.take();
                scanner
                    .map(SeekTableScanner::finish)
                    .transpose()
                    .map_err(|e| broken("is damaged").because(e))?;
                Ok(!self.ready.is_empty())
            }
        }
    }
}

impl super::Repository {
    /// Returns the bytes of an object, and the prefix of its (first) content: `k` for directories.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] when its list of contents cannot be read or is not in the index.
    pub(crate) async fn object_len(&self, object: &ObjectId) -> Result<(u64, u8)> {
        let (contents, mut ahead) = (self.contents(), ReadAhead::default());
        let mut reader = SliceReader::new(object, None);
        let (mut len, mut prefix) = (0, None);
        loop {
            let slices = reader.next(&contents, &mut ahead, 4096).await?;
            let Some(last) = slices.last() else { return Ok((len, prefix.unwrap_or_default())) };
            prefix = prefix.or(slices.first().map(|slice| slice.content.prefix()));
            len = last.start
                + match last.len {
                    Some(len) => len,
                    None if !last.compressed => {
                        u64::from(contents.locate(&last.content)?.packed.original_len)
                    }
                    // Only the stream itself tells.
                    None => self.open_object(object).await?.len(),
                };
            if object.indirection() == 0 {
                return Ok((len, prefix.unwrap_or_default()));
            }
        }
    }
}

/// Reads the bytes of an object content by content; for metadata and small files.
#[derive(Debug)]
pub(crate) struct ObjectReader {
    slices: SliceReader,
    ready: VecDeque<Slice>,
}

/// The largest plaintext of one object-level compressed content.
const MAX_DECOMPRESSED: usize = 1 << 28;

impl ObjectReader {
    /// Makes a reader of the bytes of `object`.
    pub(crate) fn new(object: &ObjectId, len: Option<u64>) -> Self {
        ObjectReader { slices: SliceReader::new(object, len), ready: VecDeque::new() }
    }

    /// Reads the plaintext of the next content; `None` at the end.
    pub(crate) async fn next(
        &mut self,
        contents: &Contents,
        ahead: &mut ReadAhead,
    ) -> Result<Option<Vec<u8>>> {
        if self.ready.is_empty() {
            self.ready.extend(self.slices.next(contents, ahead, 64).await?);
        }
        let Some(slice) = self.ready.pop_front() else { return Ok(None) };
        let mut bytes = ahead.take(contents, &slice.content).await?;
        if slice.compressed {
            let mut out = Vec::new();
            rekopia_format::content::decode_object(
                &mut Decoder::default(),
                &bytes,
                slice.len,
                MAX_DECOMPRESSED,
                &mut out,
            )
            .map_err(|e| super::contents::corrupt(e, &slice.content))?;
            bytes = out;
        }
        if slice.len.is_some_and(|len| len != bytes.len() as u64) {
            return Err(broken("has a part of another length than recorded").of_content(&slice.content));
        }
        Ok(Some(bytes))
    }
}

/// Calls `each` for every entry of a directory, in stored order; unusable entries are skipped.
///
/// # Errors
/// [`ErrorKind::Corrupt`] when its contents cannot be read or are no directory; a storage's errors as they are.
pub(crate) async fn read_directory(
    contents: &Contents,
    ahead: &mut ReadAhead,
    object: &ObjectId,
    mut each: impl FnMut(Entry),
) -> Result<()> {
    let mut reader = ObjectReader::new(object, None);
    let mut scanner = DirectoryScanner::new();
    let damaged = |e| Error::new(ErrorKind::Corrupt, format!("directory {object} is damaged")).because(e);
    while let Some(chunk) = reader.next(contents, ahead).await? {
        scanner
            .push(&chunk, |entry| {
                if let Ok(entry) = entry {
                    each(entry)
                }
            })
            .map_err(damaged)?;
    }
    scanner.finish().map_err(damaged)?;
    Ok(())
}

fn broken(what: &str) -> Error {
    Error::new(ErrorKind::Corrupt, format!("the list of contents of an object {what}"))
}
