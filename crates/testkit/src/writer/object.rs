//! Objects, directories and the small encodings around them (§3.8, §5.3, §7).

use std::io::Write;

use rekopia_format::ObjectId;
use rekopia_format::ids::ContentId;
use serde_json::{Value, json};

use super::RepositoryWriter;
use super::splitter::Splitter;

/// An entry of a directory.
#[derive(Debug, Clone)]
pub struct EntrySpec {
    /// Its name.
    pub name: String,
    /// `d`, `f`, `s` or anything else.
    pub kind: char,
    /// Permission bits with setuid, setgid and sticky, in the positions of Unix.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Recorded size.
    pub size: u64,
    /// Nanoseconds since 1970.
    pub mtime_ns: i64,
    /// Object ID, as text so that a test can write nonsense.
    pub object: String,
    /// Totals of a directory.
    pub summary: Option<Summary>,
}

/// Totals of a directory.
#[derive(Debug, Clone, Copy, Default)]
pub struct Summary {
    /// Bytes of files.
    pub size: u64,
    /// Files.
    pub files: u64,
    /// Symbolic links.
    pub symlinks: u64,
    /// Directories with this one.
    pub dirs: u64,
}

impl EntrySpec {
    /// A file or link with usual attributes.
    pub fn new(name: &str, kind: char, size: u64, object: &str) -> Self {
        let mode = if kind == 'd' { 0o755 } else { 0o644 };
        let (mtime_ns, object) = (1_700_000_000_123_456_789, object.to_owned());
        EntrySpec { name: name.into(), kind, mode, uid: 0, gid: 0, size, mtime_ns, object, summary: None }
    }

    /// As stored.
    pub fn to_json(&self) -> Value {
        let special = (self.mode >> 11 & 1) << 23 | (self.mode >> 10 & 1) << 22 | (self.mode >> 9 & 1) << 20;
        let mut entry = json!({
            "name": self.name, "type": self.kind.to_string(), "mode": format!("0{:o}", self.mode & 0o777 | special),
            "size": self.size, "mtime": time_of(self.mtime_ns), "uid": self.uid, "gid": self.gid, "obj": self.object,
        });
        if let Some(s) = &self.summary {
            entry["summ"] = s.to_json();
        }
        entry
    }
}

impl Summary {
    fn to_json(self) -> Value {
        json!({"size": self.size, "files": self.files, "symlinks": self.symlinks, "dirs": self.dirs,
               "maxTime": "2026-01-01T00:00:00Z", "numFailed": 0})
    }

    fn add(&mut self, entry: &EntrySpec) {
        match (entry.kind, &entry.summary) {
            ('d', Some(below)) => {
                self.size += below.size;
                self.files += below.files;
                self.symlinks += below.symlinks;
                self.dirs += below.dirs;
            }
            ('s', _) => self.symlinks += 1,
            _ => {
                self.files += 1;
                self.size += entry.size;
            }
        }
    }
}

/// Cuts a stream into contents and notes their places.
struct ObjectWriter {
    prefix: u8,
    compression: u32,
    splitter: Splitter,
    chunk: Vec<u8>,
    parts: Vec<(u64, String)>,
}

impl RepositoryWriter {
    /// Stores file data.
    pub fn write_object(&mut self, data: &[u8]) -> String {
        let compression = self.options.compression;
        self.object_of(0, compression, data)
    }

    /// Stores an object of any prefix.
    pub fn object_of(&mut self, prefix: u8, compression: u32, data: &[u8]) -> String {
        let mut writer = self.object_writer(prefix, compression);
        writer.write(self, data);
        writer.finish(self)
    }

