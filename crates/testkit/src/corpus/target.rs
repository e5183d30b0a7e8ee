//! Takes the data: into a repository, or a directory.

use std::fs::{self, File, FileTimes, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::Filling;
use crate::writer::{
    DirectoryWriter, Entry, EntryKind, Error, Metadata, ObjectWriter, RepositoryWriter, Result,
};

/// A place that takes a tree, directory by directory: in each first the directories, then the files, both in the order
/// of names.
pub trait Target {
    /// Begins a directory in the current one.
    ///
    /// # Errors
    /// Those of the target.
    fn enter(&mut self, name: &str, metadata: Metadata) -> Result<()>;

    /// Stores a file in the current directory.
    ///
    /// # Errors
    /// Those of the target.
    fn file(&mut self, name: &str, metadata: Metadata, filling: Filling) -> Result<()>;

    /// Ends the current directory.
    ///
    /// # Errors
    /// Those of the target.
    fn leave(&mut self) -> Result<()>;
}

const ROOT: Metadata = Metadata { mode: 0o755, uid: 1000, gid: 1000, mtime_ns: 1_735_689_600_000_000_000 };

/// Stores a tree and returns its root, which no snapshot refers to yet.
///
/// # Errors
/// Those of the writer.
pub fn write_repository(
    repository: &mut RepositoryWriter,
    tree: impl FnOnce(&mut dyn Target) -> Result<()>,
) -> Result<Entry<'static>> {
    let open = vec![(String::from("data"), ROOT, DirectoryWriter::new(repository))];
    let mut target = RepositoryTarget { repository, open, block: Vec::new() };
    tree(&mut target)?;
    let (name, metadata, root) = target.open.pop().expect("every directory entered was left");
    root.finish(target.repository, name.into_bytes(), metadata)
}

/// Writes a tree to the disk, owned by the user who runs this.
///
/// # Errors
/// Those of the file system, as [`Error::Source`].
pub fn write_directory(root: &Path, tree: impl FnOnce(&mut dyn Target) -> Result<()>) -> Result<()> {
    let mut target = DirectoryTarget { open: vec![], block: Vec::new() };
    target.begin(root.to_owned(), ROOT)?;
    tree(&mut target)?;
    target.leave()
}

struct RepositoryTarget<'a> {
    repository: &'a mut RepositoryWriter,
    open: Vec<(String, Metadata, DirectoryWriter)>,
    block: Vec<u8>,
}

impl RepositoryTarget<'_> {
    fn add(&mut self, entry: &Entry<'_>) -> Result<()> {
        let (_, _, current) = self.open.last_mut().expect("the root is open");
        current.add(self.repository, entry)
    }
}

impl Target for RepositoryTarget<'_> {
    fn enter(&mut self, name: &str, metadata: Metadata) -> Result<()> {
        self.open.push((name.to_owned(), metadata, DirectoryWriter::new(self.repository)));
        Ok(())
    }

    fn file(&mut self, name: &str, metadata: Metadata, mut filling: Filling) -> Result<()> {
        let size = filling.left();
        filling.next_block(&mut self.block);
        let object = if filling.left() == 0 {
            self.repository.put_object(0, &self.block)?
        } else {
            let mut object = ObjectWriter::new(self.repository, 0);
            object.write(self.repository, &self.block)?;
            while filling.next_block(&mut self.block) {
                object.write(self.repository, &self.block)?;
            }
            object.finish(self.repository)?
        };
        let name = name.as_bytes().into();
        self.add(&Entry { name, kind: EntryKind::File(size), metadata, object: Some(object) })
    }

    fn leave(&mut self) -> Result<()> {
        let (name, metadata, directory) = self.open.pop().expect("a directory was entered");
        let entry = directory.finish(self.repository, name.as_bytes(), metadata)?;
        self.add(&entry)
    }
}

struct DirectoryTarget {
    open: Vec<(PathBuf, Metadata)>,
    block: Vec<u8>,
}

impl DirectoryTarget {
    fn current(&self) -> &Path {
        &self.open.last().expect("the root is open").0
    }

    fn begin(&mut self, path: PathBuf, metadata: Metadata) -> Result<()> {
        fs::create_dir(&path).map_err(failed(&path))?;
        self.open.push((path, metadata));
        Ok(())
    }
}

impl Target for DirectoryTarget {
    fn enter(&mut self, name: &str, metadata: Metadata) -> Result<()> {
        self.begin(self.current().join(name), metadata)
    }

    fn file(&mut self, name: &str, metadata: Metadata, mut filling: Filling) -> Result<()> {
        let path = self.current().join(name);
        let mut file = File::create_new(&path).map_err(failed(&path))?;
        while filling.next_block(&mut self.block) {
            file.write_all(&self.block).map_err(failed(&path))?;
        }
        finish(&file, metadata).map_err(failed(&path))
    }

    fn leave(&mut self) -> Result<()> {
        let (path, metadata) = self.open.pop().expect("a directory was entered");
        File::open(&path).and_then(|directory| finish(&directory, metadata)).map_err(failed(&path))
    }
}

/// Sets permissions and time.
fn finish(file: &File, metadata: Metadata) -> io::Result<()> {
    file.set_permissions(Permissions::from_mode(metadata.mode))?;
    let time = SystemTime::UNIX_EPOCH + Duration::from_nanos(metadata.mtime_ns.max(0) as u64);
    file.set_times(FileTimes::new().set_modified(time))
}

fn failed(path: &Path) -> impl Fn(io::Error) -> Error {
    let path = path.display().to_string();
    move |source| Error::Source { path: path.clone(), source }
}
