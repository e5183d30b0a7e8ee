//! Kopia's `repository.config` and its connection tokens (§1.11, §1.13).

use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::{Secret, Settings, settings_error};
use crate::BlobError;

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

/// What `kopia repository status -t` prints: where a repository is, perhaps with its password (§1.13).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// The storage.
    pub settings: Settings,
    /// The repository's password, when the token was asked to hold it.
    pub password: Option<Secret>,
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
struct RawToken {
    version: String,
    storage: RawStorage,
    password: Option<Secret>,
}

#[derive(Deserialize)]
struct RawStorage {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    config: serde_json::Value,
}

impl KopiaConfig {
    /// Reads a configuration file that `kopia repository connect` wrote.
    ///
    /// # Errors
    /// [`Settings`](crate::BlobErrorKind::Settings) when it cannot be read or names a storage that this build does not have.
    pub fn read(path: &Path) -> Result<Self, BlobError> {
        let what = || settings_error(format!("Kopia's configuration {}", path.display()));
        let text = Zeroizing::new(std::fs::read(path).map_err(|e| what().because(e))?);
        Self::parse(&text).map_err(|e| what().because(e))
    }

    fn parse(text: &[u8]) -> Result<Self, BlobError> {
        let raw: RawConfig = serde_json::from_slice(text).map_err(not_understood)?;
        if raw.api_server.is_some() {
            let what =
                "it connects through a Kopia server; name the server's own storage with --repo instead";
            return Err(settings_error(what));
        }
        let storage = raw.storage.ok_or_else(|| settings_error("it names no storage"))?;
        let settings = Settings::from_kopia(&storage.kind, storage.config)?;
        Ok(KopiaConfig { settings, username: raw.username, hostname: raw.hostname })
    }
}

impl Token {
    /// Reads a connection token; white space around it does not matter.
    ///
    /// # Errors
    /// [`Settings`](crate::BlobErrorKind::Settings) when it is not one, or is of a version other than 1.
    pub fn parse(text: &str) -> Result<Self, BlobError> {
        let decoded = BASE64_URL_SAFE_NO_PAD.decode(text.trim().trim_end_matches('='));
        let json = Zeroizing::new(decoded.map_err(|_| settings_error("the connection token is not base64"))?);
        let raw: RawToken = serde_json::from_slice(&json).map_err(not_understood)?;
        if raw.version != "1" {
            let what = format!("connection token of version {:?}; only version 1 is known", raw.version);
            return Err(settings_error(what));
        }
        let settings = Settings::from_kopia(&raw.storage.kind, raw.storage.config)?;
        Ok(Token { settings, password: raw.password.filter(|p| !p.is_empty()) })
    }
}

/// The parser's own message may quote the text, and with it a secret: only the place is kept.
fn not_understood(e: serde_json::Error) -> BlobError {
    settings_error(format!("not understood at line {}, column {}", e.line(), e.column()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connect::FilesystemSettings;

    #[test]
    fn reads_kopias_configuration() {
        let text = br#"{"storage":{"type":"filesystem","config":{"path":"/srv/kopia","fileMode":384,"dirShards":null}},
            "caching":{"cacheDirectory":"../x"},"hostname":"media","username":"me","formatBlobCacheDuration":900000000000}"#;
        let config = KopiaConfig::parse(text).unwrap();
        let expected = FilesystemSettings { path: "/srv/kopia".into(), dir_shards: None };
        assert_eq!(config.settings, Settings::Filesystem(expected));
        assert_eq!((config.username.as_str(), config.hostname.as_str()), ("me", "media"));
        let server = br#"{"apiServer":{"url":"https://x"},"hostname":"a","username":"b"}"#;
        assert!(KopiaConfig::parse(server).unwrap_err().to_string().contains("--repo"));
    }

    #[test]
    fn reads_tokens_and_refuses_other_versions() {
        let token = |json: &str| Token::parse(&BASE64_URL_SAFE_NO_PAD.encode(json));
        let storage = r#""storage":{"type":"s3","config":{"bucket":"b","secretAccessKey":"canary","doNotUseTLS":true}}"#;
        let read = token(&format!(r#"{{"version":"1",{storage},"password":"canary"}}"#)).unwrap();
        let Settings::S3(s3) = &read.settings else { panic!("{read:?}") };
        assert!(s3.do_not_use_tls && s3.bucket == "b" && s3.secret_access_key.expose() == "canary");
        assert!(!format!("{read:?}").contains("canary"));
        assert_eq!(read.password.unwrap().expose(), "canary");
        assert!(token(&format!(r#"{{"version":"2",{storage}}}"#)).is_err());
        let broken = token(r#"{"version":"1","storage":{"type":"s3","config":{"bucket":7,"key":"canary"}}}"#);
        assert!(!format!("{:?}", broken.unwrap_err()).contains("canary"));
    }
}
