//! Lists a bucket: as it is, and as it was at an earlier time (§1.10).

use std::collections::{HashMap, HashSet};

use rekopia_format::BlobId;

use super::objects::{Objects, nanos};
use super::past::{Past, Version};
use crate::client::answers::no_list;
use crate::error::{BlobError, BlobErrorKind};
use crate::folders::far::Member;
use crate::folders::names::is_blob;

impl Objects {
    /// Returns the objects and folders whose keys begin so, up to the next slash; their names are whole, less the
    /// prefix of the repository. May stop when there are `limit` objects.
    pub(super) async fn level(&self, begin: &str, limit: usize) -> Result<Vec<Member>, BlobError> {
        if let Some(past) = &self.past {
            return self.level_then(past, begin).await;
        }
        let (mut found, mut objects) = (Vec::new(), 0);
        let mut pages = Pages::default();
        let mut next = None;
        loop {
            let request =
                self.client().list_objects_v2().bucket(&self.bucket).prefix(self.key(begin)).delimiter("/");
            let request = if limit < 1000 { request.max_keys(1) } else { request };
            let page = request.set_continuation_token(next).send().await;
            let page = page.map_err(|e| no_list(self.failed(e, &format!("listing {begin:?}"))))?;
            for object in page.contents() {
                let name = object.key().and_then(|key| key.strip_prefix(self.prefix.as_str()));
                let Some(name) = name else { continue };
                objects += usize::from(is_blob(name));
                let len = object.size().and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
                let modified_ns = nanos(object.last_modified());
                found.push(Member { name: name.to_owned(), is_folder: false, len, modified_ns });
            }
            for folder in page.common_prefixes().iter().filter_map(|p| p.prefix()) {
                found.extend(folder.strip_prefix(self.prefix.as_str()).map(Member::folder));
            }
            if objects >= limit || page.is_truncated() != Some(true) {
                // A page may come twice when blobs are added meanwhile.
                found.sort_unstable_by(|a, b| a.name.cmp(&b.name));
                found.dedup_by(|a, b| a.name == b.name);
                return Ok(found);
            }
            next = page.next_continuation_token().map(str::to_owned);
            pages.go_on(&next).ok_or_else(|| self.broken_list(begin))?;
        }
    }

    /// Lists the objects and folders as they were then. Folders may hold nothing of that time.
    async fn level_then(&self, past: &Past, begin: &str) -> Result<Vec<Member>, BlobError> {
        let (key_prefix, mut found) = (self.key(begin), Vec::new());
        // By key: time and whether it is the latest of all, which decides between two of the same time.
        let mut newest: HashMap<String, ((i64, bool), Option<Version>)> = HashMap::new();
        let at_ns = past.at.unix_nanos();
        let mut offer = |key: &str, order: (i64, bool), version: Option<Version>| {
            // Versions come newest first: of equals the first wins.
            if order.0 <= at_ns && newest.get(key).is_none_or(|(known, _)| *known < order) {
                newest.insert(key.to_owned(), (order, version));
            }
        };
        let mut pages = Pages::default();
        let (mut key_marker, mut version_marker) = (None, None);
        loop {
            let request =
                self.client().list_object_versions().bucket(&self.bucket).prefix(&key_prefix).delimiter("/");
            let request = request.set_key_marker(key_marker).set_version_id_marker(version_marker);
            let page = request.send().await.map_err(|e| no_list(self.failed(e, "listing versions")))?;
            for version in page.versions() {
                let Some(key) = version.key() else { continue };
                let len = version.size().and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
                let modified_ns = nanos(version.last_modified());
                let order = (modified_ns, version.is_latest() == Some(true));
                let id = version.version_id().unwrap_or("null").to_owned();
                offer(key, order, Some(Version { id, len, modified_ns }));
            }
            for marker in page.delete_markers() {
                if let Some(key) = marker.key() {
                    offer(key, (nanos(marker.last_modified()), marker.is_latest() == Some(true)), None);
                }
            }
            for folder in page.common_prefixes().iter().filter_map(|p| p.prefix()) {
                found.extend(folder.strip_prefix(self.prefix.as_str()).map(Member::folder));
            }
            if page.is_truncated() != Some(true) {
                break;
            }
            key_marker = page.next_key_marker().map(str::to_owned);
            version_marker = page.next_version_id_marker().map(str::to_owned);
            // A key cannot hold a line feed that a version's ID begins with: the two together are one place.
            let place =
                key_marker.as_ref().map(|k| format!("{k}\n{}", version_marker.as_deref().unwrap_or("")));
            pages.go_on(&place).ok_or_else(|| self.broken_list(begin))?;
        }
        found.dedup_by(|a, b| a.name == b.name);
        for (key, (_, version)) in &newest {
            let (Some(name), Some(v)) = (key.strip_prefix(self.prefix.as_str()), version) else { continue };
            let name = name.to_owned();
            found.push(Member { name, is_folder: false, len: v.len, modified_ns: v.modified_ns });
        }
        past.versions().extend(newest.into_iter().map(|(key, (_, version))| (key, version)));
        Ok(found)
    }

    /// Returns the version that was current then; asks only when no listing has told.
    pub(super) async fn version(&self, past: &Past, id: &BlobId, path: &str) -> Result<Version, BlobError> {
        let key = self.key(path);
        let known = || past.versions().get(&key).cloned();
        if known().is_none() {
            self.level_then(past, path).await?;
        }
        let missing =
            || BlobError::new(BlobErrorKind::NotFound, format!("it did not exist at {}", past.at)).of(id);
        known().flatten().ok_or_else(missing)
    }

    fn broken_list(&self, prefix: &str) -> BlobError {
        let what = format!("{}: the list of {prefix:?} does not go on", self.place);
        BlobError::new(BlobErrorKind::Unavailable, what).transient()
    }
}

/// The pages where a listing has been: a storage that says "more" without saying where, or goes round in circles, would
/// be asked for ever.
#[derive(Debug, Default)]
struct Pages(HashSet<String>);

impl Pages {
    fn go_on(&mut self, place: &Option<String>) -> Option<()> {
        self.0.insert(place.clone()?).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_in_circles_ends() {
        let mut pages = Pages::default();
        assert!(pages.go_on(&Some("a".into())).is_some() && pages.go_on(&Some("b".into())).is_some());
        assert!(pages.go_on(&Some("a".into())).is_none() && pages.go_on(&None).is_none());
    }
}
