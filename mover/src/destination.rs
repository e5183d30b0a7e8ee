//! Makes the variables of a restore job from a ReplicationDestination and its Secret, as the operator does.
//!
//! The contract's §2 and §4.3, restated as code; the captured Jobs hold it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use self::derived::{hostname, quantity, username};
use crate::arguments::SEPARATOR;

mod derived;

/// Keys of the repository's Secret that reach the pod; no other does.
#[rustfmt::skip]
const SECRET_KEYS: &[&str] = &[
    "KOPIA_PASSWORD", "KOPIA_REPOSITORY", "KOPIA_MANUAL_CONFIG", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN", "AWS_DEFAULT_REGION", "AWS_REGION", "AWS_PROFILE", "AWS_S3_ENDPOINT", "KOPIA_S3_BUCKET",
    "KOPIA_S3_ENDPOINT", "KOPIA_S3_DISABLE_TLS", "AWS_S3_DISABLE_TLS", "AZURE_ACCOUNT_NAME", "AZURE_ACCOUNT_KEY",
    "AZURE_ACCOUNT_SAS", "AZURE_ENDPOINT_SUFFIX", "AZURE_STORAGE_ACCOUNT", "AZURE_STORAGE_KEY",
    "AZURE_STORAGE_SAS_TOKEN", "KOPIA_AZURE_CONTAINER", "KOPIA_AZURE_STORAGE_ACCOUNT", "KOPIA_AZURE_STORAGE_KEY",
    "GOOGLE_PROJECT_ID", "GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_DRIVE_FOLDER_ID", "GOOGLE_DRIVE_CREDENTIALS",
    "KOPIA_GCS_BUCKET", "GCS_BUCKET", "B2_ACCOUNT_ID", "B2_APPLICATION_KEY", "KOPIA_B2_BUCKET", "WEBDAV_URL",
    "WEBDAV_USERNAME", "WEBDAV_PASSWORD", "SFTP_HOST", "SFTP_PORT", "SFTP_USERNAME", "SFTP_PASSWORD", "SFTP_PATH",
    "SFTP_KEY_FILE", "SFTP_KNOWN_HOSTS", "SFTP_KNOWN_HOSTS_DATA", "RCLONE_REMOTE_PATH", "RCLONE_EXE",
    "RCLONE_CONFIG",
];

/// Keys that are mounted as files: the variable is the file's path then.
const MOUNTED_KEYS: [(&str, &str); 3] = [
    ("GOOGLE_APPLICATION_CREDENTIALS", "/credentials/gcs.json"),
    ("GOOGLE_DRIVE_CREDENTIALS", "/credentials/gdrive.json"),
    ("SFTP_KEY_FILE", "/credentials/sftp_key"),
];

/// The path where the file of `customCA` is mounted.
const CUSTOM_CA: &str = "/customCA/ca.crt";

/// The cache's size where the object says none, in bytes.
const USUAL_CACHE: u64 = 8 << 30;

