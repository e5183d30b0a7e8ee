//! Says where a repository is, whichever kind of storage holds it.

use std::path::{Path, PathBuf};

use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::settings_error;
use super::pasted::{tidy, trimmed};
use super::secret::Secret;
use super::storages::{
    AzureSettings, B2Settings, FilesystemSettings, GcsSettings, RcloneSettings, S3Settings, SftpSettings,
    WebdavSettings,
};
use super::url;
use crate::error::BlobError;
#[cfg(doc)]
use crate::error::BlobErrorKind;

/// The place of a repository and how to get there.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Settings {
    /// A directory: `filesystem` in Kopia's configuration.
    Filesystem(FilesystemSettings),
    /// A bucket of AWS S3 or alike: `s3` in Kopia's configuration.
    S3(S3Settings),
    /// A bucket of Google Cloud Storage: `gcs` in Kopia's configuration.
    Gcs(GcsSettings),
    /// A container of Azure Blob Storage: `azureBlob` in Kopia's configuration.
    Azure(AzureSettings),
    /// A bucket of Backblaze B2: `b2` in Kopia's configuration.
    B2(B2Settings),
    /// A directory behind an SSH server: `sftp` in Kopia's configuration.
    Sftp(SftpSettings),
    /// A collection of a WebDAV server: `webdav` in Kopia's configuration.
    Webdav(WebdavSettings),
    /// A remote of `rclone`: `rclone` in Kopia's configuration.
    Rclone(RcloneSettings),
}

impl Settings {
    /// Reads a plain path or a URL such as `s3://bucket/prefix?region=eu-central-1`.
    ///
    /// # Errors
    /// [`BlobErrorKind::Settings`] for an unknown scheme or option, a missing part, or a secret.
    pub fn parse(text: &str) -> Result<Self, BlobError> {
        let local = ["filesystem:", "file:"].iter().find_map(|scheme| text.strip_prefix(scheme));
        match trimmed(text).split_once("://") {
            // A folder may be called so.
            None => match local.filter(|path| path.starts_with('/') && !Path::new(text).exists()) {
                Some(path) => Ok(Settings::path(trimmed(path))),
                None => Ok(Settings::path(text)),
            },
            Some(("file", path)) => Ok(Settings::path(percent_decode_str(path).decode_utf8_lossy().as_ref())),
            // VolSync's own form, which is no URL.
            Some(("filesystem", path)) => Ok(Settings::path(path)),
            Some((scheme, rest)) => {
                let (kind, config) = url::parse(scheme, rest)?;
                Settings::from_kopia(&kind, Value::Object(config))
            }
        }
    }

    /// Makes the settings of a repository in a directory.
    pub fn path(path: impl Into<PathBuf>) -> Self {
        Settings::Filesystem(FilesystemSettings { path: path.into(), dir_shards: None })
    }

    /// Reads the storage part of Kopia's configuration: its `type` and its `config` (§1.12).
    ///
    /// # Errors
    /// [`BlobErrorKind::Settings`] for an unknown type, a field of the wrong kind, or a required field that is empty.
    pub fn from_kopia(kind: &str, mut config: Value) -> Result<Self, BlobError> {
        tidy(&mut config)?;
        let settings = match kind {
            "filesystem" => Settings::Filesystem(fields(kind, config)?),
            "s3" => Settings::S3(fields::<S3Settings>(kind, config)?.tidy()?),
            "gcs" => Settings::Gcs(fields(kind, config)?),
            "azureBlob" => Settings::Azure(fields(kind, config)?),
            "b2" => Settings::B2(fields(kind, config)?),
            "sftp" => Settings::Sftp(fields(kind, config)?),
            "webdav" => Settings::Webdav(fields::<WebdavSettings>(kind, config)?.tidy()),
            "rclone" => Settings::Rclone(fields(kind, config)?),
            "gdrive" => {
                let what =
                    "Google Drive is not supported; connect rclone to the same folder and use rclone://";
                return Err(settings_error(what));
            }
            _ => return Err(settings_error(format!("storage type {kind:?} is not known"))),
        };
        settings.check()?;
        Ok(settings)
    }

    /// Returns the same place read as a folder, where a prefix without a slash at its end may have meant one.
    pub fn in_folder(&self) -> Option<Self> {
        let mut folder = self.clone();
        let prefix = match &mut folder {
            Settings::S3(s) => &mut s.prefix,
            Settings::Gcs(s) => &mut s.prefix,
            Settings::Azure(s) => &mut s.prefix,
            Settings::B2(s) => &mut s.prefix,
            _ => return None,
        };
        if prefix.is_empty() || prefix.ends_with('/') {
            return None;
        }
        prefix.push('/');
        Some(folder)
    }

    /// Returns the settings with the password trimmed, where that changes it: to be tried when the server has refused
    /// the other.
    pub fn with_trimmed_password(&self) -> Option<Self> {
        let mut other = self.clone();
        let password = match &mut other {
            Settings::Sftp(s) => &mut s.password,
            Settings::Webdav(s) => &mut s.password,
            _ => return None,
        };
        let trimmed = Secret::new(trimmed(password.expose()));
        let differs = trimmed.expose() != password.expose();
        *password = trimmed;
        differs.then_some(other)
    }

