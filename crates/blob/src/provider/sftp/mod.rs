//! Reads a repository in a directory behind an SSH server, in Kopia's sharded layout (§1.3, §1.5).
//!
//! A range is read by many small requests at once, because that is how long an answer may be, over several connections
//! (`pool.rs`).

mod external;
mod hosts;
mod pool;
mod session;
mod ssh;
mod stream;
mod wire;

use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use external::External;
use futures::{StreamExt, TryStreamExt};
use pool::{Lease, Pool, Way};
use rekopia_format::BlobId;
use rekopia_format::Time;
use ssh::Ssh;
use wire::{Attributes, Named};

use crate::deadlines::Deadlines;
use crate::error::{BlobError, BlobErrorKind};
use crate::folders::far::{FarFolders, FarLayout, Member, Sharded};
use crate::folders::sharded::Folder;
use crate::reader::{BlobInfo, BlobReader, BoxFuture, StorageProfile, Usage};
use crate::settings::SftpSettings;

/// Reads blobs from an SFTP server.
pub struct SftpBlobs {
    pool: Pool,
    /// The directory on the server; ends with `/`.
    root: String,
    /// The place of the repository, for messages.
    place: String,
    layout: FarLayout,
    looks: usize,
    requests: AtomicU64,
}

/// The requests in flight that suit a server that is one machine.
const IN_FLIGHT: usize = 16;
/// Bytes of the longest `.shards`.
const MAX_SHARDS: u64 = 1 << 20;

impl SftpBlobs {
    /// Reads keys and known hosts; connects to nothing yet. `in_flight` bounds the folders that are listed at once;
    /// `None`: what suits a server that is one machine.
    ///
    /// # Errors
    /// [`BlobErrorKind::Settings`] that names the field.
    pub fn open(
        settings: &SftpSettings,
        deadlines: Deadlines,
        in_flight: Option<usize>,
    ) -> Result<Self, BlobError> {
        let way = if settings.external_ssh {
            Way::External(External::new(settings)?)
        } else {
            Way::Ssh(Box::new(Ssh::new(settings, deadlines)?))
        };
        Ok(SftpBlobs {
            pool: Pool::new(way, deadlines),
            root: format!("{}/", settings.path.trim_end_matches('/')),
            place: place(settings),
            layout: FarLayout::new(settings.dir_shards.clone()),
            looks: in_flight.unwrap_or(IN_FLIGHT).clamp(1, IN_FLIGHT),
            requests: AtomicU64::new(0),
        })
    }

    /// Reads `range` of a file; `None`: all of it.
    async fn get(&self, path: &str, range: Option<Range<u64>>, into: Vec<u8>) -> Result<Vec<u8>, BlobError> {
        let doing = |e: BlobError| e.while_doing(&format!("{}: reading {path}", self.place));
        let session = self.session().await?;
        self.count();
        session.read(&format!("{}{path}", self.root), range, into).await.map_err(doing)
    }

    async fn attributes(&self, path: &str) -> Result<Attributes, BlobError> {
        let doing = |e: BlobError| e.while_doing(&format!("{}: looking at {path}", self.place));
        let session = self.session().await?;
        self.count();
        session.stat(&format!("{}{path}", self.root)).await.map_err(doing)
    }

    /// Returns what a listing says of a member; of what leads elsewhere, what is there. `None`: nothing, or no name of
    /// ours.
    async fn member(&self, folder: &str, named: Named) -> Result<Option<Member>, BlobError> {
        let Ok(name) = String::from_utf8(named.name.into()) else { return Ok(None) };
        let mut about = named.attributes;
        if about.is_unclear() && !matches!(name.as_str(), "." | "..") {
            about = match self.attributes(&format!("{folder}{name}")).await {
                Err(e) if e.is_not_found() => return Ok(None),
                other => other?,
            };
        }
        if about.is_special() {
            return Ok(None);
        }
        let (len, modified_ns) = (about.len.unwrap_or(0), about.modified_ns());
        Ok(Some(Member { name, is_folder: about.is_folder().unwrap_or(false), len, modified_ns }))
    }

