//! Keeps what the snapshot does not have: found by the proof, kept by directory, removed at the end.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::report::Deletion;
use crate::error::{Error, ErrorKind};
use crate::repository::index::spill::nameless_in;
use crate::sink::Sink;

/// Names that are to go, each in its directory: in memory, and above [`IN_MEMORY`] in a file without a name.
#[derive(Debug, Default)]
pub(crate) struct Extras {
    /// Records: the directory's path, its names, an empty name; each string ends with a zero byte.
    memory: Vec<u8>,
    file: Option<BufWriter<File>>,
    /// The folder where a file may be made.
    dir: Option<std::path::PathBuf>,
    /// The directory of the last name.
    last: Option<Vec<u8>>,
    /// Whether not all of the names had a place: they have to be found once more.
    is_incomplete: bool,
    /// Counts and first names, for people.
    pub(crate) deletion: Deletion,
}

/// Bytes of names that stay in memory.
const IN_MEMORY: usize = 16 << 20;
/// Names that a deletion shows.
const SHOWN: usize = 10;
/// Names that are removed from a directory at once.
const AT_ONCE: usize = 10_000;

impl Extras {
    /// Makes an empty list; `dir` is a folder on a disk for what does not fit in memory.
    pub(crate) fn new(dir: Option<&Path>) -> Self {
        Extras { dir: dir.map(Path::to_owned), ..Extras::default() }
    }

    /// Takes in a name of the directory at `folder` (relative to the root), with what it counts for.
    pub(crate) fn push(&mut self, folder: &[u8], name: &CStr) {
        let mut record = Vec::new();
        if self.last.as_deref() != Some(folder) {
            if self.last.is_some() {
                record.push(0);
            }
            record.extend_from_slice(folder);
            record.push(0);
            self.last = Some(folder.to_owned());
        }
        record.extend_from_slice(name.to_bytes_with_nul());
        if self.is_incomplete {
            return;
        }
        if self.file.is_none() && self.memory.len() + record.len() > IN_MEMORY {
            let file = self.dir.as_deref().map(nameless_in);
            match file {
                Some(Ok(file)) => self.file = Some(BufWriter::new(file)),
                _ => self.is_incomplete = true,
            }
        }
        let kept = match &mut self.file {
            Some(file) => file.write_all(&record),
            None if self.is_incomplete => Ok(()),
            None => {
                self.memory.extend_from_slice(&record);
                Ok(())
            }
        };
        if kept.is_err() {
            // What was written may end in half a name.
            (self.file, self.dir, self.is_incomplete) = (None, None, true);
            self.memory.clear();
        }
    }

    /// Counts what goes: an entry with all that is below it.
    pub(crate) fn count(&mut self, path: String, is_dir: bool, entries: u64) {
        self.deletion.entries += entries;
        if self.deletion.first.len() < SHOWN {
            self.deletion.first.push(if is_dir { path + "/" } else { path });
        }
    }

    /// Whether there is anything to delete.
    pub(crate) fn is_empty(&self) -> bool {
        self.last.is_none()
    }

    /// Whether some of the names are not kept here.
    pub(crate) fn is_incomplete(&self) -> bool {
        self.is_incomplete
    }

    /// Removes all of the entries; what stays is in the sink's [`removals`](Sink::removals).
    ///
    /// # Errors
    /// When the file cannot be read back.
    pub(crate) fn remove(self, sink: &Sink, stop: &dyn Fn() -> bool) -> io::Result<()> {
        let mut records: Box<dyn BufRead> = Box::new(io::Cursor::new(self.memory));
        if let Some(file) = self.file {
            let mut file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
            file.seek(SeekFrom::Start(0))?;
            records = Box::new(BufReader::new(records.chain(file)));
        }
        let mut folder = Vec::new();
        while read_string(&mut records, &mut folder)? {
            loop {
                let mut names = Vec::new();
                let mut is_last = false;
                while names.len() < AT_ONCE {
                    let mut name = Vec::new();
                    if !read_string(&mut records, &mut name)? || name.is_empty() {
                        is_last = true;
                        break;
                    }
                    names.extend(CString::new(name));
                }
                if stop() {
                    return Ok(());
                }
                sink.remove_extras(&folder, &names);
                if is_last {
                    break;
                }
            }
        }
        Ok(())
    }
}

/// Makes the refusal to delete, with what would go.
pub(crate) fn refused(extras: &Extras, why: String) -> Error {
    let deletion = &extras.deletion;
    let names: Vec<_> = deletion.first.iter().map(|name| crate::error::shown(name).into_owned()).collect();
    let what = format!(
        "{} of {} entries would be deleted ({}): {why}",
        deletion.entries,
        deletion.of,
        names.join(", ")
    );
    Error::new(ErrorKind::Refused, what)
}

/// Reads up to a zero byte, which is dropped; false at the end.
fn read_string(records: &mut impl BufRead, into: &mut Vec<u8>) -> io::Result<bool> {
    into.clear();
    let read = records.read_until(0, into)?;
    if read > 0 && into.pop() != Some(0) {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(read > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_pushed_is_read_back_also_from_a_file() {
        // A list is never written to memory, which `/tmp` may be.
        let dir = tempfile::tempdir_in("/var/tmp").unwrap();
        let mut extras = Extras::new(Some(dir.path()));
        let long = CString::new(vec![b'x'; 200]).unwrap();
        extras.push(b"", c"top");
        for n in 0..100_000 {
            extras.push(format!("folder-{}", n / 50_000).as_bytes(), &long);
        }
        assert!(extras.file.is_some() && !extras.is_incomplete() && extras.memory.len() <= IN_MEMORY);
        let mut file = extras.file.unwrap().into_inner().unwrap();
        file.seek(SeekFrom::Start(0)).unwrap();
        let mut records = BufReader::new(io::Cursor::new(extras.memory).chain(file));
        let (mut strings, mut string) = (Vec::new(), Vec::new());
        while read_string(&mut records, &mut string).unwrap() {
            strings.push(string.clone());
        }
        assert_eq!(strings[..3], [b"".to_vec(), b"top".to_vec(), b"".to_vec()]);
        assert_eq!(strings.iter().filter(|s| s.len() == 200).count(), 100_000);
        assert_eq!(strings.iter().filter(|s| s.starts_with(b"folder-")).count(), 2);
    }

    #[test]
    fn without_a_place_the_list_ends_where_memory_does() {
        let mut extras = Extras::new(None);
        let long = CString::new(vec![b'x'; 200]).unwrap();
        for _ in 0..100_000 {
            extras.push(b"folder", &long);
        }
        assert!(extras.is_incomplete() && extras.memory.len() <= IN_MEMORY && extras.memory.len() % 201 == 7);
    }
}
