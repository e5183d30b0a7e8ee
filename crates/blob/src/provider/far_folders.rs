//! Kopia's tree of folders on storages where a look into a folder is a message: many looks at once.

use std::future::Future;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use rekopia_format::BlobId;
use tokio::sync::OnceCell;

use super::sharded::{Layout, Walk};
use crate::{BlobError, BlobInfo};

/// A storage that can look into folders.
pub(super) trait FarFolders: Sync {
    /// The members of a folder below the root; one that is gone has none.
    fn members(&self, path: &str) -> impl Future<Output = Result<Vec<Member>, BlobError>> + Send;

    /// The text of `.shards`.
    fn shards(&self) -> impl Future<Output = Result<Vec<u8>, BlobError>> + Send;

    /// Folders that are looked into at once.
    fn looks(&self) -> usize;

    /// The root, for messages.
    fn place(&self) -> String;
}

/// A member of a folder.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) name: String,
    pub(super) is_folder: bool,
    pub(super) len: u64,
    pub(super) modified_ns: i64,
}

/// The layout of such a storage. It is read when a blob is first asked for: a request like any other, with second tries.
#[derive(Debug, Default)]
pub(super) struct FarLayout {
    dir_shards: Option<Vec<usize>>,
    layout: OnceCell<Layout>,
}

impl FarLayout {
    /// `dir_shards` is what Kopia's configuration names for repositories without `.shards`.
    pub(super) fn new(dir_shards: Option<Vec<usize>>) -> Self {
        FarLayout { dir_shards, layout: OnceCell::new() }
    }

    /// What `ask` gets for the path of a blob below the root; where nothing is there, for the path in the layout that can
    /// be seen.
    pub(super) async fn find<T, F: Future<Output = Result<T, BlobError>>>(
        &self,
        folders: &impl FarFolders,
        id: &BlobId,
        mut ask: impl FnMut(String) -> F,
    ) -> Result<T, BlobError> {
        let path = self.path(folders, id).await?;
        let found = match ask(path.clone()).await {
            Err(e) if e.is_not_found() => match self.elsewhere(folders, id, &path).await? {
                Some(other) => ask(other).await,
                None => Err(e),
            },
            other => other,
        };
        found.map_err(|e| e.of(id))
    }

    async fn path(&self, folders: &impl FarFolders, id: &BlobId) -> Result<String, BlobError> {
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

    /// Another path for a blob that is not at `path`: where the layout that can be seen has it.
    async fn elsewhere(
        &self,
        folders: &impl FarFolders,
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

/// Walks to the end.
pub(super) async fn walked<'a>(folders: &impl FarFolders, mut walk: Walk<'a>) -> Result<Walk<'a>, BlobError> {
    let mut looks = FuturesUnordered::new();
    loop {
        while looks.len() < folders.looks()
            && let Some(folder) = walk.next()
        {
            looks.push(async move {
                let members = folders.members(&folder.path).await;
                (folder, members)
            });
        }
        let Some((folder, members)) = looks.next().await else { return Ok(walk) };
        for member in members? {
            walk.meet(&folder, &member.name, member.is_folder, |id| {
                Ok(Some(BlobInfo { id, len: member.len, modified_ns: member.modified_ns }))
            })?;
        }
        if walk.is_over() {
            return Ok(walk);
        }
    }
}