/// A ReplicationDestination, as far as it becomes variables of a restore job.
#[derive(Debug, Clone, PartialEq)]
pub struct Destination {
    namespace: String,
    name: String,
    spec: Spec,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    repository: Option<String>,
    username: Option<String>,
    hostname: Option<String>,
    source_identity: SourceIdentity,
    restore_as_of: Option<String>,
    previous: Option<i64>,
    shallow: Option<i64>,
    enable_file_deletion: Option<bool>,
    additional_args: Vec<String>,
    cache_capacity: Option<Value>,
    #[serde(rename = "metadataCacheSizeLimitMB")]
    metadata_cache_mib: Option<u64>,
    #[serde(rename = "contentCacheSizeLimitMB")]
    content_cache_mib: Option<u64>,
    #[serde(rename = "customCA")]
    custom_ca: Option<Object>,
    policy_config: PolicyConfig,
    mover_volumes: Vec<MoverVolume>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct SourceIdentity {
    source_name: String,
    source_namespace: String,
    #[serde(rename = "sourcePVCName")]
    source_pvc_name: String,
    source_path_override: String,
}

/// The Secret or ConfigMap that a member names.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Object {
    secret_name: String,
    config_map_name: String,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PolicyConfig {
    #[serde(flatten)]
    object: Object,
    global_policy_filename: String,
    repository_config_filename: String,
    repository_config: String,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct MoverVolume {
    mount_path: String,
    volume_source: BTreeMap<String, Value>,
}

impl Destination {
    /// Reads the object `spec.kopia` of the ReplicationDestination `name` in `namespace`.
    ///
    /// # Errors
    /// A sentence that names the member, where the operator would make no Job of it.
    pub fn new(namespace: &str, name: &str, spec_kopia: &Value) -> Result<Self, String> {
        let members = without_nulls(spec_kopia.clone());
        let mut spec: Spec = serde_json::from_value(members).map_err(|e| format!("spec.kopia: {e}"))?;
        for text in [&mut spec.repository, &mut spec.username, &mut spec.hostname, &mut spec.restore_as_of] {
            *text = text.take().filter(|text| !text.is_empty());
        }
        if spec.username.is_some() != spec.hostname.is_some() {
            let what = "spec.kopia: username and hostname are needed both, or neither of them";
            return Err(what.into());
        }
        Ok(Destination { namespace: namespace.to_owned(), name: name.to_owned(), spec })
    }

    /// Names the repository's Secret, in the namespace of the ReplicationDestination; `None`: its source names one.
    pub fn repository(&self) -> Option<&str> {
        self.spec.repository.as_deref()
    }

    /// Names the ReplicationSource, by namespace and name, from which the operator takes what is not said here.
    ///
    /// It need not exist: then nothing is taken from it.
    pub fn source(&self) -> Option<(&str, &str)> {
        let identity = &self.spec.source_identity;
        let is_looked_at = !identity.source_name.is_empty() && identity.source_pvc_name.is_empty();
        is_looked_at.then(|| (self.source_namespace(), identity.source_name.as_str()))
    }

    /// Takes what is not said here from the object `spec.kopia` of the ReplicationSource, as the operator does.
    ///
    /// That is the name of the Secret and the path of the source; its user and host are never taken.
    pub fn with_source(mut self, spec_kopia: &Value) -> Self {
        if self.source().is_none() {
            return self;
        }
        let text =
            |member: &str| spec_kopia[member].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        let path = &mut self.spec.source_identity.source_path_override;
        if path.is_empty() {
            *path = text("sourcePathOverride").unwrap_or_default();
        }
        self.spec.repository = self.spec.repository.take().or_else(|| text("repository"));
        self
    }

    fn source_namespace(&self) -> &str {
        let named = self.spec.source_identity.source_namespace.as_str();
        if named.is_empty() { &self.namespace } else { named }
    }

    /// Returns user and host: those that are given, else made of the source's name and namespace, else of the object's
    /// own.
    fn identity(&self) -> (String, String) {
        if let (Some(user), Some(host)) = (&self.spec.username, &self.spec.hostname) {
            return (user.clone(), host.clone());
        }
        let source = self.spec.source_identity.source_name.as_str();
        let (name, namespace) = match source {
            "" => (self.name.as_str(), self.namespace.as_str()),
            source => (source, self.source_namespace()),
        };
        (username(name), hostname(namespace, name))
    }

    /// Returns the mount path of the first claim among the mover's volumes: the repository is there, whatever the
    /// Secret says.
    fn claim(&self) -> Option<&str> {
        let is_claim = |volume: &&MoverVolume| volume.volume_source.contains_key("persistentVolumeClaim");
        Some(self.spec.mover_volumes.iter().find(is_claim)?.mount_path.as_str())
    }

    /// Puts the variables that the members say and a restore reads.
    fn restore_variables(&self, put: &mut impl FnMut(&str, String)) {
        let spec = &self.spec;
        if let Some(claim) = self.claim() {
            put("KOPIA_REPOSITORY", format!("filesystem:///mnt/{claim}"));
        }
        let (user, host) = self.identity();
        put("KOPIA_OVERRIDE_USERNAME", user);
        put("KOPIA_OVERRIDE_HOSTNAME", host);
        let path = &spec.source_identity.source_path_override;
        if spec.username.is_none() && !path.is_empty() {
            put("KOPIA_SOURCE_PATH_OVERRIDE", path.clone());
        }
        if let Some(as_of) = &spec.restore_as_of {
            put("KOPIA_RESTORE_AS_OF", as_of.clone());
        }
        for (name, number) in [("KOPIA_PREVIOUS", spec.previous), ("KOPIA_SHALLOW", spec.shallow)] {
            if let Some(number) = number {
                put(name, number.to_string());
            }
        }
        if spec.enable_file_deletion == Some(true) {
            put("KOPIA_ENABLE_FILE_DELETION", "true".into());
        }
        if !spec.additional_args.is_empty() {
            put("KOPIA_ADDITIONAL_ARGS", spec.additional_args.join(SEPARATOR));
        }
        if spec.custom_ca.as_ref().is_some_and(Object::is_named) {
            put("CUSTOM_CA", CUSTOM_CA.into());
        }
        let policy = &spec.policy_config;
        if !policy.repository_config.is_empty() {
            put("KOPIA_STRUCTURED_REPOSITORY_CONFIG", policy.repository_config.clone());
        }
    }

    /// Puts the variables that only the stock mover reads: its cache and its policies.
    fn stock_variables(&self, put: &mut impl FnMut(&str, String)) {
        let spec = &self.spec;
        let capacity = spec.cache_capacity.as_ref().and_then(quantity);
        put("KOPIA_CACHE_CAPACITY_BYTES", capacity.unwrap_or(USUAL_CACHE).to_string());
        let part = |percent: u64| capacity.map(|bytes| (bytes >> 20) * percent / 100);
        for (name, mib) in [
            ("KOPIA_METADATA_CACHE_SIZE_LIMIT_MB", spec.metadata_cache_mib.or_else(|| part(70))),
            ("KOPIA_CONTENT_CACHE_SIZE_LIMIT_MB", spec.content_cache_mib.or_else(|| part(20))),
        ] {
            if let Some(mib) = mib.filter(|mib| *mib > 0) {
                put(name, mib.to_string());
            }
        }
        let policy = &spec.policy_config;
        if policy.object.is_named() {
            let file = |named: &str, usual: &str| {
                format!("/kopia-config/{}", if named.is_empty() { usual } else { named })
            };
            put("KOPIA_CONFIG_PATH", "/kopia-config".into());
            put("KOPIA_GLOBAL_POLICY_FILE", file(&policy.global_policy_filename, "global-policy.json"));
            put(
                "KOPIA_REPOSITORY_CONFIG_FILE",
                file(&policy.repository_config_filename, "repository.config"),
            );
        }
    }
}

impl Object {
    fn is_named(&self) -> bool {
        !self.secret_name.is_empty() || !self.config_map_name.is_empty()
    }
}

/// Names under which identity the ReplicationSource `name` in `namespace` backs up, by its object `spec.kopia`, as the
/// operator makes it: `user@host:/path`.
pub fn backup_identity(namespace: &str, name: &str, spec_kopia: &Value) -> String {
    let text = |member: &str| spec_kopia[member].as_str().filter(|text| !text.is_empty());
    let user = text("username").map_or_else(|| username(name), str::to_owned);
    let host = text("hostname").map_or_else(|| hostname(namespace, name), str::to_owned);
    format!("{user}@{host}:{}", text("sourcePathOverride").unwrap_or("/data"))
}

/// Returns a document in which a member that is null is one that is not there.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let kept = members.into_iter().filter(|(_, value)| !value.is_null());
            Value::Object(kept.map(|(name, value)| (name, without_nulls(value))).collect())
        }
        Value::Array(values) => values.into_iter().map(without_nulls).collect(),
        other => other,
    }
}

