//! Writes objects: data as contents, and seek tables when there is more than one (§5.3).

use rekopia_format::ObjectId;

use super::splitter::{Cutter, Splitter};
use super::{RepositoryWriter, Result};

/// A part of an indirect object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// The bytes of the part.
    pub len: u64,
    /// The object that holds the part.
    pub object: ObjectId,
}

/// A writer that takes the data of one object in pieces of any size.
#[derive(Debug)]
pub struct ObjectWriter {
    prefix: u8,
    cutter: Cutter,
    /// The bytes that came since the last cut.
    chunk: Vec<u8>,
    parts: Vec<Part>,
}

impl ObjectWriter {
    /// Begins an object with a prefix (0 or `g`…`z`), cut by the repository's splitter.
    pub fn new(repository: &RepositoryWriter, prefix: u8) -> Self {
        Self::with_splitter(repository.splitter, prefix)
    }

    /// Begins an object that is cut by another splitter.
    pub fn with_splitter(splitter: Splitter, prefix: u8) -> Self {
        ObjectWriter { prefix, cutter: splitter.start(), chunk: Vec::new(), parts: Vec::new() }
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// As for [`RepositoryWriter::put_content`].
    pub fn write(&mut self, repository: &mut RepositoryWriter, mut data: &[u8]) -> Result<()> {
        while let Some(n) = self.cutter.next_cut(data) {
            let (last, rest) = data.split_at(n);
            if self.chunk.is_empty() {
                self.put_part(repository, last)?;
            } else {
                self.chunk.extend_from_slice(last);
                self.put_chunk(repository)?;
            }
            data = rest;
        }
        self.chunk.extend_from_slice(data);
        Ok(())
    }

    /// Returns the parts cut so far, for objects that are put together by hand.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Ends the object.
    ///
    /// # Errors
    /// As for [`RepositoryWriter::put_content`].
    pub fn finish(mut self, repository: &mut RepositoryWriter) -> Result<ObjectId> {
        if !self.chunk.is_empty() || self.parts.is_empty() {
            self.put_chunk(repository)?;
        }
        match self.parts[..] {
            [Part { object, .. }] => Ok(object),
            _ => repository.put_indirect(self.prefix, &self.parts),
        }
    }

    fn put_chunk(&mut self, repository: &mut RepositoryWriter) -> Result<()> {
        let mut chunk = std::mem::take(&mut self.chunk);
        self.put_part(repository, &chunk)?;
        chunk.clear();
        self.chunk = chunk;
        Ok(())
    }

    fn put_part(&mut self, repository: &mut RepositoryWriter, data: &[u8]) -> Result<()> {
        let object = repository.put_direct(self.prefix, data)?;
        self.parts.push(Part { len: data.len() as u64, object });
        Ok(())
    }
}

impl RepositoryWriter {
    /// Stores a whole object; `prefix` is 0 or `g`…`z`.
    ///
    /// # Errors
    /// As for [`RepositoryWriter::put_content`].
    pub fn put_object(&mut self, prefix: u8, data: &[u8]) -> Result<ObjectId> {
        if data.len() < self.splitter.min_size() {
            return self.put_direct(prefix, data);
        }
        let mut object = ObjectWriter::new(self, prefix);
        object.write(self, data)?;
        object.finish(self)
    }

    /// Stores a seek table over these parts, whatever they are, and returns the object that they form together.
    ///
    /// # Errors
    /// As for [`RepositoryWriter::put_content`].
    pub fn put_indirect(&mut self, prefix: u8, parts: &[Part]) -> Result<ObjectId> {
        let prefix = if prefix == 0 { b'x' } else { prefix };
        let mut table = ObjectWriter::new(self, prefix);
        let mut start = 0;
        table.write(self, br#"{"stream":"kopia:indirect","entries":["#)?;
        for (number, Part { len, object }) in parts.iter().enumerate() {
            let comma = if number == 0 { "" } else { "," };
            let start_field = if start == 0 { String::new() } else { format!("\"s\":{start},") };
            let len_field = if *len == 0 { String::new() } else { format!("\"l\":{len},") };
            table.write(self, format!("{comma}{{{start_field}{len_field}\"o\":\"{object}\"}}").as_bytes())?;
            start += len;
        }
        table.write(self, b"]}\n")?;
        let table = table.finish(self)?;
        Ok(ObjectId::parse(&format!("I{table}"))?)
    }

    /// Stores an object as one content; with index layout 1 data is compressed here (§3.5).
    fn put_direct(&mut self, prefix: u8, data: &[u8]) -> Result<ObjectId> {
        if self.options.index_version == 1
            && prefix == 0
            && let Some(mut compressor) = self.compressors[0].take()
        {
            let mut compressed = std::mem::take(&mut self.compressed);
            let smaller = compressor.compress(data, &mut compressed);
            let content = smaller.then(|| self.put(prefix, &compressed, false)).transpose();
            (self.compressors[0], self.compressed) = (Some(compressor), compressed);
            if let Some(content) = content? {
                return Ok(ObjectId::parse(&format!("Z{content}"))?);
            }
        }
        Ok(ObjectId::direct(self.put_content(prefix, data)?))
    }
}
