//! Reads Kopia's `repository.config` and its connection tokens (§1.11, §1.13).

use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::error::settings_error;
use super::kinds::Settings;
use super::pasted::trimmed;
use super::secret::Secret;
use crate::error::BlobError;

/// Kopia's `repository.config`, as far as a reader needs it (§1.11).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KopiaConfig {
    /// The settings of the storage.
    pub settings: Settings,
    /// The user's name of this machine in the repository.
    pub username: String,
    /// The host name of this machine in the repository.
    pub hostname: String,
    /// The limits that Kopia was told not to exceed.
    pub limits: Limits,
}

/// The limits that Kopia was told not to exceed (§1.12), as far as they are about reading; `None`: no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes per second.
    pub bandwidth: Option<u64>,
    /// Requests in flight.
    pub in_flight: Option<usize>,
    /// Reads and listings per second.
    pub requests_per_second: Option<u32>,
}

impl Limits {
    crate::setters! {
        bandwidth: Option<u64>,
        in_flight: Option<usize>,
        requests_per_second: Option<u32>,
    }
}

/// The token that `kopia repository status -t` prints: where a repository is, perhaps with its password (§1.13).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Token {
    /// The settings of the storage.
    pub settings: Settings,
    /// The limits that Kopia was told not to exceed.
    pub limits: Limits,
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
    #[serde(rename = "throttlingLimits", default)]
    throttling: serde_json::Value,
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
    /// [`Settings`](crate::error::BlobErrorKind::Settings) when it cannot be read or names a storage that this build does not have.
    pub fn read(path: &Path) -> Result<Self, BlobError> {
        let what = || settings_error(format!("Kopia's configuration {}", path.display()));
        let text = Zeroizing::new(std::fs::read(path).map_err(|e| what().because(e))?);
        Self::parse(&text).map_err(|e| what().because(e))
    }

    fn parse(text: &[u8]) -> Result<Self, BlobError> {
        let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
        let raw: RawConfig = serde_json::from_slice(text).map_err(not_understood)?;
        if raw.api_server.is_some() {
            let what = "it connects through a Kopia server, which is not spoken to; name the server's own storage instead";
            return Err(settings_error(what));
        }
        let storage = raw.storage.ok_or_else(|| settings_error("it names no storage"))?;
        let limits = Limits::of(&storage.config).and(Limits::of(&raw.throttling));
        let settings = Settings::from_kopia(&storage.kind, storage.config)?;
        Ok(KopiaConfig { settings, username: raw.username, hostname: raw.hostname, limits })
    }
}

impl Limits {
    /// Reads the throttling fields among others; 0 is no limit.
    fn of(fields: &serde_json::Value) -> Self {
        let number = |name: &str| fields.get(name).and_then(serde_json::Value::as_f64).filter(|n| *n > 0.0);
        // A cast saturates: what is too large is no limit to speak of.
        let requests = ["readsPerSecond", "listsPerSecond"].into_iter().filter_map(number).reduce(f64::min);
        Limits {
            bandwidth: number("maxDownloadSpeedBytesPerSecond").map(|n| n.ceil() as u64),
            in_flight: number("concurrentReads").map(|n| n.ceil() as usize),
            requests_per_second: requests.map(|n| n.ceil() as u32),
        }
    }

    /// Joins two sets of limits: the smaller of each counts.
    pub fn and(self, other: Limits) -> Limits {
        fn smaller<T: Ord>(a: Option<T>, b: Option<T>) -> Option<T> {
            a.into_iter().chain(b).min()
        }
        Limits {
            bandwidth: smaller(self.bandwidth, other.bandwidth),
            in_flight: smaller(self.in_flight, other.in_flight),
            requests_per_second: smaller(self.requests_per_second, other.requests_per_second),
        }
    }
}

