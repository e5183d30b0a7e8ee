//! Settings from a URL, a path or Kopia's own configuration file → a reader (§1.11–1.13).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;

use crate::provider::filesystem::FilesystemBlobs;
use crate::{BlobError, BlobErrorKind, BlobReader};

/// Where a repository is and how to get there; checked when it is made.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Settings {
    /// A directory, in the layout that its `.shards` file describes.
    Filesystem {
        /// The directory.
        path: PathBuf,
        /// The layout of a repository without `.shards`; `None`: Kopia's old default.
        dir_shards: Option<Vec<usize>>,
    },
}

/// Kopia's `repository.config`, as far as a reader needs it (§1.11).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KopiaConfig {
    /// The storage.
    pub settings: Settings,
    /// The identity of this machine in the repository.
    pub username: String,
    /// The identity of this machine in the repository.
    pub hostname: String,
}

#[derive(Deserialize)]
struct RawConfig {
    storage: Option<RawStorage>,
    #[serde(rename = "apiServer")]
    api_server: Option<serde_json::Value>,
    #[serde(default)]
    username: String,
    #[serde(default)]
    hostname: String,
}

#[derive(Deserialize)]
struct RawStorage {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    config: serde_json::Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawFilesystem {
    path: String,
    dir_shards: Option<Vec<usize>>,
}

impl Settings {
    /// Reads a plain path or a URL.
    ///
    /// # Errors
    /// [`BlobErrorKind::Settings`] for a scheme that this build does not have.
    pub fn parse(text: &str) -> Result<Self, BlobError> {
        match text.split_once("://") {
            None => Ok(Settings::Filesystem { path: PathBuf::from(text), dir_shards: None }),
            Some(("file", path)) => Ok(Settings::Filesystem { path: PathBuf::from(path), dir_shards: None }),
            Some((scheme, _)) => Err(unsupported(&format!("storage {scheme}://"))),
        }
    }

    fn from_storage(storage: RawStorage) -> Result<Self, BlobError> {
        if storage.kind != "filesystem" {
            return Err(unsupported(&format!("storage type {:?}", storage.kind)));
        }
        let raw: RawFilesystem = serde_json::from_value(storage.config)
            .map_err(|e| settings("the storage part of Kopia's configuration").because(e))?;
        Ok(Settings::Filesystem { path: PathBuf::from(raw.path), dir_shards: raw.dir_shards })
    }
}

impl KopiaConfig {
    /// Reads a configuration file that `kopia repository connect` wrote.
    ///
    /// # Errors
    /// [`BlobErrorKind::Settings`] when it cannot be read or names a storage that this build does not have.
    pub fn read(path: &Path) -> Result<Self, BlobError> {
        let what = || settings(format!("Kopia's configuration {}", path.display()));
        let text = std::fs::read(path).map_err(|e| what().because(e))?;
        Self::parse(&text).map_err(|e| what().because(e))
    }

    fn parse(text: &[u8]) -> Result<Self, BlobError> {
        let raw: RawConfig =
            serde_json::from_slice(text).map_err(|e| settings("not understood").because(e))?;
        if raw.api_server.is_some() {
            let what =
                "it connects through a Kopia server; name the server's own storage with --repo instead";
            return Err(settings(what));
        }
        let storage = raw.storage.ok_or_else(|| settings("it names no storage"))?;
        let settings = Settings::from_storage(storage)?;
        Ok(KopiaConfig { settings, username: raw.username, hostname: raw.hostname })
    }
}

/// Opens the storage that `settings` describe.
///
/// # Errors
/// Whatever the provider finds wrong before the first request.
pub fn connect(settings: &Settings) -> Result<Arc<dyn BlobReader>, BlobError> {
    match settings {
        Settings::Filesystem { path, dir_shards } => {
            Ok(Arc::new(FilesystemBlobs::open(path, dir_shards.as_deref())?))
        }
    }
}

fn settings(what: impl Into<String>) -> BlobError {
    BlobError::new(BlobErrorKind::Settings, what)
}

fn unsupported(what: &str) -> BlobError {
    settings(format!("{what} is not supported by this version; copy the repository to a directory"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_kopias_configuration() {
        let text = br#"{"storage":{"type":"filesystem","config":{"path":"/srv/kopia","fileMode":384,"dirShards":null}},
            "caching":{"cacheDirectory":"../x"},"hostname":"media","username":"me","formatBlobCacheDuration":900000000000}"#;
        let config = KopiaConfig::parse(text).unwrap();
        assert_eq!(config.settings, Settings::Filesystem { path: "/srv/kopia".into(), dir_shards: None });
        assert_eq!((config.username.as_str(), config.hostname.as_str()), ("me", "media"));
        let server = br#"{"apiServer":{"url":"https://x"},"hostname":"a","username":"b"}"#;
        assert!(KopiaConfig::parse(server).unwrap_err().to_string().contains("--repo"));
    }

    #[test]
    fn reads_paths_and_urls() {
        let path = |p: &str| Settings::Filesystem { path: p.into(), dir_shards: None };
        assert_eq!(Settings::parse("/srv/kopia").unwrap(), path("/srv/kopia"));
        assert_eq!(Settings::parse("file:///srv/kopia").unwrap(), path("/srv/kopia"));
        assert!(Settings::parse("ftp://x").is_err());
    }
}
