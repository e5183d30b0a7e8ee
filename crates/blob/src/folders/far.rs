//! Looks into Kopia's tree of folders on storages where a look into a folder is a message: many looks at once.

use std::future::Future;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use rekopia_format::BlobId;
use rekopia_format::Time;
#[cfg(any(feature = "sftp", feature = "webdav"))]
use tokio::sync::OnceCell;

use super::elsewhere::Elsewhere;
#[cfg(any(feature = "b2", feature = "object", feature = "s3"))]
use super::names::{is_blob, may_begin};
#[cfg(any(feature = "sftp", feature = "webdav"))]
use super::sharded::Layout;
use super::sharded::{Folder, Walk};
use crate::error::BlobError;
use crate::reader::BlobInfo;

/// A storage that can look into folders.
pub(crate) trait FarFolders: Sync {
    /// Returns the members of a folder, or those that begin as `folder` says; one below the root that is gone has none.
    ///
    /// # Errors
    /// [`BlobErrorKind::NoPlace`](crate::error::BlobErrorKind::NoPlace) when the root is not there.
    fn members(&self, folder: &Folder) -> impl Future<Output = Result<Vec<Member>, BlobError>> + Send;

    /// Returns how many folders are looked into at once.
    fn looks(&self) -> usize;

    /// Returns the root, for messages.
    fn place(&self) -> String;
}

/// A storage of names without folders, which can be listed up to the next slash.
#[cfg(any(feature = "b2", feature = "object", feature = "s3"))]
pub(crate) trait Bucket: Sync {
    /// Returns the objects and folders whose names begin so, up to the next slash; whole names, less the prefix of the
    /// repository. May stop when there are `limit` blobs.
    fn level(&self, begin: &str, limit: usize)
    -> impl Future<Output = Result<Vec<Member>, BlobError>> + Send;

    /// Returns the bucket, for messages.
    fn place(&self) -> String;
}

/// Folders of a bucket that are listed at once.
#[cfg(any(feature = "b2", feature = "object", feature = "s3"))]
const LISTED_AT_ONCE: usize = 16;

#[cfg(any(feature = "b2", feature = "object", feature = "s3"))]
impl<B: Bucket> FarFolders for B {
    async fn members(&self, folder: &Folder) -> Result<Vec<Member>, BlobError> {
        let members = self.level(&format!("{}{}", folder.path, folder.starts), usize::MAX).await?;
        Ok(members.into_iter().filter_map(|member| member.within(&folder.path)).collect())
    }

    fn looks(&self) -> usize {
        LISTED_AT_ONCE
    }

    fn place(&self) -> String {
        Bucket::place(self)
    }
}

/// A storage with Kopia's tree of folders, as Kopia itself uses it.
#[cfg(any(feature = "sftp", feature = "webdav"))]
pub(crate) trait Sharded: FarFolders {
    /// Reads the text of `.shards`.
    fn shards(&self) -> impl Future<Output = Result<Vec<u8>, BlobError>> + Send;
}

/// A member of a folder.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) is_folder: bool,
    pub(crate) len: u64,
    pub(crate) modified_ns: i64,
}

#[cfg(any(feature = "b2", feature = "object", feature = "s3"))]
impl Member {
    /// Makes a folder of a bucket.
    pub(crate) fn folder(name: &str) -> Self {
        Member { name: name.to_owned(), is_folder: true, len: 0, modified_ns: 0 }
    }

    /// Returns the blob that an object below `path` is, when it begins with `prefix`.
    pub(crate) fn blob(self, path: &str, prefix: &str) -> Option<BlobInfo> {
        let name = self.name.strip_prefix(path).filter(|name| !self.is_folder && is_blob(name))?;
        let id = BlobId::parse(name).ok().filter(|id| id.as_str().starts_with(prefix))?;
        Some(BlobInfo { id, len: self.len, modified: Time::from_unix_nanos(self.modified_ns) })
    }

    /// Returns the member with the name that it has in the folder at `path`.
    pub(crate) fn within(mut self, path: &str) -> Option<Self> {
        self.name = self.name.strip_prefix(path)?.trim_end_matches('/').to_owned();
        Some(self)
    }
}

