//! Reads a repository in a directory of a local (or mounted) file system, in Kopia's sharded layout (§1.3, §1.4).
//!
//! Nothing is ever created here, not even a missing `.shards`: the directory may be read-only.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rekopia_format::BlobId;
use rekopia_format::Time;
use rekopia_format::sharding::Sharding;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::error::{BlobError, BlobErrorKind};
use crate::folders::elsewhere::Elsewhere;
use crate::folders::names::{is_surely_blob, not_a_file};
use crate::folders::sharded::{Layout, Walk};
use crate::reader::{BlobInfo, BlobReader, BoxFuture, StorageProfile, Usage};

/// Reads blobs below a directory.
#[derive(Debug)]
pub struct FilesystemBlobs {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    layout: Layout,
    elsewhere: Elsewhere,
}

impl FilesystemBlobs {
    /// Looks at the directory and its `.shards` file; `dir_shards` is the layout that Kopia's configuration names for
    /// repositories without one.
    ///
    /// # Errors
    /// [`BlobErrorKind::NotFound`] when only the last folder of `root` is missing, [`BlobErrorKind::NoPlace`] when more of
    /// it is, or when it is a link that leads nowhere; [`BlobErrorKind::Settings`] when it is not a directory,
    /// [`BlobErrorKind::Damaged`] when `.shards` cannot be understood.
    pub fn open(root: &Path, dir_shards: Option<&[usize]>) -> Result<Self, BlobError> {
        let here = |what: &str| format!("{what} {}", root.display());
        let meta = std::fs::metadata(root).map_err(|e| match e.kind() {
            ErrorKind::NotFound => no_folder(root),
            _ => io_error(e, here("looking at")),
        })?;
        if !meta.is_dir() {
            return Err(BlobError::new(BlobErrorKind::Settings, here("not a directory:")));
        }
        let shards = match read_small(&root.join(".shards")) {
            Ok(text) => Some(text),
            Err(e) if e.kind() == ErrorKind::NotFound => None,
            Err(e) => return Err(io_error(e, here("reading .shards in"))),
        };
        let layout = match Layout::parse(shards.as_deref(), dir_shards) {
            Ok(layout) => layout,
            Err(e) => Layout::instead(e, seen(root)?, &root.display().to_string())?,
        };
        let inner = Inner { root: root.to_path_buf(), layout, elsewhere: Elsewhere::default() };
        Ok(FilesystemBlobs { inner: Arc::new(inner) })
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T, BlobError> + Send + 'static,
    ) -> Result<T, BlobError> {
        let inner = Arc::clone(&self.inner);
        match tokio::task::spawn_blocking(move || work(&inner)).await {
            Ok(result) => result,
            Err(e) => Err(BlobError::new(BlobErrorKind::Unavailable, "a reading thread stopped").because(e)),
        }
    }
}

impl BlobReader for FilesystemBlobs {
    fn read<'a>(
        &'a self,
        id: &'a BlobId,
        range: Option<Range<u64>>,
        into: Vec<u8>,
    ) -> BoxFuture<'a, Result<Vec<u8>, BlobError>> {
        let id = id.clone();
        Box::pin(self.blocking(move |inner| inner.read(&id, range, into)))
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<BlobInfo>, BlobError>> {
        let prefix = prefix.to_owned();
        Box::pin(self.blocking(move |inner| inner.walked(Walk::all(&[&prefix]))))
    }

    fn stat<'a>(&'a self, id: &'a BlobId) -> BoxFuture<'a, Result<BlobInfo, BlobError>> {
        let id = id.clone();
        Box::pin(self.blocking(move |inner| {
            let file = inner.open(&id)?;
            let meta = file.metadata().map_err(|e| io_error(e, "looking at it".into()).of(&id))?;
            Ok(info(id, &meta))
        }))
    }

    fn any<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<bool, BlobError>> {
        let prefix = prefix.to_owned();
        Box::pin(self.blocking(move |inner| Ok(!inner.walked(Walk::any(&[&prefix]))?.is_empty())))
    }

    fn look_elsewhere(&self) -> BoxFuture<'_, Result<bool, BlobError>> {
        Box::pin(self.blocking(|inner| {
            let walk = walked(&inner.root, Walk::format_blob())?;
            if walk.has_found() {
                inner.elsewhere.note(&walk);
                let place = inner.root.display();
                tracing::warn!("{place}: the repository has the layout of another kind of storage");
            }
            Ok(walk.has_found())
        }))
    }

    fn distrust(&self, _id: &BlobId) {}

    fn usage(&self) -> Usage {
        Usage::default()
    }

    fn profile(&self) -> StorageProfile {
        StorageProfile { in_flight: 4, gap: 64 * 1024, local: true }
    }

    fn folder(&self) -> Option<PathBuf> {
        Some(self.inner.root.clone())
    }

    fn describe(&self) -> String {
        self.inner.root.display().to_string()
    }
}

