//! Holds what each kind of storage needs to know, with the names that Kopia's configuration uses (§1.12).
//!
//! An empty string means "not set", as in Kopia. Fields that Kopia does not have say so.

use std::path::PathBuf;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use rekopia_format::time::Time;
use serde::{Deserialize, Deserializer};

use super::error::settings_error;
use super::secret::Secret;
use crate::error::BlobError;

/// A directory, in the layout that its `.shards` file describes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct FilesystemSettings {
    /// The directory.
    pub path: PathBuf,
    /// The layout of a repository without `.shards`; `None`: Kopia's old default.
    pub dir_shards: Option<Vec<usize>>,
}

/// A bucket of AWS S3 or of anything that speaks its protocol.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct S3Settings {
    /// The bucket.
    pub bucket: String,
    /// The text before every blob name, as it is: a folder ends with `/`.
    pub prefix: String,
    /// The server as `host[:port]`, without a scheme; empty: AWS.
    pub endpoint: String,
    /// Whether plain HTTP is spoken.
    #[serde(rename = "doNotUseTLS")]
    pub do_not_use_tls: bool,
    /// Whether any certificate is believed.
    #[serde(rename = "doNotVerifyTLS")]
    pub do_not_verify_tls: bool,
    /// Further certificate authorities: PEM, in base64.
    #[serde(rename = "rootCA")]
    pub root_ca: String,
    /// File with further certificate authorities, PEM (not a field of Kopia's).
    pub ca_file: Option<PathBuf>,
    /// The ID of a static key.
    #[serde(rename = "accessKeyID")]
    pub access_key_id: String,
    /// The secret of a static key.
    pub secret_access_key: Secret,
    /// The session token of a static key.
    pub session_token: Secret,
    /// The token to exchange for a key of `role_arn`.
    pub web_identity_token: Secret,
    /// A file with the web identity token, read again at every renewal; wins over the inline one.
    pub web_identity_token_file: String,
    /// The role to assume.
    #[serde(rename = "roleARN")]
    pub role_arn: String,
    /// Name of the session with the role.
    pub session_name: String,
    /// The time for which a key of the role lasts.
    #[serde(deserialize_with = "go_duration")]
    pub duration: Option<Duration>,
    /// The address where the role is assumed; empty: the region's STS.
    pub role_endpoint: String,
    /// Region of `role_endpoint`.
    pub role_region: String,
    /// Region of the bucket; empty: the environment's, or us-east-1.
    pub region: String,
    /// The time at which the bucket is shown, as it was then; needs versioning.
    #[serde(deserialize_with = "rfc3339")]
    pub point_in_time: Option<Time>,
    /// Profile of the shared AWS configuration (not a field of Kopia's).
    pub profile: String,
    /// The way in which the bucket is named in requests (not a field of Kopia's).
    pub style: S3Style,
    /// Whether requests are sent without a signature (not a field of Kopia's).
    pub anonymous: bool,
}

impl S3Settings {
    /// Takes an endpoint that is given as a URL; Kopia's field has no scheme.
    pub(super) fn tidy(mut self) -> Result<Self, BlobError> {
        if let Some((scheme, bare)) = self.endpoint.split_once("://") {
            match scheme.to_ascii_lowercase().as_str() {
                "http" => self.do_not_use_tls = true,
                "https" => {}
                _ => return Err(settings_error("field \"endpoint\": only http:// and https:// exist")),
            }
            self.endpoint = bare.to_owned();
        }
        let bare = self.endpoint.trim_end_matches('/').len();
        self.endpoint.truncate(bare);
        if self.endpoint.contains('/') {
            return Err(settings_error("field \"endpoint\" holds a path; it is host[:port]"));
        }
        Ok(self)
    }
}

/// The place of the bucket's name in the address.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum S3Style {
    /// The name is in the host for AWS, in the path for everything else.
    #[default]
    Auto,
    /// The name is in the path: `https://endpoint/bucket/key`.
    Path,
    /// The name is in the host: `https://bucket.endpoint/key`.
    Virtual,
}

