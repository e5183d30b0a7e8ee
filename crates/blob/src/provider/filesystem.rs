//! A repository in a directory of a local (or mounted) file system, in Kopia's sharded layout (§1.3, §1.4).
//!
//! Nothing is ever created here, not even a missing `.shards`: the directory may be read-only.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rekopia_format::BlobId;
use rekopia_format::sharding::Sharding;

use super::sharded::{Layout, Walk};
use crate::{BlobError, BlobErrorKind, BlobInfo, BlobReader, BoxFuture, StorageTraits};

/// Reads blobs below a directory.
#[derive(Debug)]
pub struct FilesystemBlobs {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    layout: Layout,
}

impl FilesystemBlobs {
    /// Looks at the directory and its `.shards` file; `dir_shards` is the layout that Kopia's configuration names for
    /// repositories without one.
    ///
    /// # Errors
    /// [`BlobErrorKind::Settings`] when `root` is not a directory, [`BlobErrorKind::Damaged`] when `.shards` cannot be
    /// understood.
    pub fn open(root: &Path, dir_shards: Option<&[usize]>) -> Result<Self, BlobError> {
        let here = |what: &str| format!("{what} {}", root.display());
        let meta = std::fs::metadata(root).map_err(|e| io_error(e, here("looking at")))?;
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
            Err(e) => Layout::instead(e, seen(root), &root.display().to_string())?,
        };
        let inner = Inner { root: root.to_path_buf(), layout };
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
        Box::pin(self.blocking(move |inner| Ok(walked(&inner.root, Walk::all(&[&prefix]))?.found())))
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
        Box::pin(
            self.blocking(move |inner| Ok(!walked(&inner.root, Walk::any(&[&prefix]))?.found().is_empty())),
        )
    }

    fn traits(&self) -> StorageTraits {
        StorageTraits { in_flight: 4, gap: 64 * 1024, local: true }
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
        let opened = match File::open(self.root.join(&path)) {
            Err(e) if e.kind() == ErrorKind::NotFound => {
                if self.layout.is_unseen() {
                    self.layout.saw(seen(&self.root));
                }
                match self.layout.elsewhere(id, &path) {
                    Some(other) => File::open(self.root.join(other)),
                    None => Err(e),
                }
            }
            other => other,
        };
        opened.map_err(|e| io_error(e, "opening it".into()).of(id))
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
            // Into spare capacity: zeroing megabytes that are overwritten at once is not free.
            let n = rustix::io::pread(&file, rustix::buffer::spare_capacity(&mut into), at);
            match n {
                Ok(0) => return Err(what(ErrorKind::UnexpectedEof.into())),
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(what(e.into())),
            }
        }
        into.truncate(len);
        Ok(into)
    }
}

/// Walks to the end.
fn walked<'a>(root: &Path, mut walk: Walk<'a>) -> Result<Walk<'a>, BlobError> {
    while let Some(folder) = walk.next() {
        let path = root.join(&folder.path);
        let here = || format!("listing {}", path.display());
        let entries = match std::fs::read_dir(&path) {
            Err(e) if e.kind() == ErrorKind::NotFound && !folder.is_root() => continue,
            other => other.map_err(|e| io_error(e, here()))?,
        };
        for entry in entries {
            let entry = entry.map_err(|e| io_error(e, here()))?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            let kind = entry.file_type().map_err(|e| io_error(e, here()))?;
            let is_folder = kind.is_dir() || (kind.is_symlink() && entry.path().is_dir());
            walk.meet(&folder, &name, is_folder, |id| match std::fs::metadata(entry.path()) {
                Ok(meta) => Ok(Some(info(id, &meta))),
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

/// The layout that the folders show; `None` when there is nothing to see, or it cannot be seen.
fn seen(root: &Path) -> Option<Sharding> {
    walked(root, Walk::layout()).ok()?.seen()
}

fn read_small(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(path)?.take(1 << 20).read_to_end(&mut text)?;
    Ok(text)
}

fn info(id: BlobId, meta: &std::fs::Metadata) -> BlobInfo {
    use std::os::unix::fs::MetadataExt;
    let modified_ns = meta.mtime().saturating_mul(1_000_000_000).saturating_add(meta.mtime_nsec());
    BlobInfo { id, len: meta.len(), modified_ns }
}

fn io_error(e: io::Error, what: String) -> BlobError {
    let kind = match e.kind() {
        ErrorKind::NotFound => BlobErrorKind::NotFound,
        ErrorKind::PermissionDenied => BlobErrorKind::Denied,
        ErrorKind::NotADirectory => BlobErrorKind::Settings,
        _ => BlobErrorKind::Unavailable,
    };
    BlobError::new(kind, what).because(e)
}