/// The layout of such a storage, read when a blob is first asked for: a request like any other, with second tries. It
/// is read when a blob is first asked for: a request like any other, with second tries.
#[cfg(any(feature = "sftp", feature = "webdav"))]
#[derive(Debug, Default)]
pub(crate) struct FarLayout {
    dir_shards: Option<Vec<usize>>,
    layout: OnceCell<Layout>,
    elsewhere: FarElsewhere,
}

#[cfg(any(feature = "sftp", feature = "webdav"))]
impl FarLayout {
    /// Makes a layout that was not read yet; `dir_shards` is what Kopia's configuration names for repositories without
    /// `.shards`.
    pub(crate) fn new(dir_shards: Option<Vec<usize>>) -> Self {
        FarLayout { dir_shards, ..FarLayout::default() }
    }

    /// Returns what `ask` gets for the path of a blob below the root; where nothing is there, for the path in the
    /// layout that can be seen.
    pub(crate) async fn find<T, F: Future<Output = Result<T, BlobError>>>(
        &self,
        folders: &impl Sharded,
        id: &BlobId,
        mut ask: impl FnMut(String) -> F,
    ) -> Result<T, BlobError> {
        let path = self.path(folders, id).await?;
        let found = match ask(path.clone()).await {
            Err(e) if e.is_not_found() && self.elsewhere.is_on() => {
                self.elsewhere.find(folders, id, &path, e, ask).await
            }
            Err(e) if e.is_not_found() => match self.as_seen(folders, id, &path).await? {
                Some(other) => ask(other).await,
                // Folders of other lengths are listed all the same.
                None if Walk::is_long(id) => self.elsewhere.find(folders, id, &path, e, ask).await,
                None => Err(e),
            },
            other => other,
        };
        found.map_err(|e| e.of(id))
    }

    /// Lists all blobs whose names begin with `prefix`.
    pub(crate) async fn list(
        &self,
        folders: &impl Sharded,
        prefix: &str,
    ) -> Result<Vec<BlobInfo>, BlobError> {
        self.elsewhere.walked(folders, Walk::all(&[prefix])).await
    }

    /// Whether there is a blob whose name begins with `prefix`.
    pub(crate) async fn any(&self, folders: &impl Sharded, prefix: &str) -> Result<bool, BlobError> {
        Ok(!self.elsewhere.walked(folders, Walk::any(&[prefix])).await?.is_empty())
    }

    /// Does what [`BlobReader::look_elsewhere`](crate::reader::BlobReader::look_elsewhere) says.
    pub(crate) async fn look_elsewhere(&self, folders: &impl Sharded) -> Result<bool, BlobError> {
        self.elsewhere.look(folders).await
    }

    async fn path(&self, folders: &impl Sharded, id: &BlobId) -> Result<String, BlobError> {
        let layout = self.layout.get_or_try_init(async || {
            let shards = match folders.shards().await {
                Ok(text) => Some(text),
                Err(e) if e.is_not_found() => None,
                Err(e) => return Err(e),
            };
            match Layout::parse(shards.as_deref(), self.dir_shards.as_deref()) {
                Ok(layout) => Ok(layout),
                Err(e) => {
                    let seen = walked(folders, Walk::layout()).await?.seen();
                    Layout::instead(e, seen, &folders.place())
                }
            }
        });
        Ok(layout.await?.path(id))
    }

    /// Returns another path for a blob that is not at `path`: where the layout that can be seen has it.
    async fn as_seen(
        &self,
        folders: &impl Sharded,
        id: &BlobId,
        path: &str,
    ) -> Result<Option<String>, BlobError> {
        let Some(layout) = self.layout.get() else { return Ok(None) };
        if layout.is_unseen() {
            layout.saw(walked(folders, Walk::layout()).await?.seen());
        }
        Ok(layout.elsewhere(id, path))
    }
}

/// Other layouts of a repository on such a storage.
#[derive(Debug, Default)]
pub(crate) struct FarElsewhere(Elsewhere);

impl FarElsewhere {
    /// Whether the repository was found in another layout.
    pub(crate) fn is_on(&self) -> bool {
        self.0.is_on()
    }

    /// Looks for the format blob in whatever layout.
    pub(crate) async fn look(&self, folders: &impl FarFolders) -> Result<bool, BlobError> {
        let walk = walked(folders, Walk::format_blob()).await?;
        if walk.has_found() {
            self.0.note(&walk);
            tracing::warn!("{}: the repository has the layout of another kind of storage", folders.place());
        }
        Ok(walk.has_found())
    }