/// Makes the environment of a restore job, as the operator does, from a ReplicationDestination and its Secret.
///
/// Left out is what neither of them holds and no check reads: proxies of the operator's own environment, the marks of a
/// privileged mover and of a debug session, and the one that the cache is configured. What is mounted is a path of the
/// pod, see [`with_contents`].
pub fn job_variables(
    destination: &Destination,
    secret: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let of_secret = |key: &&str| Some(((*key).to_owned(), secret.get(*key)?.clone()));
    let mut variables: BTreeMap<String, String> = SECRET_KEYS.iter().filter_map(of_secret).collect();
    let mut put = |name: &str, value: String| drop(variables.insert(name.to_owned(), value));
    for (key, path) in MOUNTED_KEYS.iter().filter(|(key, _)| secret.contains_key(*key)) {
        put(key, (*path).to_owned());
    }
    put("DATA_DIR", "/restore/data".into());
    put("KOPIA_CACHE_DIR", "/cache".into());
    put("KOPIA_DISCOVER_SNAPSHOTS", "true".into());
    destination.restore_variables(&mut put);
    destination.stock_variables(&mut put);
    variables
}

/// Puts the contents of mounted files in place of their paths, so that they can be used outside of the pod.
///
/// `variables` are those of [`job_variables`], `secret` is the same, `custom_ca` the text that `customCA` names. A file
/// whose contents are in neither stays a path; [`check`](fn@crate::check) says so where it is needed.
pub fn with_contents(
    mut variables: BTreeMap<String, String>,
    secret: &BTreeMap<String, String>,
    custom_ca: Option<&str>,
) -> BTreeMap<String, String> {
    let of_secret =
        MOUNTED_KEYS.iter().map(|(key, path)| (*key, *path, secret.get(*key).map(String::as_str)));
    for (name, path, contents) in of_secret.chain([("CUSTOM_CA", CUSTOM_CA, custom_ca)]) {
        if let Some(value) = variables.get_mut(name).filter(|value| *value == path)
            && let Some(contents) = contents
        {
            *value = contents.to_owned();
        }
    }
    variables
}

#[cfg(test)]
mod tests;