impl Inner {
    fn open(&self, id: &BlobId) -> Result<File, BlobError> {
        let path = self.layout.path(id);
        let at = |path: &str| {
            let path = self.root.join(path);
            let leads_nowhere = |e: &io::Error| {
                matches!(e.raw_os_error().map(Errno::from_raw_os_error), Some(Errno::NOENT | Errno::LOOP))
                    && std::fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_symlink())
            };
            open_file(&path).map_err(|e| match leads_nowhere(&e) {
                true => BlobError::new(BlobErrorKind::Damaged, "a link that leads nowhere").of(id),
                false => io_error(e, "opening it".into()).of(id),
            })
        };
        match at(&path) {
            Err(e) if e.is_not_found() && self.elsewhere.is_on() => self.open_elsewhere(id, &path, e, at),
            Err(e) if e.is_not_found() => {
                if self.layout.is_unseen() {
                    self.layout.saw(seen(&self.root)?);
                }
                match self.layout.elsewhere(id, &path) {
                    Some(other) => at(&other),
                    // Folders of other lengths are listed all the same.
                    None if Walk::is_long(id) => self.open_elsewhere(id, &path, e, at),
                    None => Err(e),
                }
            }
            opened => opened,
        }
    }

    /// Opens a blob that is `missing` at `tried`, in whatever layout it lies.
    fn open_elsewhere(
        &self,
        id: &BlobId,
        tried: &str,
        missing: BlobError,
        at: impl Fn(&str) -> Result<File, BlobError>,
    ) -> Result<File, BlobError> {
        for walk in [false, true] {
            if walk {
                if !self.elsewhere.may_walk() {
                    break;
                }
                self.elsewhere.note(&walked(&self.root, Walk::any(&[id.as_str()]).anywhere())?);
            }
            for (shape, path) in self.elsewhere.paths(id, tried) {
                match at(&path) {
                    Err(e) if e.is_not_found() => {}
                    opened => {
                        self.elsewhere.was_useful(&shape);
                        return opened;
                    }
                }
            }
        }
        Err(missing)
    }

    /// Returns what a walk finds: in every layout, when the repository is in another one than it should be.
    fn walked(&self, walk: Walk<'_>) -> Result<Vec<BlobInfo>, BlobError> {
        let again = walk.again();
        if !self.elsewhere.is_on() {
            let walk = walked(&self.root, walk)?;
            if !walk.has_strays() {
                return Ok(walk.found());
            }
        }
        let walk = walked(&self.root, again.anywhere())?;
        self.elsewhere.note(&walk);
        Ok(walk.found())
    }

    fn read(&self, id: &BlobId, range: Option<Range<u64>>, mut into: Vec<u8>) -> Result<Vec<u8>, BlobError> {
        let mut file = self.open(id)?;
        into.clear();
        let what = |e: io::Error| match e.kind() {
            ErrorKind::UnexpectedEof => BlobError::new(BlobErrorKind::Truncated, "it ends too early").of(id),
            _ => io_error(e, "reading it".into()).of(id),
        };
        let Some(range) = range else {
            file.read_to_end(&mut into).map_err(what)?;
            return Ok(into);
        };
        let too_long = || BlobError::new(BlobErrorKind::Truncated, "no blob is that long").of(id);
        let len = usize::try_from(range.end.saturating_sub(range.start)).map_err(|_| too_long())?;
        into.try_reserve_exact(len).map_err(|_| too_long())?;
        while into.len() < len {
            let at = range.start + into.len() as u64;
            let left = len - into.len();
            // Into spare capacity: zeroing megabytes that are overwritten at once is not free.
            let n = if into.capacity() - into.len() <= left + SPARE {
                rustix::io::pread(&file, rustix::buffer::spare_capacity(&mut into), at)
            } else {
                // A used buffer may be much longer than what is wanted: nobody wants the rest.
                read_some(&file, at, left, &mut into)
            };
            match n {
                Ok(0) => return Err(what(ErrorKind::UnexpectedEof.into())),
                Ok(_) => {}
                Err(Errno::INTR) => {}
                Err(e) => return Err(what(e.into())),
            }
        }
        into.truncate(len);
        Ok(into)
    }
}

/// Bytes that may be read beyond a range because there is room for them.
const SPARE: usize = 16 << 10;

