//! Uses a pod's settings outside of it: its volume, cache and mounted files are not there.

use std::collections::BTreeMap;
use std::path::Path;

use rekopia_blob::Settings;

use crate::config::Config;
use crate::env::Env;
use crate::outcome::Outcome;
use crate::scratch::Scratch;

/// Folders where the operator mounts files and folders. Whatever this machine has there, it is not the pod's.
const MOUNTS: [&str; 6] = [
    "/credentials",
    "/customCA",
    "/kopia-config",
    "/mnt",
    "/etc/ssl/custom-ca-from-configmap",
    "/etc/ssl/custom-ca-from-secret",
];

/// Files with further certificate authorities.
const AUTHORITIES: [&str; 2] = ["CUSTOM_CA", "KOPIA_CUSTOM_CA"];

/// The hint where something can be told that cannot be told here.
const INSIDE: &str =
    "only the mover itself, started in the cluster with the argument `check`, can tell what it would do";

/// Makes a temporary folder for what a check writes.
///
/// # Errors
/// It cannot be made (exit 1).
pub(crate) fn scratch() -> Result<Scratch, Outcome> {
    Scratch::new().map_err(|e| {
        let what = format!("cannot make a temporary folder: {e}; check TMPDIR");
        Outcome::failed(1, "internal", what)
    })
}

/// Makes the configuration of a check in `scratch`: an empty volume, an empty cache. Authorities may be given as text.
///
/// # Errors
/// What the mover would say of the settings, or that they need what is only in the pod (exit 2).
pub(crate) fn config(variables: &BTreeMap<String, String>, scratch: &Scratch) -> Result<Config, Outcome> {
    let impossible = |e: std::io::Error| {
        let what = format!("cannot make temporary files in {}: {e}", scratch.path().display());
        Outcome::failed(1, "internal", what)
    };
    let mut own = variables.clone();
    for name in ["DIRECTION", "DEBUG_MOVER"] {
        own.remove(name);
    }
    for (name, folder) in [("DATA_DIR", "data"), ("KOPIA_CACHE_DIR", "cache")] {
        let path = scratch.folder(folder).map_err(impossible)?;
        own.insert(name.into(), path.to_string_lossy().into_owned());
    }
    let mut missing = None;
    for name in AUTHORITIES {
        let Some(value) = own.get_mut(name).filter(|value| !value.trim().is_empty()) else { continue };
        if value.contains("-----BEGIN") {
            let path = scratch.file(name, value).map_err(impossible)?;
            *value = path.to_string_lossy().into_owned();
        } else if is_in_pod(Path::new(value.trim()), scratch) {
            missing = missing.or_else(|| Some(is_a_file(name, value.trim())));
            own.remove(name);
        }
    }
    let env = Env::new(own);
    let config = Config::check(&env, &["check".into()])?;
    let needs_authorities =
        takes_authorities(&config.storage) && env.text("KOPIA_STRUCTURED_REPOSITORY_CONFIG").is_none();
    let unreachable = missing.filter(|_| needs_authorities);
    match unreachable.or_else(|| unreachable_in(&config.storage, variables, scratch)) {
        Some(what) => Err(Outcome::failed(2, "settings", format!("{what}; {INSIDE}"))),
        None => Ok(config),
    }
}

/// Returns why this storage can only be reached from inside the pod.
fn unreachable_in(
    storage: &Settings,
    variables: &BTreeMap<String, String>,
    scratch: &Scratch,
) -> Option<String> {
    let naming = |path: &str| {
        let named = variables.iter().find(|(_, value)| value.contains(path));
        named.map_or("KOPIA_REPOSITORY", |(name, _)| name.as_str())
    };
    let own_identity = |name: &str| {
        format!("{name}: not set, so the mover takes the pod's own identity, which is not to be had outside")
    };
    match storage {
        Settings::Filesystem(s) if is_in_pod(&s.path, scratch) => {
            let path = s.path.to_string_lossy();
            return Some(format!("{}: {path} is a folder inside the pod", naming(&path)));
        }
        // Not even where this machine has that program: what its configuration lets it start is up to the Secret.
        Settings::Rclone(_) => return Some("RCLONE_REMOTE_PATH: rclone runs inside the pod".into()),
        Settings::Sftp(s) if s.external_ssh => {
            return Some(
                "KOPIA_STRUCTURED_REPOSITORY_CONFIG: externalSSH starts a program inside the pod".into(),
            );
        }
        Settings::S3(s) if !s.anonymous && (s.access_key_id.is_empty() || s.secret_access_key.is_empty()) => {
            return Some(own_identity("AWS_ACCESS_KEY_ID"));
        }
        Settings::S3(s) if !s.web_identity_token_file.is_empty() => {
            return Some(is_a_file(naming(&s.web_identity_token_file), &s.web_identity_token_file));
        }
        Settings::Gcs(s) if !s.anonymous && s.credentials_file.is_empty() && s.credentials.is_empty() => {
            return Some(own_identity("GOOGLE_APPLICATION_CREDENTIALS"));
        }
        Settings::Azure(s)
            if [&s.storage_key, &s.sas_token, &s.client_secret, &s.client_certificate]
                .iter()
                .all(|secret| secret.is_empty()) =>
        {
            return Some(own_identity("KOPIA_AZURE_STORAGE_KEY"));
        }
        _ => {}
    }
    let file = storage.files().into_iter().find(|file| is_in_pod(file, scratch))?;
    let file = file.to_string_lossy();
    Some(is_a_file(naming(&file), &file))
}

fn is_a_file(name: &str, path: &str) -> String {
    format!("{name}: {path} is a file inside the pod, which cannot be read from outside")
}

fn is_in_pod(path: &Path, scratch: &Scratch) -> bool {
    let is_mount = MOUNTS.iter().any(|mount| path.starts_with(mount));
    !path.starts_with(scratch.path()) && (is_mount || !path.exists())
}

/// Whether this storage is asked over TLS.
fn takes_authorities(storage: &Settings) -> bool {
    !matches!(storage, Settings::Filesystem(_) | Settings::Sftp(_) | Settings::Rclone(_))
}