/// A bucket of Google Cloud Storage.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct GcsSettings {
    /// The bucket.
    pub bucket: String,
    /// The text before every blob name, as it is.
    pub prefix: String,
    /// Service-account JSON; empty: application default credentials, then the metadata server.
    pub credentials_file: String,
    /// The service-account JSON itself.
    #[serde(deserialize_with = "json_text")]
    pub credentials: Secret,
    /// The time at which the bucket is shown, as it was then; needs versioning.
    #[serde(deserialize_with = "rfc3339")]
    pub point_in_time: Option<Time>,
    /// Address of the service, with scheme; empty: Google's (not a field of Kopia's).
    pub endpoint: String,
    /// File with further certificate authorities, PEM (not a field of Kopia's).
    pub ca_file: Option<PathBuf>,
    /// Whether requests are sent without credentials (not a field of Kopia's).
    pub anonymous: bool,
}

/// A container of Azure Blob Storage.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct AzureSettings {
    /// The container.
    pub container: String,
    /// The text before every blob name, as it is.
    pub prefix: String,
    /// The account.
    pub storage_account: String,
    /// The account's shared key.
    pub storage_key: Secret,
    /// A shared access signature, with or without the leading `?`.
    pub sas_token: Secret,
    /// The tenant of a service principal.
    #[serde(rename = "TenantID")]
    pub tenant_id: String,
    /// The ID of a service principal, or of the managed identity to use.
    #[serde(rename = "ClientID")]
    pub client_id: String,
    /// The secret of a service principal.
    #[serde(rename = "ClientSecret")]
    pub client_secret: Secret,
    /// The certificate of a service principal.
    pub client_certificate: Secret,
    /// A file with the token to exchange, for a workload identity.
    pub azure_federated_token_file: String,
    /// Domain after the account's name; empty: `blob.core.windows.net`.
    pub storage_domain: String,
    /// Whether plain HTTP is spoken.
    #[serde(rename = "doNotUseTLS")]
    pub do_not_use_tls: bool,
    /// The time at which the container is shown, as it was then; needs versioning.
    #[serde(deserialize_with = "rfc3339")]
    pub point_in_time: Option<Time>,
    /// Whole address of the account, with scheme, instead of account and domain (not a field of Kopia's).
    pub endpoint: String,
    /// The address where service principals sign in; empty: the public cloud's (not a field of Kopia's).
    pub authority_host: String,
    /// The address where managed identities sign in; empty: the machine's metadata service (not a field of Kopia's).
    pub identity_endpoint: String,
    /// File with further certificate authorities, PEM (not a field of Kopia's).
    pub ca_file: Option<PathBuf>,
}

/// A bucket of Backblaze B2, through its own protocol.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct B2Settings {
    /// The bucket.
    pub bucket: String,
    /// The text before every blob name, as it is.
    pub prefix: String,
    /// The ID of the application key.
    #[serde(rename = "keyID")]
    pub key_id: String,
    /// The application key itself.
    pub key: Secret,
    /// Address of the authorisation service, with scheme; empty: Backblaze's (not a field of Kopia's).
    pub endpoint: String,
    /// File with further certificate authorities, PEM (not a field of Kopia's).
    pub ca_file: Option<PathBuf>,
}

/// A directory behind an SSH server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct SftpSettings {
    /// The directory on the server.
    pub path: String,
    /// The name or address of the server.
    pub host: String,
    /// The server's port; 0: 22.
    pub port: u16,
    /// The user's name on the server.
    pub username: String,
    /// The user's password.
    pub password: Secret,
    /// File with a private key.
    pub keyfile: String,
    /// The private key itself.
    pub key_data: Secret,
    /// File with the keys of known servers.
    pub known_hosts_file: String,
    /// The text of a file with the keys of known servers.
    pub known_hosts_data: String,
    /// Whether the user's own `ssh` makes the connection.
    #[serde(rename = "externalSSH")]
    pub external_ssh: bool,
    /// The program `ssh`; empty: `ssh`.
    pub ssh_command: String,
    /// Arguments of `ssh_command`, separated by spaces.
    pub ssh_arguments: String,
    /// The layout of a repository without `.shards`; `None`: Kopia's old default.
    pub dir_shards: Option<Vec<usize>>,
}

