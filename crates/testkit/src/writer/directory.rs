//! Writes directories: entries one by one become a directory object (§7), byte for byte as Kopia encodes it.

use std::borrow::Cow;
use std::io::Write;

use rekopia_format::ObjectId;
use rekopia_format::Time;
use rekopia_format::directory::DirectorySummary;
use rekopia_format::time::format_rfc3339_nanos;

use super::{ObjectWriter, RepositoryWriter, Result};

/// Owner, permissions and time of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metadata {
    /// The permission bits with setuid, setgid and sticky, where Unix has them.
    pub mode: u32,
    /// The owner's numeric user ID.
    pub uid: u32,
    /// The owner's numeric group ID.
    pub gid: u32,
    /// The modification time, in nanoseconds since 1970.
    pub mtime_ns: i64,
}

/// The kind of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// A directory with its totals.
    Directory(Box<DirectorySummary>),
    /// A file with its size in bytes.
    File(u64),
    /// A symbolic link with the length of its target.
    Symlink(u64),
    /// A kind of entry that Kopia does not have.
    Other(char),
}

/// An entry of a directory, or the root of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The name: any bytes; those that are not UTF-8 are stored as U+FFFD.
    pub name: Cow<'a, [u8]>,
    /// The kind of the entry.
    pub kind: EntryKind,
    /// The owner, permissions and time.
    pub metadata: Metadata,
    /// The object with the data; `None` is stored as the empty ID.
    pub object: Option<ObjectId>,
}

/// A writer of one directory. Entries are not kept, so it can have any number of them.
#[derive(Debug)]
pub struct DirectoryWriter {
    object: ObjectWriter,
    summary: DirectorySummary,
    entries: u64,
    json: Vec<u8>,
}

impl DirectoryWriter {
    /// Begins a directory.
    pub fn new(repository: &RepositoryWriter) -> Self {
        let mut summary = DirectorySummary::default();
        summary.dirs = 1;
        DirectoryWriter { object: ObjectWriter::new(repository, b'k'), summary, entries: 0, json: Vec::new() }
    }

    /// Adds an entry. Kopia's order is directories first, then everything else, each sorted by name; it is not
    /// enforced.
    ///
    /// # Errors
    /// As for [`RepositoryWriter::put_content`].
    pub fn add(&mut self, repository: &mut RepositoryWriter, entry: &Entry<'_>) -> Result<()> {
        let total = &mut self.summary;
        total.max_time = total.max_time.max(Time::from_unix_nanos(entry.metadata.mtime_ns));
        match &entry.kind {
            EntryKind::File(size) => {
                total.files += 1;
                total.size += size;
            }
            EntryKind::Symlink(_) => total.symlinks += 1,
            EntryKind::Other(_) => {}
            EntryKind::Directory(below) => {
                total.size += below.size;
                total.files += below.files;
                total.symlinks += below.symlinks;
                total.dirs += below.dirs;
                total.max_time = total.max_time.max(below.max_time);
            }
        }
        let mut json = std::mem::take(&mut self.json);
        json.clear();
        push_entry(&mut json, entry);
        self.add_raw(repository, &json)?;
        self.json = json;
        Ok(())
    }

    /// Adds an entry as this JSON, which need not be an entry. It does not count in the summary.
    ///
    /// # Errors
    /// As for [`RepositoryWriter::put_content`].
    pub fn add_raw(&mut self, repository: &mut RepositoryWriter, json: &[u8]) -> Result<()> {
        let before: &[u8] =
            if self.entries == 0 { br#"{"stream":"kopia:directory","entries":["# } else { b"," };
        self.object.write(repository, before)?;
        self.entries += 1;
        self.object.write(repository, json)
    }

    /// Returns the totals so far, which may be changed: an incomplete directory, failures.
    pub fn summary_mut(&mut self) -> &mut DirectorySummary {
        &mut self.summary
    }

    /// Ends the directory and returns its entry.
    ///
    /// # Errors
    /// As for [`RepositoryWriter::put_content`].
    pub fn finish<'a>(
        mut self,
        repository: &mut RepositoryWriter,
        name: impl Into<Cow<'a, [u8]>>,
        metadata: Metadata,
    ) -> Result<Entry<'a>> {
        let mut json = if self.entries == 0 {
            self.summary.max_time = Time::from_unix_nanos(metadata.mtime_ns);
            br#"{"stream":"kopia:directory","entries":null"#.to_vec()
        } else {
            b"]".to_vec()
        };
        json.extend_from_slice(b",\"summary\":");
        push_summary(&mut json, &self.summary);
        json.extend_from_slice(b"}\n");
        self.object.write(repository, &json)?;
        let object = Some(self.object.finish(repository)?);
        Ok(Entry { name: name.into(), kind: EntryKind::Directory(Box::new(self.summary)), metadata, object })
    }
}

impl RepositoryWriter {
    /// Stores the data of a file and returns its entry.
    ///
    /// # Errors
    /// As for [`RepositoryWriter::put_content`].
    pub fn put_file<'a>(
        &mut self,
        name: impl Into<Cow<'a, [u8]>>,
        metadata: Metadata,
        data: &[u8],
    ) -> Result<Entry<'a>> {
        let object = Some(self.put_object(0, data)?);
        Ok(Entry { name: name.into(), kind: EntryKind::File(data.len() as u64), metadata, object })
    }

    /// Stores the target of a symbolic link and returns its entry.
    ///
    /// # Errors
    /// As for [`RepositoryWriter::put_content`].
    pub fn put_symlink<'a>(
        &mut self,
        name: impl Into<Cow<'a, [u8]>>,
        metadata: Metadata,
        target: &[u8],
    ) -> Result<Entry<'a>> {
        let object = Some(ObjectId::direct(self.put(0, target, false)?));
        Ok(Entry { name: name.into(), kind: EntryKind::Symlink(target.len() as u64), metadata, object })
    }
}

