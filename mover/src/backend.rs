//! Which storage: the first that the environment names, in the stock mover's order (contract §2.4, §2.5).

use std::path::PathBuf;

use rekopia_blob::connect::{
    AzureSettings, B2Settings, GcsSettings, RcloneSettings, S3Settings, SftpSettings, WebdavSettings,
};
use rekopia_blob::{Secret, Settings};

use crate::env::Env;

/// Reads the storage's settings.
///
/// # Errors
/// A sentence that names the variable.
pub(crate) fn read(env: &Env) -> Result<Settings, String> {
    let repository = env.text("KOPIA_REPOSITORY").unwrap_or_default();
    if let Some(json) = env.text("KOPIA_STRUCTURED_REPOSITORY_CONFIG") {
        return structured(json);
    }
    if env.text("KOPIA_S3_BUCKET").is_some() || repository.starts_with("s3://") {
        return s3(env, repository).map(Settings::S3);
    }
    if let Some(container) = env.text("KOPIA_AZURE_CONTAINER") {
        return Ok(Settings::Azure(azure(env, container)));
    }
    if let Some(bucket) = env.text("KOPIA_GCS_BUCKET") {
        return Ok(Settings::Gcs(gcs(env, bucket)));
    }
    if let Some(path) = repository.strip_prefix("filesystem://") {
        if !path.starts_with('/') || path.split('/').any(|part| part == "..") {
            return Err(
                "KOPIA_REPOSITORY: a filesystem repository is filesystem:///absolute/path without \"..\""
                    .into(),
            );
        }
        return Ok(Settings::path(path));
    }
    if let Some(bucket) = env.text("KOPIA_B2_BUCKET") {
        return Ok(Settings::B2(B2Settings {
            bucket: bucket.to_owned(),
            key_id: text(env, &["B2_ACCOUNT_ID"]),
            key: secret(env, &["B2_APPLICATION_KEY"]),
            ca_file: custom_ca(env),
            ..B2Settings::default()
        }));
    }
    if let Some(url) = env.text("WEBDAV_URL") {
        return Ok(Settings::Webdav(WebdavSettings {
            url: url.to_owned(),
            username: text(env, &["WEBDAV_USERNAME"]),
            password: secret(env, &["WEBDAV_PASSWORD"]),
            ca_file: custom_ca(env),
            ..WebdavSettings::default()
        }));
    }
    if let Some(host) = env.text("SFTP_HOST") {
        return sftp(env, host).map(Settings::Sftp);
    }
    if let Some(remote) = env.text("RCLONE_REMOTE_PATH") {
        return Ok(Settings::Rclone(rclone(env, remote)));
    }
    if env.text("GOOGLE_DRIVE_FOLDER_ID").is_some() {
        return Err("GOOGLE_DRIVE_FOLDER_ID: Google Drive is not supported; connect rclone to the same \
                    folder (RCLONE_REMOTE_PATH), or use the stock mover"
            .into());
    }
    // The stock mover knows this name and does not use it: the last choice, so that no other is overruled.
    if let Some(bucket) = env.text("GCS_BUCKET") {
        return Ok(Settings::Gcs(gcs(env, bucket)));
    }
    Err(format!(
        "No repository configuration found: KOPIA_REPOSITORY ({repository:?}) names no known storage"
    ))
}

/// The file with further certificate authorities; the maintenance jobs have a variable of their own for it.
pub(crate) fn custom_ca(env: &Env) -> Option<PathBuf> {
    env.path("CUSTOM_CA").or_else(|| env.path("KOPIA_CUSTOM_CA")).filter(|ca| ca.is_file())
}

fn text(env: &Env, names: &[&str]) -> String {
    env.first(names).unwrap_or_default().to_owned()
}

fn secret(env: &Env, names: &[&str]) -> Secret {
    env.first(names).map(Secret::new).unwrap_or_default()
}

fn structured(json: &str) -> Result<Settings, String> {
    let wrong = |what: String| format!("KOPIA_STRUCTURED_REPOSITORY_CONFIG: {what}");
    let document: serde_json::Value = serde_json::from_str(json)
        .map_err(|e| wrong(format!("not JSON at line {}, column {}", e.line(), e.column())))?;
    let storage = document.get("storage").unwrap_or(&document);
    let kind = storage.get("type").and_then(serde_json::Value::as_str);
    let kind = kind.ok_or_else(|| wrong("it names no storage type".into()))?;
    let config = storage.get("config").cloned().unwrap_or_default();
    Settings::from_kopia(kind, config).map_err(|e| wrong(e.to_string()))
}

fn s3(env: &Env, repository: &str) -> Result<S3Settings, String> {
    let (url_bucket, rest) = match repository.strip_prefix("s3://") {
        Some(place) => place.split_once('/').unwrap_or((place, "")),
        None => ("", ""),
    };
    let bucket = match env.text("KOPIA_S3_BUCKET") {
        Some(bucket) => bucket,
        None => checked_bucket(url_bucket)?,
    };
    let endpoint = env.first(&["KOPIA_S3_ENDPOINT", "AWS_S3_ENDPOINT"]).unwrap_or("s3.amazonaws.com");
    let (endpoint, plain) = match endpoint.split_once("://") {
        Some((scheme, bare)) => (bare, scheme.eq_ignore_ascii_case("http")),
        None => (endpoint, false),
    };
    Ok(S3Settings {
        bucket: bucket.to_owned(),
        prefix: prefix(rest)?,
        endpoint: endpoint.trim_end_matches('/').to_owned(),
        do_not_use_tls: plain || env.flag("KOPIA_S3_DISABLE_TLS") || env.flag("AWS_S3_DISABLE_TLS"),
        ca_file: custom_ca(env),
        access_key_id: text(env, &["AWS_ACCESS_KEY_ID"]),
        secret_access_key: secret(env, &["AWS_SECRET_ACCESS_KEY"]),
        session_token: secret(env, &["AWS_SESSION_TOKEN"]),
        region: text(env, &["AWS_REGION", "AWS_DEFAULT_REGION"]),
        ..S3Settings::default()
    })
}

