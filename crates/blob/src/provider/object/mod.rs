//! Reads a repository in a store that the crate `object_store` speaks to (§1.7): Azure Blob Storage, Google Cloud
//! Storage.
//!
//! A blob is the object whose name is the prefix, as it is, and the blob's own name. Needs only permission to list and
//! to get. Second tries are the retry layer's: `object_store`'s own are switched off.

#[cfg(feature = "azure")]
mod azure;
mod credentials;
#[cfg(feature = "gcp")]
mod gcs;
mod http;

use std::collections::HashSet;
use std::error::Error;
use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use http::{BlobBytes, Carrier, Signed};
use object_store::list::{PaginatedListOptions, PaginatedListStore};
use object_store::path::Path;
use object_store::{BackoffConfig, GetOptions, GetRange, ObjectStore, RetryConfig};
use rekopia_format::BlobId;
use rekopia_format::Time;

use crate::client::collect::collect;
use crate::client::http::{Http, innermost};
use crate::error::{BlobError, BlobErrorKind};
use crate::folders::far::{Bucket, FarElsewhere, Member};
use crate::folders::names::is_blob;
use crate::reader::{BlobInfo, BlobReader, BoxFuture, StorageProfile, Usage};

/// The abilities that we need of a store. Its own listing takes prefixes for folders; the paginated one takes them as
/// they are.
trait Store: ObjectStore + PaginatedListStore {}

impl<T: ObjectStore + PaginatedListStore> Store for T {}

/// Reads blobs from a container or bucket.
pub struct ObjectBlobs {
    store: Arc<dyn Store>,
    http: Http,
    prefix: String,
    /// The place that requests go to, for messages.
    place: String,
    /// Whether a listing leaves out what is called exactly as it asks for: `object_store` does so for Azure, where such
    /// an entry may be a folder.
    hides_exact: bool,
    elsewhere: FarElsewhere,
}

/// The length up to which a text is a prefix of many blobs rather than the name of one.
const SHORT: usize = 2;
/// The time until a page of a listing is there; parts of an answer have deadlines of their own.
const PAGE: Duration = Duration::from_secs(60);

impl ObjectBlobs {
    /// Puts a reader over a store.
    fn over(store: impl Store, http: Http, prefix: &str, place: String) -> Result<Self, BlobError> {
        let (store, prefix) = (Arc::new(store), prefix.to_owned());
        let elsewhere = FarElsewhere::default();
        let blobs = ObjectBlobs { store, http, prefix, place, hides_exact: false, elsewhere };
        blobs.path("x")?;
        Ok(blobs)
    }

    fn path(&self, id: &str) -> Result<Path, BlobError> {
        let key = format!("{}{id}", self.prefix);
        match Path::parse(&key) {
            Ok(path) if path.as_ref() == key => Ok(path),
            _ => {
                let what = format!(
                    "{}: a prefix must not begin with a slash nor hold empty, \".\" or \"..\" folders",
                    self.place
                );
                Err(BlobError::new(BlobErrorKind::Settings, what))
            }
        }
    }

    /// Reads a blob, in whatever layout it lies.
    async fn get(
        &self,
        id: &BlobId,
        range: Option<Range<u64>>,
        mut into: Vec<u8>,
    ) -> Result<Vec<u8>, BlobError> {
        into.clear();
        if range.as_ref().is_some_and(Range::is_empty) {
            self.info(id).await?;
            return Ok(into);
        }
        let got = self.get_at(id, id.as_str(), range.clone(), into).await;
        let ask = |path: String| {
            let range = range.clone();
            async move { self.get_at(id, &path, range, Vec::new()).await }
        };
        self.elsewhere.or_find(self, id, got, ask).await
    }

    async fn get_at(
        &self,
        id: &BlobId,
        path: &str,
        range: Option<Range<u64>>,
        into: Vec<u8>,
    ) -> Result<Vec<u8>, BlobError> {
        let mut options = GetOptions { range: range.clone().map(GetRange::Bounded), ..GetOptions::default() };
        options.extensions.insert(BlobBytes);
        let answer = self.store.get_opts(&self.path(path)?, options).await;
        let answer = answer.map_err(|e| self.failed(&e, "getting it").of(id))?;
        let given = answer.range.clone();
        if range.is_some_and(|wanted| wanted != given) {
            // Only the blob's own end makes an answer short.
            if answer.meta.size <= given.end {
                return Err(BlobError::new(BlobErrorKind::Truncated, "it ends too early").of(id));
            }
            let what = format!("{}: another range than the one that was asked for", self.place);
            return Err(BlobError::new(BlobErrorKind::Unavailable, what).transient().of(id));
        }
        let parts = answer.into_stream().map(|part| part.map_err(|e| self.failed(&e, "getting it")));
        collect(parts, into, Some(given.end.saturating_sub(given.start))).await.map_err(|e| e.of(id))
    }

