//! A tiny repository whose plaintexts an input has changed before they were sealed.

use std::io::Write;

use flate2::write::GzEncoder;
use rekopia_format::{BlobId, ContentId, ObjectId};
use rekopia_testkit::storage::MemoryBlobs;
use rekopia_testkit::writer::{IndexEntry, RepositoryWriter, Result, WriterOptions};

use crate::changes::change;
use crate::input::Input;

pub(crate) const PASSWORD: &str = "test-password";
pub(crate) const TEXT: &[u8] =
    b"what a file holds, which compresses well: well, well, well, well, well, well, well";

/// Documents that can be changed, in the order in which they are written.
const DOCUMENTS: usize = 6;
const ATTRIBUTES: &str = r#""mode":"0644","mtime":"2026-11-20T02:00:03.5Z","uid":0,"gid":0"#;

struct Builder<'a> {
    writer: RepositoryWriter,
    /// The parts of the input that change each document.
    changes: [Vec<&'a [u8]>; DOCUMENTS],
    ids: Vec<String>,
}

/// Writes the repository; `Err` when something was asked for that the writer cannot write. `true`: it is unchanged.
pub(crate) fn written(memory: &MemoryBlobs, data: &[u8]) -> Result<bool> {
    let mut input = Input(data);
    let options = options(input.byte());
    let writer = RepositoryWriter::create(memory.clone(), options)?;
    let mut builder = Builder { writer, changes: Default::default(), ids: Vec::new() };
    // The first parts change documents, the rest changes what points to them.
    let parts = usize::from(input.byte() % 12);
    for _ in 0..parts {
        let document = usize::from(input.byte()) % DOCUMENTS;
        let len = usize::from(input.byte() % 80);
        builder.changes[document].push(input.take(len));
    }
    builder.tree()?;
    let is_changed = builder.changes.iter().any(|changes| !changes.is_empty()) || !input.is_empty();
    builder.falsify(&mut input)?;
    builder.writer.flush()?;
    builder.misplace(&mut input, memory)?;
    Ok(!is_changed)
}

fn options(seed: u8) -> WriterOptions {
    let version = [3, 3, 2, 1][usize::from(seed % 4)];
    let mut options = WriterOptions::of_version(version);
    options.compression =
        [None, Some("zstd"), Some("s2-default"), Some("gzip")][usize::from(seed / 4 % 4)].map(Into::into);
    options.ecc_percent = if version > 1 && seed & 0x10 != 0 { 2 } else { 0 };
    if seed & 0x20 != 0 {
        options.epochs = false;
    }
    options
}

impl Builder<'_> {
    /// A root with a file, a file of several parts, a link, and a folder with a file.
    fn tree(&mut self) -> Result<()> {
        let file = self.put(0, 0, TEXT.to_vec())?;
        let (n, twice) = (TEXT.len(), TEXT.len() * 2);
        let table = format!(
            r#"{{"stream":"kopia:indirect","entries":[{{"l":{n},"o":"{file}"}},{{"s":{n},"l":{n},"o":"{file}"}}]}}"#
        );
        let table = self.put(1, b'x', table.into_bytes())?;
        let link = self.put(2, 0, b"a".to_vec())?;
        let inner = format!(r#"{{"name":"a","type":"f",{ATTRIBUTES},"size":{n},"obj":"{file}"}}"#);
        let sub = self.put(3, b'k', directory(&inner))?;
        let root = format!(
            r#"{{"name":"sub","type":"d",{ATTRIBUTES},"obj":"{sub}","summ":{SUMMARY}}},{inner},{{"name":"b","type":"f",{ATTRIBUTES},"size":{twice},"obj":"I{table}"}},{{"name":"link","type":"s",{ATTRIBUTES},"size":1,"obj":"{link}"}}"#
        );
        let root = self.put(4, b'k', directory(&root))?;
        let manifest = format!(
            r#"{{"entries":[{{"id":"0123456789abcdef0123456789abcdef","labels":{{"type":"snapshot","hostname":"h","username":"u","path":"/p"}},"modified":"2026-11-20T02:00:03Z","data":{{"id":"","source":{{"host":"h","userName":"u","path":"/p"}},"description":"","startTime":"2026-11-20T02:00:03Z","endTime":"2026-11-20T02:00:04Z","stats":{{"totalSize":0,"fileCount":3,"dirCount":2}},"rootEntry":{{"name":"p","type":"d",{ATTRIBUTES},"obj":"{root}","summ":{SUMMARY}}}}}}}]}}"#
        );
        let manifest = self.changed(5, manifest.into_bytes());
        let mut gzip = GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&manifest).expect("memory takes it");
        self.writer.put_content(b'm', &gzip.finish().expect("memory takes it"))?;
        Ok(())
    }

    fn changed(&mut self, number: usize, mut document: Vec<u8>) -> Vec<u8> {
        for part in &self.changes[number] {
            change(&mut document, &mut Input(part), &self.ids);
        }
        document
    }

    fn put(&mut self, number: usize, prefix: u8, document: Vec<u8>) -> Result<ObjectId> {
        let document = self.changed(number, document);
        let id = self.writer.put_object(prefix, &document)?;
        self.ids.push(id.to_string());
        Ok(id)
    }

    fn content(&self, number: u8) -> Option<ContentId> {
        let id = self.ids.get(usize::from(number) % self.ids.len())?;
        Some(*ObjectId::parse(id).ok()?.content())
    }

    /// Puts other bytes under known names: only who has the keys can, and a folder may then hold itself.
    fn falsify(&mut self, input: &mut Input<'_>) -> Result<()> {
        for _ in 0..input.byte() % 3 {
            let (under, held) = (input.byte(), input.byte());
            let (Some(id), Some(held)) = (self.content(under), self.content(held)) else { continue };
            let entry =
                format!(r#"{{"name":"again","type":"d",{ATTRIBUTES},"obj":"{held}","summ":{SUMMARY}}}"#);
            let later = self.writer.now() + 1;
            self.writer.put_false_content(id, &directory(&entry), later)?;
        }
        Ok(())
    }

    /// Says of contents that they are elsewhere, longer, deleted, compressed.
    fn misplace(&mut self, input: &mut Input<'_>, memory: &MemoryBlobs) -> Result<()> {
        let packs: Vec<String> = memory.blobs.lock().expect("nobody else").keys().cloned().collect();
        for _ in 0..input.byte() % 4 {
            let number = input.byte();
            let Some(id) = self.content(number) else { continue };
            let pack = packs.get(usize::from(input.byte()) % packs.len()).expect("there are blobs");
            self.writer.put_entry(IndexEntry {
                id,
                pack: BlobId::parse(pack)?,
                offset: u32::from(input.u16()) << (input.byte() % 16),
                packed_len: u32::from(input.u16()) << (input.byte() % 12),
                original_len: u32::from(input.u16()) << (input.byte() % 12),
                timestamp: self.writer.now() + 2,
                deleted: input.byte() % 4 == 0,
                compression: u32::from(input.u16()),
                format_version: input.byte() % 5,
            });
        }
        self.writer.flush()
    }
}

const SUMMARY: &str =
    r#"{"size":0,"files":1,"symlinks":0,"dirs":1,"maxTime":"2026-11-20T02:00:03Z","numFailed":0}"#;

fn directory(entries: &str) -> Vec<u8> {
    format!(r#"{{"stream":"kopia:directory","entries":[{entries}],"summary":{SUMMARY}}}"#).into_bytes()
}