/// A collection of a WebDAV server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct WebdavSettings {
    /// The collection: `https://…` or `http://…`.
    pub url: String,
    /// The user's name on the server.
    pub username: String,
    /// The user's password.
    pub password: Secret,
    /// SHA-256 of the certificate to trust, hexadecimal; empty: the usual authorities.
    pub trusted_server_certificate_fingerprint: String,
    /// The layout of a repository without `.shards`; `None`: Kopia's old default.
    pub dir_shards: Option<Vec<usize>>,
    /// File with further certificate authorities, PEM (not a field of Kopia's).
    pub ca_file: Option<PathBuf>,
    /// Whether any certificate is believed (not a field of Kopia's).
    #[serde(rename = "doNotVerifyTLS")]
    pub do_not_verify_tls: bool,
}

impl WebdavSettings {
    /// Moves a user and a password that stand in the URL to their own fields: URLs are shown.
    pub(crate) fn tidy(mut self) -> Self {
        let Some((scheme, rest)) = self.url.split_once("://") else { return self };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let Some((named, host)) = rest[..end].rsplit_once('@') else { return self };
        let (user, password) = named.split_once(':').unwrap_or((named, ""));
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        if self.username.is_empty() {
            self.username = decoded(user);
        }
        if self.password.is_empty() {
            self.password = Secret::new(decoded(password));
        }
        self.url = format!("{scheme}://{host}{}", &rest[end..]);
        self
    }
}

/// A remote of the user's own `rclone`, which is started for it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct RcloneSettings {
    /// The remote and the path in it: `remote:path`.
    pub remote_path: String,
    /// The program; empty: `rclone`.
    pub rclone_exe: String,
    /// Further arguments of the program.
    pub rclone_args: Option<Vec<String>>,
    /// Further variables of the program's environment, `NAME=value`.
    pub rclone_env: Option<Vec<String>>,
    /// The time that rclone may take to start; `None`: 15 seconds.
    #[serde(deserialize_with = "go_duration")]
    pub startup_timeout: Option<Duration>,
    /// The text of a configuration file for rclone.
    pub embedded_config: Secret,
    /// The layout of a repository without `.shards`; `None`: Kopia's old default.
    pub dir_shards: Option<Vec<usize>>,
}

/// Reads Go's text of a duration, `"1h0m0s"`; empty, zero and null are none.
fn go_duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
    if matches!(text.as_str(), "" | "0") {
        return Ok(None);
    }
    let whole = parse_go_duration(&text);
    let whole = whole.ok_or_else(|| serde::de::Error::custom(format!("{text:?} is not a duration")))?;
    Ok((!whole.is_zero()).then_some(whole))
}

fn parse_go_duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut seconds = 0.0_f64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(digits);
        let unit_len = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_len);
        let scale = match unit {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        seconds += number.parse::<f64>().ok()? * scale;
        rest = tail;
    }
    Duration::try_from_secs_f64(seconds).ok()
}

fn rfc3339<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Time>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)?.filter(|t| !t.is_empty()) else {
        return Ok(None);
    };
    let wrong = || serde::de::Error::custom(format!("{text:?} is not an RFC 3339 time"));
    Time::parse(&text).map(Some).ok_or_else(wrong)
}

/// Reads a JSON object, or its text in a string.
fn json_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
    Ok(match serde_json::Value::deserialize(deserializer)? {
        serde_json::Value::Null => Secret::default(),
        serde_json::Value::String(text) => Secret::new(text),
        object => Secret::new(object.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_gos_durations() {
        assert_eq!(parse_go_duration("1h0m0s"), Some(Duration::from_secs(3600)));
        assert_eq!(parse_go_duration("1m1.5s"), Some(Duration::from_millis(61_500)));
        assert_eq!(parse_go_duration("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(parse_go_duration("12"), None);
        assert_eq!(parse_go_duration("1 h"), None);
    }
}