fn azure(env: &Env, container: &str) -> AzureSettings {
    AzureSettings {
        container: container.to_owned(),
        storage_account: text(
            env,
            &["KOPIA_AZURE_STORAGE_ACCOUNT", "AZURE_STORAGE_ACCOUNT", "AZURE_ACCOUNT_NAME"],
        ),
        storage_key: secret(env, &["KOPIA_AZURE_STORAGE_KEY", "AZURE_STORAGE_KEY", "AZURE_ACCOUNT_KEY"]),
        sas_token: secret(env, &["AZURE_STORAGE_SAS_TOKEN", "AZURE_ACCOUNT_SAS"]),
        storage_domain: match env.text("AZURE_ENDPOINT_SUFFIX") {
            Some(suffix) => format!("blob.{}", suffix.trim_start_matches('.')),
            None => String::new(),
        },
        ca_file: custom_ca(env),
        ..AzureSettings::default()
    }
}

fn gcs(env: &Env, bucket: &str) -> GcsSettings {
    let (credentials_file, credentials) = path_or_contents(env.text("GOOGLE_APPLICATION_CREDENTIALS"));
    let (bucket, ca_file) = (bucket.to_owned(), custom_ca(env));
    GcsSettings { bucket, credentials_file, credentials, ca_file, ..GcsSettings::default() }
}

fn sftp(env: &Env, host: &str) -> Result<SftpSettings, String> {
    let (keyfile, key_data) = path_or_contents(env.text("SFTP_KEY_FILE"));
    let port = env.text("SFTP_PORT").unwrap_or("22");
    let path = env.text("SFTP_PATH").ok_or("SFTP_PATH must be defined: the directory on the server")?;
    // A path, says the stock mover; but nothing mounts such a file, so people put the lines themselves here.
    let known_hosts = text(env, &["SFTP_KNOWN_HOSTS"]);
    let (known_hosts_file, lines) = match known_hosts.starts_with('/') {
        true => (known_hosts, String::new()),
        false => (String::new(), known_hosts),
    };
    let known_hosts_data = env.text("SFTP_KNOWN_HOSTS_DATA").map_or(lines, str::to_owned);
    Ok(SftpSettings {
        host: host.to_owned(),
        port: port.parse().map_err(|_| format!("SFTP_PORT: {port:?} is not a port"))?,
        path: path.to_owned(),
        username: text(env, &["SFTP_USERNAME"]),
        password: secret(env, &["SFTP_PASSWORD"]),
        keyfile,
        key_data,
        known_hosts_file,
        known_hosts_data,
        ..SftpSettings::default()
    })
}

fn rclone(env: &Env, remote: &str) -> RcloneSettings {
    // Contents, says the documentation; but the name is that of rclone's own variable, which is a path.
    let (path, contents) = match env.text("RCLONE_CONFIG") {
        Some(path) if path.starts_with('/') && !path.contains('\n') => (Some(path), Secret::default()),
        Some(contents) => (None, Secret::new(contents)),
        None => (None, Secret::default()),
    };
    RcloneSettings {
        remote_path: remote.to_owned(),
        rclone_exe: text(env, &["RCLONE_EXE"]),
        rclone_args: path.map(|path| vec![format!("--config={path}")]),
        embedded_config: contents,
        ..RcloneSettings::default()
    }
}

/// Lower-case letters, digits, `.` and `-`, 3 to 63 of them, alphanumeric at both ends, no address.
fn checked_bucket(bucket: &str) -> Result<&str, String> {
    let fine = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = bucket.as_bytes();
    let ends = bytes.first().is_some_and(|b| fine(*b)) && bytes.last().is_some_and(|b| fine(*b));
    if !ends
        || !(3..=63).contains(&bytes.len())
        || !bytes.iter().all(|b| fine(*b) || matches!(b, b'.' | b'-'))
    {
        return Err(format!("KOPIA_REPOSITORY: Could not determine S3 bucket name: {bucket:?} is none"));
    }
    let dotted_quad =
        bucket.split('.').count() == 4 && bucket.split('.').all(|p| p.bytes().all(|b| b.is_ascii_digit()));
    if bucket.contains("..") || dotted_quad {
        return Err(format!("KOPIA_REPOSITORY: Invalid S3 bucket name format: {bucket:?}"));
    }
    Ok(bucket)
}

/// A folder: runs of `/` collapse, one stands at the end.
fn prefix(text: &str) -> Result<String, String> {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/');
    if !text.chars().all(fine) || text.contains("..") {
        let allowed = "letters, digits, \".\", \"_\", \"-\" and \"/\", no \"..\"";
        return Err(format!("KOPIA_REPOSITORY: Invalid S3 prefix format: {text:?} (allowed are {allowed})"));
    }
    let parts: Vec<&str> = text.split('/').filter(|p| !p.is_empty()).collect();
    Ok(if parts.is_empty() { String::new() } else { parts.join("/") + "/" })
}

/// In maintenance jobs such a variable holds the file's contents.
fn path_or_contents(value: Option<&str>) -> (String, Secret) {
    match value {
        None => (String::new(), Secret::default()),
        Some(path) if path.starts_with('/') && !path.contains('\n') => (path.to_owned(), Secret::default()),
        Some(contents) => (String::new(), Secret::new(contents)),
    }
}

#[cfg(test)]
mod tests;
