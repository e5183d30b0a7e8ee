//! Finds repositories around a place that holds none: above it, beside it, below it. A mistyped place shows that way.

use std::path::{Path, PathBuf};

#[cfg(feature = "s3")]
use crate::deadlines::Deadlines;
#[cfg(feature = "s3")]
use crate::provider::s3::S3Blobs;
#[cfg(feature = "s3")]
use crate::settings::S3Settings;
use crate::settings::Settings;

/// The most folders that are looked into, and the most repositories that are named.
const MOST_FOLDERS: usize = 200;
const MOST_NAMED: usize = 5;
/// The file that every repository in a directory has (§1.3).
const FORMAT_FILE: &str = "kopia.repository.f";

/// Names the repositories one level up, down or beside, and further up, as URLs or paths; empty where looking is not
/// permitted or not possible. Lists the parent and the place itself, one level each, and asks each folder for its
/// format blob.
pub async fn nearby(settings: &Settings) -> Vec<String> {
    let mut found = match settings {
        Settings::Filesystem(s) => {
            let path = s.path.clone();
            tokio::task::spawn_blocking(move || around_directory(&path)).await.unwrap_or_default()
        }
        #[cfg(feature = "s3")]
        Settings::S3(s) => around_prefix(s).await,
        _ => Vec::new(),
    };
    found.truncate(MOST_NAMED);
    found
}

fn around_directory(path: &Path) -> Vec<String> {
    let folders = |of: &Path| -> Vec<PathBuf> {
        let entries = std::fs::read_dir(of).into_iter().flatten().flatten().take(MOST_FOLDERS);
        let mut folders: Vec<_> = entries.map(|e| e.path()).filter(|p| p.is_dir()).collect();
        folders.sort();
        folders
    };
    let mut candidates: Vec<PathBuf> = path.ancestors().skip(1).map(Path::to_path_buf).collect();
    candidates.extend(path.parent().map(folders).unwrap_or_default());
    candidates.extend(folders(path));
    candidates.retain(|p| p != path && p.join(FORMAT_FILE).is_file());
    candidates.into_iter().map(|p| p.display().to_string()).collect()
}

#[cfg(feature = "s3")]
async fn around_prefix(settings: &S3Settings) -> Vec<String> {
    use futures::StreamExt;

    let Ok(here) = S3Blobs::open(settings, Deadlines::default()).await else {
        return Vec::new();
    };
    let above = above(&settings.prefix);
    let mut candidates = above.clone();
    for folder in above.first().into_iter().chain([&settings.prefix]) {
        candidates.extend(here.folders(folder).await.unwrap_or_default());
    }
    candidates.retain(|p| *p != settings.prefix);
    candidates.truncate(MOST_FOLDERS);
    let probes = candidates.into_iter().map(|prefix| {
        let there = here.at(&prefix);
        async move { there.holds_repository().await.then(|| format!("s3://{}/{prefix}", settings.bucket)) }
    });
    futures::stream::iter(probes).buffered(16).filter_map(std::future::ready).collect().await
}

/// Returns the prefixes above: `a/b/c/` → `a/b/`, `a/`, and the bucket itself.
#[cfg(feature = "s3")]
fn above(prefix: &str) -> Vec<String> {
    let bare = prefix.trim_end_matches('/');
    if bare.is_empty() {
        return Vec::new();
    }
    let mut ends: Vec<usize> = bare.match_indices('/').map(|(at, _)| at + 1).collect();
    ends.reverse();
    ends.into_iter().map(|end| bare[..end].to_owned()).chain([String::new()]).collect()
}

#[cfg(all(test, feature = "s3"))]
mod tests {
    use super::*;

    #[test]
    fn prefixes_have_parents() {
        assert_eq!(above("a/b/c/"), ["a/b/", "a/", ""]);
        assert_eq!(above("a"), [""]);
        assert!(above("").is_empty());
    }
}
