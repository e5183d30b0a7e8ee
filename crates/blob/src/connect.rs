//! Connects to the storage that [`Settings`] describe: a provider with the layers that it needs.

use std::sync::Arc;

use crate::error::{BlobError, BlobErrorKind};
use crate::layer::{self, LayerOptions};
use crate::provider;
use crate::reader::BlobReader;
use crate::settings::Settings;

/// Opens the storage that `settings` describe, with the layers that it needs.
///
/// # Errors
/// Whatever the provider finds wrong before the first request; [`BlobErrorKind::Settings`] for a provider that this
/// build does not have.
pub async fn connect(settings: &Settings) -> Result<Arc<dyn BlobReader>, BlobError> {
    connect_with(settings, &LayerOptions::default()).await
}

/// Connects like [`connect`], with the given limits for retries, parallel requests and cache.
///
/// # Errors
/// As [`connect`].
pub async fn connect_with(
    settings: &Settings,
    options: &LayerOptions,
) -> Result<Arc<dyn BlobReader>, BlobError> {
    let provider: Arc<dyn BlobReader> = match settings {
        Settings::Filesystem(s) => {
            Arc::new(provider::filesystem::FilesystemBlobs::open(&s.path, s.dir_shards.as_deref())?)
        }
        #[cfg(feature = "azure")]
        Settings::Azure(s) => Arc::new(provider::object::ObjectBlobs::azure(s, options.deadlines)?),
        #[cfg(feature = "b2")]
        Settings::B2(s) => Arc::new(provider::b2::B2Blobs::new(s, options.deadlines)?),
        #[cfg(feature = "gcp")]
        Settings::Gcs(s) => Arc::new(provider::object::ObjectBlobs::gcs(s, options.deadlines)?),
        #[cfg(feature = "s3")]
        Settings::S3(s) => Arc::new(provider::s3::S3Blobs::open(s, options.deadlines).await?),
        #[cfg(feature = "rclone")]
        Settings::Rclone(s) => {
            Arc::new(provider::rclone::RcloneBlobs::open(s, options.deadlines, options.in_flight).await?)
        }
        #[cfg(feature = "sftp")]
        Settings::Sftp(s) => {
            Arc::new(provider::sftp::SftpBlobs::open(s, options.deadlines, options.in_flight)?)
        }
        #[cfg(feature = "webdav")]
        Settings::Webdav(s) => {
            Arc::new(provider::webdav::WebdavBlobs::open(s, options.deadlines, options.in_flight)?)
        }
        #[allow(unreachable_patterns, reason = "with every provider built in there is none left")]
        _ => return Err(BlobError::new(BlobErrorKind::Settings, "this storage was left out of this build")),
    };
    Ok(layer::around(provider, options))
}