/// Appends an entry as JSON (§7.2).
pub(super) fn push_entry(out: &mut Vec<u8>, entry: &Entry<'_>) {
    out.push(b'{');
    if !entry.name.is_empty() {
        out.extend_from_slice(b"\"name\":");
        push_string(out, &entry.name);
        out.push(b',');
    }
    let (letter, size) = match entry.kind {
        EntryKind::Directory(_) => ('d', 0),
        EntryKind::File(size) => ('f', size),
        EntryKind::Symlink(size) => ('s', size),
        EntryKind::Other(letter) => (letter, 0),
    };
    let meta = &entry.metadata;
    push(out, format_args!("\"type\":\"{letter}\""));
    if meta.mode != 0 {
        push(out, format_args!(",\"mode\":\"0{:o}\"", go_mode(meta.mode)));
    }
    if size != 0 {
        push(out, format_args!(",\"size\":{size}"));
    }
    if meta.mtime_ns != 0 {
        push(out, format_args!(",\"mtime\":\"{}\"", format_rfc3339_nanos(meta.mtime_ns)));
    }
    for (field, id) in [("uid", meta.uid), ("gid", meta.gid)] {
        if id != 0 {
            push(out, format_args!(",\"{field}\":{id}"));
        }
    }
    match &entry.object {
        Some(object) => push(out, format_args!(",\"obj\":\"{object}\"")),
        None => push(out, format_args!(",\"obj\":\"\"")),
    }
    if let EntryKind::Directory(summary) = &entry.kind {
        out.extend_from_slice(b",\"summ\":");
        push_summary(out, summary);
    }
    out.push(b'}');
}

fn push_summary(out: &mut Vec<u8>, summary: &DirectorySummary) {
    let DirectorySummary { size, files, symlinks, dirs, .. } = summary;
    let time = summary.max_time;
    push(out, format_args!("{{\"size\":{size},\"files\":{files},\"symlinks\":{symlinks},\"dirs\":{dirs}"));
    push(out, format_args!(",\"maxTime\":\"{time}\""));
    if let Some(why) = &summary.incomplete {
        out.extend_from_slice(b",\"incomplete\":");
        push_string(out, why.as_bytes());
    }
    push(out, format_args!(",\"numFailed\":{}", summary.num_failed));
    if summary.num_ignored_errors != 0 {
        push(out, format_args!(",\"numIgnoredErrors\":{}", summary.num_ignored_errors));
    }
    for (number, failure) in summary.errors.iter().enumerate() {
        out.extend_from_slice(if number == 0 { b",\"errors\":[{\"path\":" } else { b",{\"path\":" });
        push_string(out, failure.path.as_bytes());
        out.extend_from_slice(b",\"error\":");
        push_string(out, failure.error.as_bytes());
        out.push(b'}');
    }
    out.extend_from_slice(if summary.errors.is_empty() { b"}" } else { b"]}" });
}

/// Returns Unix permission bits as Go has them (§7.3).
fn go_mode(mode: u32) -> u32 {
    let bit = |unix: u32, go: u32| if mode & unix != 0 { 1 << go } else { 0 };
    mode & 0o777 | bit(0o4000, 23) | bit(0o2000, 22) | bit(0o1000, 20)
}

/// Appends a JSON string with Go's escapes; every byte that is not UTF-8 becomes U+FFFD (§0, §7.5).
fn push_string(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    for chunk in text.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '"' | '\\' => out.extend([b'\\', c as u8]),
                '\n' => out.extend_from_slice(b"\\n"),
                '\r' => out.extend_from_slice(b"\\r"),
                '\t' => out.extend_from_slice(b"\\t"),
                '\u{8}' => out.extend_from_slice(b"\\b"),
                '\u{c}' => out.extend_from_slice(b"\\f"),
                '\0'..='\u{1f}' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                    push(out, format_args!("\\u{:04x}", c as u32));
                }
                _ => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        chunk.invalid().iter().for_each(|_| out.extend_from_slice("\u{fffd}".as_bytes()));
    }
    out.push(b'"');
}

fn push(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writing into memory does not fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_modes_are_encoded_like_go() {
        let encode = |name: &[u8]| {
            let mut out = Vec::new();
            push_string(&mut out, name);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(encode(b"a<b>&c"), r#""a\u003cb\u003e\u0026c""#);
        assert_eq!(encode(b"a\xffb"), "\"a\u{fffd}b\"");
        assert_eq!(encode(b"\xe2\x82"), "\"\u{fffd}\u{fffd}\"");
        assert_eq!(encode("\"\\\n\u{1}\u{2028}/é".as_bytes()), r#""\"\\\n\u0001\u2028/é""#);
        for (unix, go) in
            [(0o4755, 0o40000755), (0o2755, 0o20000755), (0o1777, 0o4000777), (0o7777, 0o64000777)]
        {
            assert_eq!(go_mode(unix), go);
        }
    }
}