    fn check(&self) -> Result<(), BlobError> {
        let required: &[(&str, &str)] = match self {
            Settings::Filesystem(s) => &[("path", s.path.to_str().unwrap_or("?"))],
            Settings::S3(s) => &[("bucket", &s.bucket)],
            Settings::Gcs(s) => &[("bucket", &s.bucket)],
            Settings::Azure(s) => &[("container", &s.container)],
            Settings::B2(s) => &[("bucket", &s.bucket)],
            Settings::Sftp(s) => &[("host", &s.host), ("path", &s.path)],
            Settings::Webdav(s) => &[("url", &s.url)],
            Settings::Rclone(s) => &[("remotePath", &s.remote_path)],
        };
        match required.iter().find(|(_, value)| value.is_empty()) {
            Some((field, _)) => Err(settings_error(format!("field {field:?} is missing"))),
            None => Ok(()),
        }
    }
}

fn fields<T: DeserializeOwned>(kind: &str, config: Value) -> Result<T, BlobError> {
    let named = config.clone();
    serde_json::from_value(config).map_err(|_| {
        // The parser's message may quote a value; so the field is found by trying each alone.
        let wrong = named.as_object().into_iter().flatten().find(|(name, value)| {
            let alone = Value::Object([((*name).clone(), (*value).clone())].into_iter().collect());
            serde_json::from_value::<T>(alone).is_err()
        });
        let field = wrong.map_or("its configuration", |(name, _)| name.as_str());
        settings_error(format!("storage {kind}: {field} cannot be understood"))
    })
}

#[cfg(test)]
mod tests {
    use super::super::storages::S3Style;
    use super::*;

    fn s3(url: &str) -> S3Settings {
        match Settings::parse(url).unwrap() {
            Settings::S3(s3) => s3,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn reads_paths_and_urls() {
        assert_eq!(Settings::parse("/srv/kopia").unwrap(), Settings::path("/srv/kopia"));
        assert_eq!(Settings::parse("file:///srv/kopia").unwrap(), Settings::path("/srv/kopia"));
        assert!(Settings::parse("ftp://x").is_err());
        let minio = s3("s3://bucket/a%20b/?endpoint=http://minio:9000&style=path&region=x");
        assert_eq!((minio.bucket.as_str(), minio.prefix.as_str()), ("bucket", "a b/"));
        assert_eq!(
            (minio.endpoint.as_str(), minio.do_not_use_tls, minio.style),
            ("minio:9000", true, S3Style::Path)
        );
        assert!(s3("s3://b?insecure").do_not_verify_tls);
        assert_eq!(s3("s3://b?role-arn=r&duration=1h0m0s").duration.unwrap().as_secs(), 3600);
        let Settings::Sftp(sftp) =
            Settings::parse("sftp://me@[::1]:2222/srv/x?key=/k&known-hosts=/h").unwrap()
        else {
            panic!()
        };
        assert_eq!((sftp.host.as_str(), sftp.port, sftp.username.as_str()), ("::1", 2222, "me"));
        assert_eq!((sftp.path.as_str(), sftp.keyfile.as_str()), ("/srv/x", "/k"));
        let Settings::Webdav(dav) = Settings::parse("webdavs://me@nas:8443/dav/kopia").unwrap() else {
            panic!()
        };
        assert_eq!((dav.url.as_str(), dav.username.as_str()), ("https://nas:8443/dav/kopia", "me"));
        let Settings::Rclone(rclone) = Settings::parse("rclone://drive:backup/kopia").unwrap() else {
            panic!()
        };
        assert_eq!(rclone.remote_path, "drive:backup/kopia");
    }

    #[test]
    fn what_a_url_says_of_a_user_is_not_shown() {
        let config = serde_json::json!({"url": "http://me:ca%40nary@nas:8080/dav/"});
        let Settings::Webdav(dav) = Settings::from_kopia("webdav", config).unwrap() else { panic!() };
        assert_eq!((dav.url.as_str(), dav.username.as_str()), ("http://nas:8080/dav/", "me"));
        assert_eq!(dav.password.expose(), "ca@nary");
        assert!(!format!("{dav:?}").contains("nary"), "{dav:?}");
    }

    #[test]
    fn refuses_secrets_and_unknown_options_by_name() {
        for (url, part) in [
            ("s3://b?secret-access-key=canary", "secret-access-key"),
            ("sftp://me:canary@host/x", "password"),
            ("b2://b?key=canary", "key"),
            ("s3://b?colour=canary", "colour"),
            ("s3://b?point-in-time=soon", "pointInTime"),
            ("s3:///x", "bucket"),
        ] {
            let error = Settings::parse(url).unwrap_err().to_string();
            assert!(error.contains(part) && !error.contains("canary"), "{url}: {error}");
        }
    }
}