    async fn info(&self, id: &BlobId) -> Result<BlobInfo, BlobError> {
        let got = self.info_at(id, id.as_str()).await;
        let ask = |path: String| async move { self.info_at(id, &path).await };
        self.elsewhere.or_find(self, id, got, ask).await
    }

    async fn info_at(&self, id: &BlobId, path: &str) -> Result<BlobInfo, BlobError> {
        let options = GetOptions { head: true, ..GetOptions::default() };
        let answer = self.store.get_opts(&self.path(path)?, options).await;
        let meta = answer.map_err(|e| self.failed(&e, "looking at it").of(id))?.meta;
        let modified_ns = meta.last_modified.timestamp_nanos_opt().unwrap_or(0);
        Ok(BlobInfo { id: id.clone(), len: meta.size, modified: Time::from_unix_nanos(modified_ns) })
    }

    /// Lists all blobs, or the first `limit`.
    async fn names(&self, prefix: &str, limit: usize) -> Result<Vec<BlobInfo>, BlobError> {
        self.elsewhere.names(self, prefix, limit).await
    }

    /// Returns the objects and folders whose names begin so, up to the next slash; whole names, less the prefix of the
    /// repository. May stop when there are `limit` blobs.
    async fn level(&self, prefix: &str, limit: usize) -> Result<Vec<Member>, BlobError> {
        let whole = format!("{}{prefix}", self.prefix);
        let asked = Some(whole.as_str()).filter(|p| !p.is_empty());
        let broken = |what: &str| {
            let what = format!("{}: listing {prefix:?}: {what}", self.place);
            BlobError::new(BlobErrorKind::Unavailable, what).transient()
        };
        let (mut found, mut blobs, mut seen) = (Vec::new(), 0, HashSet::new());
        let mut next = None;
        loop {
            let options = PaginatedListOptions {
                delimiter: Some("/".into()),
                max_keys: (limit < 1000).then_some(limit),
                page_token: next.clone(),
                ..PaginatedListOptions::default()
            };
            let page = tokio::time::timeout(PAGE, self.store.list_paginated(asked, options)).await;
            let page = page.map_err(|_| broken("no answer in time"))?;
            let page = page.map_err(|e| self.no_list(&e, prefix))?;
            for object in page.result.objects {
                let Some(name) = object.location.as_ref().strip_prefix(self.prefix.as_str()) else {
                    continue;
                };
                blobs += usize::from(is_blob(name));
                let modified_ns = object.last_modified.timestamp_nanos_opt().unwrap_or(0);
                found.push(Member { name: name.to_owned(), is_folder: false, len: object.size, modified_ns });
            }
            let folders = page.result.common_prefixes.iter().map(|folder| format!("{folder}/"));
            found.extend(folders.filter_map(|f| f.strip_prefix(self.prefix.as_str()).map(Member::folder)));
            match page.page_token {
                Some(token) if blobs < limit => {
                    // A storage that says "more" without going on would be asked for ever.
                    if !seen.insert(token.clone()) {
                        return Err(broken("it does not go on"));
                    }
                    next = Some(token);
                }
                _ => break,
            }
        }
        if self.hides_exact && blobs < limit {
            found.extend(self.exactly(prefix).await?.filter(|one| found.iter().all(|m| m.name != one.name)));
        }
        Ok(found)
    }