impl Token {
    /// Reads a connection token, or the whole of what Kopia prints with it; white space around it does not matter.
    ///
    /// # Errors
    /// [`Settings`](crate::error::BlobErrorKind::Settings) when it is not one, or is of a version other than 1.
    pub fn parse(text: &str) -> Result<Self, BlobError> {
        let text = trimmed(text);
        let after_option =
            text.split_once("--token").map_or(text, |(_, after)| after.trim_start_matches('='));
        let word = after_option.split_whitespace().next().unwrap_or_default().trim_matches(['"', '\'']);
        let decoded = BASE64_URL_SAFE_NO_PAD.decode(word.trim_end_matches('='));
        let json = Zeroizing::new(decoded.map_err(|_| settings_error("the connection token is not base64"))?);
        let raw: RawToken = serde_json::from_slice(&json).map_err(not_understood)?;
        if raw.version != "1" {
            let what = format!("connection token of version {:?}; only version 1 is known", raw.version);
            return Err(settings_error(what));
        }
        let limits = Limits::of(&raw.storage.config);
        let settings = Settings::from_kopia(&raw.storage.kind, raw.storage.config)?;
        Ok(Token { settings, limits, password: raw.password.filter(|p| !p.is_empty()) })
    }
}

/// A mark that some editors put before a text.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// Makes the error of a text that is not understood: the parser's own message may quote the text, and with it a secret,
/// so only the place is kept.
fn not_understood(e: serde_json::Error) -> BlobError {
    settings_error(format!("not understood at line {}, column {}", e.line(), e.column()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::FilesystemSettings;

    #[test]
    fn reads_kopias_configuration() {
        let text = br#"{"storage":{"type":"filesystem","config":{"path":"/srv/kopia","fileMode":384,"dirShards":null}},
            "caching":{"cacheDirectory":"../x"},"hostname":"media","username":"me","formatBlobCacheDuration":900000000000}"#;
        let config = KopiaConfig::parse(text).unwrap();
        let expected = FilesystemSettings { path: "/srv/kopia".into(), dir_shards: None };
        assert_eq!(config.settings, Settings::Filesystem(expected));
        assert_eq!((config.username.as_str(), config.hostname.as_str()), ("me", "media"));
        assert_eq!(config.limits, Limits::default());
        let marked = [BYTE_ORDER_MARK, text].concat();
        assert_eq!(KopiaConfig::parse(&marked).unwrap(), config);
        let server = br#"{"apiServer":{"url":"https://x"},"hostname":"a","username":"b"}"#;
        assert!(KopiaConfig::parse(server).unwrap_err().to_string().contains("own storage"));
    }

    #[test]
    fn the_smaller_limit_counts() {
        let text = br#"{"storage":{"type":"filesystem","config":{"path":"/x","maxDownloadSpeedBytesPerSecond":1e6,
            "concurrentReads":4,"readsPerSecond":0}},
            "throttlingLimits":{"maxDownloadSpeedBytesPerSecond":2500000.5,"readsPerSecond":9.5,"listsPerSecond":20}}"#;
        let limits = KopiaConfig::parse(text).unwrap().limits;
        let expected =
            Limits { bandwidth: Some(1_000_000), in_flight: Some(4), requests_per_second: Some(10) };
        assert_eq!(limits, expected);
    }

    #[test]
    fn a_token_is_found_in_what_kopia_prints() {
        let storage = r#"{"version":"1","storage":{"type":"filesystem","config":{"path":"/srv"}}}"#;
        let token = BASE64_URL_SAFE_NO_PAD.encode(storage);
        let status = format!(
            "Config file:         /etc/kopia/repository.config\n\nTo reconnect to the repository use:\n\n\
             $ kopia repository connect from-config --token {token}\n\nNOTICE: The token printed above can be\n"
        );
        for text in [
            status,
            format!("\u{feff}{token}"),
            format!("--token={token}\n"),
            format!("\u{a0}{token}=\r\n"),
            format!("'{token}'"),
        ] {
            assert!(matches!(Token::parse(&text).unwrap().settings, Settings::Filesystem(_)), "{text:?}");
        }
        assert!(Token::parse("Config file: x\nno token").is_err());
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
