//! Finds a repository in the layout of another kind of storage: a bucket that was copied to a disk (names as they are,
//! no folders), a tree that was copied to a bucket, both at once, folders of other lengths.
//!
//! Nobody looks for that unless something shows it: the format blob is not where it should be, or a listing meets names
//! of the other kind. From then on a listing is the union of all layouts, and a read tries those that have been seen, the
//! last useful one first.

#[cfg(any(feature = "http", feature = "sftp"))]
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use rekopia_format::BlobId;

use super::shape::Shape;
use super::sharded::Walk;
#[cfg(any(feature = "http", feature = "sftp"))]
use crate::error::BlobError;

/// The layouts in which a repository has been found; none as long as it is where it should be.
#[derive(Debug, Default)]
pub(crate) struct Elsewhere {
    shapes: OnceLock<Mutex<Vec<Shape>>>,
    /// Walks for single blobs so far.
    walks: AtomicUsize,
}

/// Layouts that are kept in mind.
const MOST_SHAPES: usize = 8;
/// Single blobs that are walked for: then it is known how they lie, and what is not found is lost.
const MOST_WALKS: usize = 64;

impl Elsewhere {
    /// Whether the repository lies in another layout than it should.
    pub(crate) fn is_on(&self) -> bool {
        self.shapes.get().is_some()
    }

    /// Takes note of how the blobs lie that a walk has found.
    pub(crate) fn note(&self, walk: &Walk<'_>) {
        if walk.shapes().is_empty() {
            return;
        }
        let mut known = self.known();
        for shape in walk.shapes() {
            if !known.contains(shape) && known.len() < MOST_SHAPES {
                known.push(shape.clone());
            }
        }
    }

    /// Returns other paths of a blob that is not at `tried`, the likeliest first.
    pub(crate) fn paths(&self, id: &BlobId, tried: &str) -> Vec<(Shape, String)> {
        let mut paths: Vec<(Shape, String)> = Vec::new();
        if !self.is_on() {
            return paths;
        }
        for shape in self.known().iter() {
            let Some(path) = shape.path(id) else { continue };
            if path != tried && paths.iter().all(|(_, other)| *other != path) {
                paths.push((shape.clone(), path));
            }
        }
        paths
    }

    /// Takes note that a blob was found so: the next one is looked for there first.
    pub(crate) fn was_useful(&self, shape: &Shape) {
        let mut known = self.known();
        if let Some(at) = known.iter().position(|one| one == shape) {
            known[..=at].rotate_right(1);
        }
    }

    /// Whether a blob that is in no layout seen so far may be walked for.
    pub(crate) fn may_walk(&self) -> bool {
        self.walks.fetch_add(1, Ordering::Relaxed) < MOST_WALKS
    }

    /// Returns what `ask` gets for the first path at which there is something; `walk` looks for a blob in all folders.
    #[cfg(any(feature = "http", feature = "sftp"))]
    pub(crate) async fn find<T, F, W>(
        &self,
        id: &BlobId,
        tried: &str,
        missing: BlobError,
        mut ask: impl FnMut(String) -> F,
        walk: impl FnOnce() -> W,
    ) -> Result<T, BlobError>
    where
        F: Future<Output = Result<T, BlobError>>,
        W: Future<Output = Result<(), BlobError>>,
    {
        let mut paths = self.paths(id, tried);
        let mut walk = Some(walk);
        loop {
            for (shape, path) in &paths {
                match ask(path.clone()).await {
                    Err(e) if e.is_not_found() => {}
                    found => {
                        self.was_useful(shape);
                        return found;
                    }
                }
            }
            let Some(walk) = walk.take().filter(|_| self.may_walk()) else { return Err(missing) };
            walk().await?;
            let seen = paths;
            paths = self.paths(id, tried);
            paths.retain(|path| !seen.contains(path));
        }
    }

    fn known(&self) -> MutexGuard<'_, Vec<Shape>> {
        self.shapes.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner)
    }
}