    async fn session(&self) -> Result<Lease<'_>, BlobError> {
        self.pool.session().await.map_err(|e| e.while_doing(&self.place))
    }

    fn count(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }
}

impl FarFolders for SftpBlobs {
    async fn members(&self, looked_at: &Folder) -> Result<Vec<Member>, BlobError> {
        let session = self.session().await?;
        let path = looked_at.path.as_str();
        let folder = format!("{}{path}", self.root);
        // Some servers know no folder of this name with a slash at its end.
        let folder = if folder == "/" { "/" } else { folder.trim_end_matches('/') };
        let named = match session.members(folder, || self.count()).await {
            Err(e) if e.is_not_found() && looked_at.is_root() => {
                let what = format!("{}: there is no such folder: {}", self.place, e.what());
                return Err(BlobError::new(BlobErrorKind::NoPlace, what));
            }
            Err(e) if e.is_not_found() => return Ok(Vec::new()),
            other => other.map_err(|e| e.while_doing(&format!("{}: listing {folder}", self.place)))?,
        };
        let members = named.into_iter().map(|named| self.member(path, named));
        let members = futures::stream::iter(members).buffered(self.looks);
        members.try_filter_map(|member| std::future::ready(Ok(member))).try_collect().await
    }

    fn looks(&self) -> usize {
        self.looks
    }

    fn place(&self) -> String {
        self.place.clone()
    }
}

impl Sharded for SftpBlobs {
    async fn shards(&self) -> Result<Vec<u8>, BlobError> {
        let len = self.attributes(".shards").await?.len.unwrap_or(0);
        self.get(".shards", Some(0..len.min(MAX_SHARDS)), Vec::new()).await
    }
}

impl BlobReader for SftpBlobs {
    fn read<'a>(
        &'a self,
        id: &'a BlobId,
        range: Option<Range<u64>>,
        into: Vec<u8>,
    ) -> BoxFuture<'a, Result<Vec<u8>, BlobError>> {
        Box::pin(async move {
            let mut into = into;
            let ask = |path: String| {
                let (range, into) = (range.clone(), std::mem::take(&mut into));
                async move { self.get(&path, range, into).await }
            };
            self.layout.find(self, id, ask).await
        })
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<BlobInfo>, BlobError>> {
        Box::pin(self.layout.list(self, prefix))
    }

    fn stat<'a>(&'a self, id: &'a BlobId) -> BoxFuture<'a, Result<BlobInfo, BlobError>> {
        Box::pin(async move {
            let ask = |path: String| async move { self.attributes(&path).await };
            let about = self.layout.find(self, id, ask).await?;
            Ok(BlobInfo {
                id: id.clone(),
                len: about.len.unwrap_or(0),
                modified: Time::from_unix_nanos(about.modified_ns()),
            })
        })
    }

    fn any<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<bool, BlobError>> {
        Box::pin(self.layout.any(self, prefix))
    }

    fn look_elsewhere(&self) -> BoxFuture<'_, Result<bool, BlobError>> {
        Box::pin(self.layout.look_elsewhere(self))
    }

    fn distrust(&self, _id: &BlobId) {}

    fn usage(&self) -> Usage {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Usage { requests: load(&self.requests), bytes: self.pool.received(), ..Usage::default() }
    }

    fn profile(&self) -> StorageProfile {
        StorageProfile { in_flight: IN_FLIGHT, gap: 128 * 1024, local: false }
    }

    fn folder(&self) -> Option<PathBuf> {
        None
    }

    fn describe(&self) -> String {
        self.place.clone()
    }
}

/// Returns the place as a URL, `sftp://me@host:2222/path`, without credentials.
fn place(settings: &SftpSettings) -> String {
    let user = if settings.username.is_empty() { String::new() } else { format!("{}@", settings.username) };
    let host =
        if settings.host.contains(':') { format!("[{}]", settings.host) } else { settings.host.clone() };
    let port = if matches!(settings.port, 0 | 22) { String::new() } else { format!(":{}", settings.port) };
    let slash = if settings.path.starts_with('/') { "" } else { "/" };
    format!("sftp://{user}{host}{port}{slash}{}", settings.path)
}