    /// A directory whose entries come one by one.
    pub fn directory(&mut self) -> DirectoryWriter {
        let mut object = self.object_writer(b'k', self.options.metadata_compression);
        object.write(self, br#"{"stream":"kopia:directory","entries":["#);
        DirectoryWriter { object, first: true, summary: Summary { dirs: 1, ..Summary::default() } }
    }

    fn object_writer(&self, prefix: u8, compression: u32) -> ObjectWriter {
        let splitter = Splitter::parse(&self.options.splitter).unwrap();
        ObjectWriter { prefix, compression, splitter, chunk: Vec::new(), parts: Vec::new() }
    }

    /// One chunk of an object; with layout 1 unprefixed chunks are compressed as a whole.
    fn put_chunk(&mut self, prefix: u8, chunk: &[u8], compression: u32) -> String {
        if self.options.index_version() == 1
            && prefix == 0
            && compression != 0
            && let Some(packed) = self.compress(compression, chunk)
        {
            return format!("Z{}", self.put_content(0, &packed, 0));
        }
        let id: ContentId = self.put_content(prefix, chunk, compression);
        ObjectId::direct(id).to_string()
    }
}

impl ObjectWriter {
    fn write(&mut self, repository: &mut RepositoryWriter, mut data: &[u8]) {
        while let Some(n) = self.splitter.next(data) {
            self.chunk.extend_from_slice(&data[..n]);
            data = &data[n..];
            self.end_chunk(repository);
        }
        self.chunk.extend_from_slice(data);
    }

    fn end_chunk(&mut self, repository: &mut RepositoryWriter) {
        let id = repository.put_chunk(self.prefix, &self.chunk, self.compression);
        self.parts.push((self.chunk.len() as u64, id));
        self.chunk.clear();
    }

    fn finish(mut self, repository: &mut RepositoryWriter) -> String {
        if !self.chunk.is_empty() || self.parts.is_empty() {
            self.end_chunk(repository);
        }
        if let [(_, only)] = &self.parts[..] {
            return only.clone();
        }
        let mut start = 0;
        let mut entries = Vec::with_capacity(self.parts.len());
        for (len, id) in &self.parts {
            entries.push(json!({"s": start, "l": len, "o": id}));
            start += len;
        }
        let table = format!("{}\n", json!({"stream": "kopia:indirect", "entries": entries}));
        let prefix = if self.prefix == 0 { b'x' } else { self.prefix };
        let compression = repository.options.metadata_compression;
        format!("I{}", repository.object_of(prefix, compression, table.as_bytes()))
    }
}

/// A directory that is being written.
pub struct DirectoryWriter {
    object: ObjectWriter,
    first: bool,
    summary: Summary,
}

impl DirectoryWriter {
    /// Adds an entry.
    pub fn add(&mut self, repository: &mut RepositoryWriter, entry: &EntrySpec) {
        self.summary.add(entry);
        let comma = if std::mem::take(&mut self.first) { "" } else { "," };
        self.object.write(repository, format!("{comma}{}", entry.to_json()).as_bytes());
    }

    /// Ends the directory; gives its entry for the directory above.
    pub fn finish(mut self, repository: &mut RepositoryWriter, name: &str) -> EntrySpec {
        let end = format!("],\"summary\":{}}}\n", self.summary.to_json());
        self.object.write(repository, end.as_bytes());
        let mut entry = EntrySpec::new(name, 'd', 0, "");
        entry.summary = Some(self.summary);
        entry.object = self.object.finish(repository);
        entry
    }
}

/// The end of a pack (§3.8).
pub(super) fn postamble(iv: &[u8], offset: u64, len: u64) -> Vec<u8> {
    let mut out = vec![1];
    uvarint(&mut out, iv.len() as u64);
    out.extend_from_slice(iv);
    uvarint(&mut out, offset);
    uvarint(&mut out, len);
    let crc = crc32(&out);
    out.extend(crc.to_be_bytes());
    out.push(out.len() as u8);
    out
}

fn uvarint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn crc32(data: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(data);
    crc.sum()
}

pub(super) fn compress(header_id: u32, plain: &[u8]) -> Vec<u8> {
    match header_id {
        0x1000..=0x1002 | 0x1300..=0x1302 => gzip(plain),
        0x1500..=0x1502 => {
            let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(plain).unwrap();
            encoder.finish().unwrap()
        }
        0x1400 => {
            let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
            encoder.write_all(plain).unwrap();
            encoder.finish().unwrap()
        }
        other => panic!("cannot compress with {other:#x}"),
    }
}

pub(super) fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

pub(super) fn time_of(ns: i64) -> String {
    rekopia_format::time::format_rfc3339_nanos(ns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn postambles_of_the_format_document() {
        let iv: Vec<u8> = (0..16).collect();
        assert_eq!(
            hex::encode(postamble(&iv, 8192, 300)),
            "0110000102030405060708090a0b0c0d0e0f8040ac020025a5021a"
        );
    }
}