    /// Returns the blob that is called exactly so, if there is one.
    async fn exactly(&self, name: &str) -> Result<Option<Member>, BlobError> {
        // Prefixes of many blobs (`x`, `p81`, `xn0_`) are no names: they cost no request.
        let is_whole = name.starts_with("kopia.") || (name.len() > SHORT && !name.ends_with('_'));
        let Some(id) = BlobId::parse(name).ok().filter(|_| is_blob(name) && is_whole) else {
            return Ok(None);
        };
        match self.info_at(&id, name).await {
            Ok(BlobInfo { len, modified, .. }) => {
                let modified_ns = modified.unix_nanos();
                Ok(Some(Member { name: name.to_owned(), is_folder: false, len, modified_ns }))
            }
            Err(e) if e.is_not_found() => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Makes the error of a list that is not found: its bucket is not there, since no blobs are an empty list.
    fn no_list(&self, error: &object_store::Error, prefix: &str) -> BlobError {
        let error = self.failed(error, &format!("listing {prefix:?}"));
        match error.kind() {
            BlobErrorKind::NotFound => {
                let what = format!("{}; there is no such container or bucket", error.what());
                BlobError::new(BlobErrorKind::Settings, what)
            }
            _ => error,
        }
    }

    /// Finds the error that our own client gave; the text around it may show a whole URL, with what signs it.
    fn failed(&self, error: &object_store::Error, doing: &str) -> BlobError {
        let doing = format!("{}: {doing}", self.place);
        let mut next: Option<&(dyn Error + 'static)> = Some(error);
        while let Some(cause) = next {
            if let Some(ours) = cause.downcast_ref::<BlobError>() {
                return ours.clone().while_doing(&doing);
            }
            next = cause.source();
        }
        let what = format!("{doing}: an answer that cannot be understood: {}", innermost(error));
        BlobError::new(BlobErrorKind::Unavailable, what).transient()
    }
}

/// Makes the carrier of the requests of one store.
fn carrier(http: &Http, signed: Signed) -> Result<Carrier, BlobError> {
    Ok(Carrier { http: http.clone(), metadata: http.direct()?, signed })
}

/// Lets `object_store` try once.
fn once() -> RetryConfig {
    RetryConfig { backoff: BackoffConfig::default(), max_retries: 0, retry_timeout: Duration::ZERO }
}

/// Makes a settings error; `object_store`'s own words about settings name fields, never values.
fn wrong(what: &str) -> BlobError {
    BlobError::new(BlobErrorKind::Settings, what)
}

/// Checks an address that was typed: with its scheme, without a slash at its end.
fn endpoint<'a>(field: &str, text: &'a str) -> Result<&'a str, BlobError> {
    let wrong = |what: &str| wrong(&format!("field {field:?} {what}"));
    if !text.starts_with("http://") && !text.starts_with("https://") {
        return Err(wrong("is neither http://… nor https://…"));
    }
    let parsed = reqwest::Url::parse(text).map_err(|_| wrong("is not an address"))?;
    if !parsed.username().is_empty() || parsed.password().is_some() || parsed.query().is_some() {
        return Err(wrong("must be an address alone"));
    }
    Ok(text.trim_end_matches('/'))
}

impl fmt::Debug for ObjectBlobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectBlobs").field("place", &self.place).finish_non_exhaustive()
    }
}

impl Bucket for ObjectBlobs {
    async fn level(&self, begin: &str, limit: usize) -> Result<Vec<Member>, BlobError> {
        ObjectBlobs::level(self, begin, limit).await
    }

    fn place(&self) -> String {
        self.place.clone()
    }
}

impl BlobReader for ObjectBlobs {
    fn read<'a>(
        &'a self,
        id: &'a BlobId,
        range: Option<Range<u64>>,
        into: Vec<u8>,
    ) -> BoxFuture<'a, Result<Vec<u8>, BlobError>> {
        Box::pin(self.get(id, range, into))
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<BlobInfo>, BlobError>> {
        Box::pin(self.names(prefix, usize::MAX))
    }

    fn stat<'a>(&'a self, id: &'a BlobId) -> BoxFuture<'a, Result<BlobInfo, BlobError>> {
        Box::pin(self.info(id))
    }

    fn any<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<bool, BlobError>> {
        Box::pin(async move { Ok(!self.names(prefix, 1).await?.is_empty()) })
    }

    fn look_elsewhere(&self) -> BoxFuture<'_, Result<bool, BlobError>> {
        Box::pin(self.elsewhere.look(self))
    }

    fn distrust(&self, _id: &BlobId) {}

    fn usage(&self) -> Usage {
        self.http.usage()
    }

    fn profile(&self) -> StorageProfile {
        StorageProfile { in_flight: 32, gap: 128 * 1024, local: false }
    }

    fn folder(&self) -> Option<PathBuf> {
        None
    }

    fn describe(&self) -> String {
        self.place.clone()
    }
}
