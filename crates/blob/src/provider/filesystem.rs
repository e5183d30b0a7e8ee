//! A repository in a directory of a local (or mounted) file system, in Kopia's sharded layout (§1.3, §1.4).
//!
//! Nothing is ever created here, not even a missing `.shards`: the directory may be read-only.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rekopia_format::BlobId;
use rekopia_format::sharding::Sharding;

use crate::{BlobError, BlobErrorKind, BlobInfo, BlobReader, BoxFuture, StorageTraits};

/// Reads blobs below a directory.
#[derive(Debug)]
pub struct FilesystemBlobs {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    sharding: Sharding,
    /// The layout as seen on disk, looked up once when a blob is not where `sharding` says.
    seen: OnceLock<Option<Sharding>>,
    guessed: bool,
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
        let (sharding, guessed) = match read_small(&root.join(".shards")) {
            Ok(text) => match Sharding::parse(&text) {
                Ok(sharding) => (sharding, false),
                // The layout can be seen on disk; the file itself is then not needed.
                Err(e) => match inferred(root) {
                    Some(sharding) => {
                        tracing::warn!(
                            "{}: {e}; using the layout found on disk",
                            root.join(".shards").display()
                        );
                        (sharding, true)
                    }
                    None => {
                        let what = format!("{} cannot be understood", root.join(".shards").display());
                        return Err(BlobError::new(BlobErrorKind::Damaged, what).because(e));
                    }
                },
            },
            Err(e) if e.kind() == ErrorKind::NotFound => match dir_shards {
                Some(lens) => (Sharding::with_default(lens), true),
                None => (Sharding::legacy(), true),
            },
            Err(e) => return Err(io_error(e, here("reading .shards in"))),
        };
        let inner = Inner { root: root.to_path_buf(), sharding, seen: OnceLock::new(), guessed };
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
        Box::pin(self.blocking(move |inner| inner.list(&prefix, usize::MAX)))
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
        Box::pin(self.blocking(move |inner| Ok(!inner.list(&prefix, 1)?.is_empty())))
    }

    fn traits(&self) -> StorageTraits {
        StorageTraits { in_flight: 4, gap: 64 * 1024, local: true }
    }

    fn describe(&self) -> String {
        self.inner.root.display().to_string()
    }
}

impl Inner {
    fn open(&self, id: &BlobId) -> Result<File, BlobError> {
        let sharding = self.seen.get().and_then(Option::as_ref).unwrap_or(&self.sharding);
        match File::open(self.root.join(sharding.path(id))) {
            Err(e) if e.kind() == ErrorKind::NotFound && self.guessed => {
                // Without a `.shards` file the layout is a guess; a lost one can be recovered by looking.
                let seen = self.seen.get_or_init(|| inferred(&self.root));
                let retry = seen.as_ref().map(|s| File::open(self.root.join(s.path(id))));
                retry.unwrap_or(Err(e)).map_err(|e| io_error(e, "opening it".into()).of(id))
            }
            other => other.map_err(|e| io_error(e, "opening it".into()).of(id)),
        }
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

    /// Walks the tree: names are the concatenated path components, so no layout is needed (§1.3).
    fn list(&self, prefix: &str, limit: usize) -> Result<Vec<BlobInfo>, BlobError> {
        let mut found = Vec::new();
        let mut folders = vec![(self.root.clone(), String::new())];
        while let Some((folder, name)) = folders.pop() {
            let here = || format!("listing {}", folder.display());
            let entries = match std::fs::read_dir(&folder) {
                Err(e) if e.kind() == ErrorKind::NotFound && !name.is_empty() => continue,
                other => other.map_err(|e| io_error(e, here()))?,
            };
            for entry in entries {
                let entry = entry.map_err(|e| io_error(e, here()))?;
                let Ok(component) = entry.file_name().into_string() else { continue };
                let whole = format!("{name}{component}");
                let kind = entry.file_type().map_err(|e| io_error(e, here()))?;
                let is_dir = kind.is_dir() || (kind.is_symlink() && entry.path().is_dir());
                if is_dir {
                    if rekopia_format::sharding::may_contain(&whole, prefix) && whole.len() <= 512 {
                        folders.push((entry.path(), whole));
                    }
                } else if let Some(id) = whole.strip_suffix(".f").filter(|id| id.starts_with(prefix)) {
                    let Ok(id) = BlobId::parse(id) else { continue };
                    let meta = match std::fs::metadata(entry.path()) {
                        Err(e) if e.kind() == ErrorKind::NotFound => continue,
                        other => other.map_err(|e| io_error(e, here()))?,
                    };
                    found.push(info(id, &meta));
                    if found.len() >= limit {
                        return Ok(found);
                    }
                }
            }
        }
        Ok(found)
    }
}

/// The layout that the pack and index folders show; `None` when there is nothing to see.
fn inferred(root: &Path) -> Option<Sharding> {
    let mut folder = root.to_path_buf();
    let mut lens = Vec::new();
    // A long blob name (pack, index) is split the same way as all others; follow the first one down.
    while lens.len() < 8 {
        let mut next = None;
        for entry in std::fs::read_dir(&folder).ok()?.flatten() {
            let name = entry.file_name().into_string().ok()?;
            let kind = entry.file_type().ok()?;
            let long_blob = name.strip_suffix(".f").is_some_and(|n| n.len() > 20);
            let first = lens.is_empty();
            if kind.is_file() && long_blob && (!first || name.starts_with(['p', 'q', 'n', 'x'])) {
                return Some(Sharding::with_default(&lens));
            }
            if kind.is_dir() && (!first || name.starts_with(['p', 'q', 'n', 'x'])) {
                let has_entries = std::fs::read_dir(entry.path()).ok()?.next().is_some();
                if has_entries {
                    next = Some((entry.path(), name.len()));
                }
            }
        }
        let (path, len) = next?;
        folder = path;
        lens.push(len);
    }
    None
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