    /// Returns what `ask` gets for the path at which a blob is that is `missing` at `tried`.
    pub(crate) async fn find<T, F: Future<Output = Result<T, BlobError>>>(
        &self,
        folders: &impl FarFolders,
        id: &BlobId,
        tried: &str,
        missing: BlobError,
        ask: impl FnMut(String) -> F,
    ) -> Result<T, BlobError> {
        let walk = || async {
            let name = [id.as_str()];
            let walk = walked(folders, Walk::any(&name).anywhere()).await?;
            self.0.note(&walk);
            Ok(())
        };
        self.0.find(id, tried, missing, ask, walk).await
    }

    /// Returns what a walk finds: in every layout, when the repository is in another one.
    pub(crate) async fn walked(
        &self,
        folders: &impl FarFolders,
        walk: Walk<'_>,
    ) -> Result<Vec<BlobInfo>, BlobError> {
        let again = walk.again();
        if !self.is_on() {
            let walk = walked(folders, walk).await?;
            if !walk.has_strays() {
                return Ok(walk.found());
            }
        }
        let walk = walked(folders, again.anywhere()).await?;
        self.0.note(&walk);
        Ok(walk.found())
    }

    /// Returns what was `got` at the usual name of a blob; where nothing is there, what `ask` gets in other layouts.
    #[cfg(any(feature = "b2", feature = "object", feature = "s3"))]
    pub(crate) async fn or_find<T, F: Future<Output = Result<T, BlobError>>>(
        &self,
        bucket: &impl Bucket,
        id: &BlobId,
        got: Result<T, BlobError>,
        ask: impl FnMut(String) -> F,
    ) -> Result<T, BlobError> {
        match got {
            Err(e) if e.is_not_found() && self.is_on() => self.find(bucket, id, id.as_str(), e, ask).await,
            got => got,
        }
    }

    /// Lists all blobs of a bucket whose names begin so; may stop when `limit` are found.
    #[cfg(any(feature = "b2", feature = "object", feature = "s3"))]
    pub(crate) async fn names(
        &self,
        bucket: &impl Bucket,
        prefix: &str,
        limit: usize,
    ) -> Result<Vec<BlobInfo>, BlobError> {
        if self.is_on() {
            let prefixes = [prefix];
            let walk = if limit == 1 { Walk::any(&prefixes) } else { Walk::all(&prefixes) };
            return self.walked(bucket, walk).await;
        }
        self.blobs(bucket, bucket.level(prefix, limit).await?, prefix).await
    }

    /// Returns the blobs that a listing of a bucket means: those that begin with `prefix` among its `members`, or, when
    /// folders among them may hold some as well, what a walk finds.
    #[cfg(any(feature = "b2", feature = "object", feature = "s3"))]
    async fn blobs(
        &self,
        folders: &impl FarFolders,
        members: Vec<Member>,
        prefix: &str,
    ) -> Result<Vec<BlobInfo>, BlobError> {
        if members.iter().any(|member| member.is_folder && may_begin(member.name.trim_end_matches('/'))) {
            let prefixes = [prefix];
            let walk = walked(folders, Walk::all(&prefixes).anywhere()).await?;
            // Folders of others hold no blobs.
            if walk.shapes().iter().any(|shape| !shape.lens.is_empty()) {
                self.0.note(&walk);
                return Ok(walk.found());
            }
        }
        Ok(members.into_iter().filter_map(|member| member.blob("", prefix)).collect())
    }
}

/// Walks to the end; returns the walk.
async fn walked<'a>(folders: &impl FarFolders, mut walk: Walk<'a>) -> Result<Walk<'a>, BlobError> {
    let mut looks = FuturesUnordered::new();
    loop {
        while looks.len() < folders.looks()
            && let Some(folder) = walk.next()
        {
            looks.push(async move {
                let members = folders.members(&folder).await;
                (folder, members)
            });
        }
        let Some((folder, members)) = looks.next().await else { return Ok(walk) };
        for member in members? {
            walk.meet(&folder, &member.name, member.is_folder, |id| {
                Ok(Some(BlobInfo {
                    id,
                    len: member.len,
                    modified: Time::from_unix_nanos(member.modified_ns),
                }))
            })?;
        }
        if walk.is_over() {
            return Ok(walk);
        }
    }
}