/// Adds up to `most` bytes; returns 0 at the end of the file.
fn read_some(mut file: &File, at: u64, most: usize, into: &mut Vec<u8>) -> rustix::io::Result<usize> {
    let failed = |e: io::Error| Errno::from_io_error(&e).unwrap_or(Errno::IO);
    file.seek(SeekFrom::Start(at)).map_err(failed)?;
    file.take(most as u64).read_to_end(into).map_err(failed)
}

/// Opens a regular file, and never waits for the other end of anything else.
fn open_file(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let no_file = || io::Error::new(ErrorKind::InvalidInput, "what is there is no regular file");
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        // A socket, or a device that nobody drives.
        Err(Errno::NXIO | Errno::NODEV) => return Err(no_file()),
        Err(e) => return Err(e.into()),
    };
    if file.metadata()?.is_file() { Ok(file) } else { Err(no_file()) }
}

/// Makes the error that says why there is no folder: a last one that is missing may be made by the first writer; what
/// is more than that is a mount that is not there, or a mistyped path.
fn no_folder(root: &Path) -> BlobError {
    // A slash at the end would have links followed.
    let bare: PathBuf = root.components().collect();
    let missing = |kind, what: &str| BlobError::new(kind, format!("{}: {what}", root.display()));
    if std::fs::symlink_metadata(&bare).is_ok() {
        return missing(BlobErrorKind::NoPlace, "a link that leads nowhere");
    }
    let parent =
        bare.parent().map(|parent| if parent.as_os_str().is_empty() { Path::new(".") } else { parent });
    match parent {
        Some(parent) if parent.is_dir() => missing(BlobErrorKind::NotFound, "there is no such folder"),
        _ => missing(BlobErrorKind::NoPlace, "neither the folder nor the one that should hold it is there"),
    }
}

/// Walks to the end; returns the walk.
fn walked<'a>(root: &Path, mut walk: Walk<'a>) -> Result<Walk<'a>, BlobError> {
    while let Some(folder) = walk.next() {
        let path = root.join(&folder.path);
        let here = || format!("listing {}", path.display());
        let entries = match std::fs::read_dir(&path) {
            Err(e) if e.kind() == ErrorKind::NotFound && !folder.is_root() => continue,
            Err(e) if e.kind() == ErrorKind::NotFound => return Err(no_folder(root)),
            other => other.map_err(|e| io_error(e, here()))?,
        };
        for entry in entries {
            let entry = entry.map_err(|e| cut_short(e, here()))?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            let kind = entry.file_type().map_err(|e| cut_short(e, here()))?;
            let is_folder = kind.is_dir() || (kind.is_symlink() && entry.path().is_dir());
            walk.meet(&folder, &name, is_folder, |id| match std::fs::metadata(entry.path()) {
                Ok(meta) if meta.is_file() => Ok(Some(info(id, &meta))),
                // A pipe, a device, a socket, a link that leads nowhere.
                Ok(_) => Ok(is_surely_blob(&id).then(|| not_a_file(id))),
                Err(_) if kind.is_symlink() => Ok(is_surely_blob(&id).then(|| not_a_file(id))),
                Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
                Err(e) => Err(io_error(e, here())),
            })?;
            if walk.is_over() {
                return Ok(walk);
            }
        }
    }
    Ok(walk)
}

/// Returns the layout that the folders show; `None` when there is nothing to see.
fn seen(root: &Path) -> Result<Option<Sharding>, BlobError> {
    Ok(walked(root, Walk::layout())?.seen())
}

fn read_small(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    open_file(path)?.take(1 << 20).read_to_end(&mut text)?;
    Ok(text)
}

fn info(id: BlobId, meta: &std::fs::Metadata) -> BlobInfo {
    use std::os::unix::fs::MetadataExt;
    let modified_ns = meta.mtime().saturating_mul(1_000_000_000).saturating_add(meta.mtime_nsec());
    BlobInfo { id, len: meta.len(), modified: Time::from_unix_nanos(modified_ns) }
}

/// Makes the error of a listing that was cut short: it is not a short listing, whatever the error says.
fn cut_short(e: io::Error, what: String) -> BlobError {
    match e.kind() {
        ErrorKind::NotFound => BlobError::new(BlobErrorKind::Unavailable, what).because(e),
        _ => io_error(e, what),
    }
}

fn io_error(e: io::Error, what: String) -> BlobError {
    let (kind, what) = match e.kind() {
        ErrorKind::InvalidInput => (BlobErrorKind::Damaged, format!("{what}: {e}")),
        ErrorKind::NotFound => (BlobErrorKind::NotFound, what),
        ErrorKind::PermissionDenied => (BlobErrorKind::Denied, what),
        ErrorKind::NotADirectory => (BlobErrorKind::Settings, what),
        _ => (BlobErrorKind::Unavailable, what),
    };
    BlobError::new(kind, what).because(e)
}
