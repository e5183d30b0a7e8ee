//! Chooses the storage: the first that the environment names, in the stock mover's order (contract §2.4, §2.5).

use std::path::PathBuf;

use rekopia_blob::settings::{
    AzureSettings, B2Settings, GcsSettings, RcloneSettings, S3Settings, SftpSettings, WebdavSettings,
    unquoted,
};
use rekopia_blob::{Secret, Settings};

use crate::env::Env;
use crate::say::{one_line, say};

/// Reads the storage's settings.
///
/// # Errors
/// A sentence that names the variable.
pub(crate) fn read(env: &Env) -> Result<Settings, String> {
    let pasted = env.text("KOPIA_REPOSITORY").unwrap_or_default();
    let repository = unquoted(pasted);
    if repository != pasted {
        say("INFO: KOPIA_REPOSITORY: the quotes around the value are not part of it");
    }
    say_which(env, repository);
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
    if let Some(path) = repository.strip_prefix("filesystem://").filter(|path| !path.is_empty()) {
        return checked_path(path);
    }
    if let Some(bucket) = env.text("KOPIA_B2_BUCKET") {
        return Ok(Settings::B2(b2(env, bucket)));
    }
    if let Some(url) = env.text("WEBDAV_URL") {
        return Ok(Settings::Webdav(webdav(env, url)));
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
    // What the stock mover does not read overrules nothing that it does.
    if let Some((path, form)) = directory(env, repository) {
        say(&format!("INFO: the repository is the directory {} ({form})", one_line(path, 300)));
        return checked_path(path);
    }
    // The stock mover knows this name and does not use it: the last choice, so that no other is overruled.
    if let Some(bucket) = env.text("GCS_BUCKET") {
        return Ok(Settings::Gcs(gcs(env, bucket)));
    }
    Err(format!(
        "No repository configuration found: KOPIA_REPOSITORY ({repository:?}) names no known storage; known \
         are filesystem:///path and s3://bucket/prefix, others by KOPIA_AZURE_CONTAINER, KOPIA_GCS_BUCKET, \
         KOPIA_B2_BUCKET, WEBDAV_URL, SFTP_HOST or RCLONE_REMOTE_PATH"
    ))
}

fn b2(env: &Env, bucket: &str) -> B2Settings {
    B2Settings::default()
        .bucket(bucket.to_owned())
        .key_id(text(env, &["B2_ACCOUNT_ID"]))
        .key(secret(env, &["B2_APPLICATION_KEY"]))
        .ca_file(custom_ca(env))
}

fn webdav(env: &Env, url: &str) -> WebdavSettings {
    WebdavSettings::default()
        .url(url.to_owned())
        .username(text(env, &["WEBDAV_USERNAME"]))
        .password(secret(env, &["WEBDAV_PASSWORD"]))
        .ca_file(custom_ca(env))
}

fn checked_path(path: &str) -> Result<Settings, String> {
    if path.starts_with('/') && !path.split('/').any(|part| part == "..") {
        return Ok(Settings::path(path));
    }
    let what = "KOPIA_REPOSITORY: a filesystem repository is filesystem:///absolute/path without \"..\"";
    Err(what.into())
}

/// Returns the directory that is meant, and how it was said: people write it in several ways, and older images read
/// `KOPIA_FS_PATH`.
fn directory<'a>(env: &'a Env, repository: &'a str) -> Option<(&'a str, &'static str)> {
    let said = ["filesystem://", "file://", "filesystem:", "file:"].iter();
    let mut said = said.filter_map(|form| Some((repository.strip_prefix(form)?, *form)));
    match (said.next(), env.text("KOPIA_FS_PATH").map(unquoted)) {
        (Some((path, form)), None) => Some((path, form)),
        (Some((path, form)), _) if !path.is_empty() => Some((path, form)),
        (None, _) if repository.starts_with('/') => Some((repository, "a path")),
        (Some(_), Some(path)) => Some((path, "KOPIA_FS_PATH")),
        (None, Some(path)) if repository.is_empty() || repository == "filesystem" => {
            Some((path, "KOPIA_FS_PATH"))
        }
        _ => None,
    }
}

/// Logs which of two settings counts, where they name two places.
fn say_which(env: &Env, repository: &str) {
    const NAMES: [&str; 12] = [
        "KOPIA_STRUCTURED_REPOSITORY_CONFIG",
        "KOPIA_S3_BUCKET",
        "KOPIA_AZURE_CONTAINER",
        "KOPIA_GCS_BUCKET",
        "KOPIA_REPOSITORY",
        "KOPIA_B2_BUCKET",
        "WEBDAV_URL",
        "SFTP_HOST",
        "RCLONE_REMOTE_PATH",
        "GOOGLE_DRIVE_FOLDER_ID",
        LATE,
        "KOPIA_FS_PATH",
    ];
    /// The name of a directory that is given in one of the forms that come last.
    const LATE: &str = "KOPIA_REPOSITORY as a directory";
    let is_stock = repository.starts_with("filesystem:///");
    let bucket = repository.strip_prefix("s3://").map(|rest| rest.split('/').next().unwrap_or(rest));
    let by_path = directory(env, repository);
    let names_one = |name: &&str| match *name {
        "KOPIA_S3_BUCKET" => env.text(name).is_some() || bucket.is_some(),
        "KOPIA_REPOSITORY" => is_stock,
        LATE => !is_stock && by_path.is_some_and(|(_, form)| form != "KOPIA_FS_PATH"),
        "KOPIA_FS_PATH" => env.text(name).is_some_and(|path| by_path.is_none_or(|(said, _)| said != path)),
        _ => env.text(name).is_some(),
    };
    let mut named: Vec<&str> = NAMES.into_iter().filter(names_one).collect();
    if let Some(first) = named.first_mut().filter(|first| **first == "KOPIA_S3_BUCKET") {
        match (env.text("KOPIA_S3_BUCKET"), bucket) {
            (None, _) => *first = "KOPIA_REPOSITORY",
            (Some(own), Some(other)) if own != other => named.push("KOPIA_REPOSITORY"),
            _ => {}
        }
    }
    if let [taken, others @ ..] = named.as_slice()
        && !others.is_empty()
    {
        let others = others.join(", ");
        say(&format!("INFO: several settings name a repository; {taken} is taken, not {others}"));
    }
}

/// Returns the file with further certificate authorities; the maintenance jobs have a variable of their own for it.
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
    Ok(S3Settings::default()
        .bucket(bucket.to_owned())
        .prefix(prefix(rest)?)
        .endpoint(endpoint.trim_end_matches('/').to_owned())
        .do_not_use_tls(plain || env.flag("KOPIA_S3_DISABLE_TLS") || env.flag("AWS_S3_DISABLE_TLS"))
        .ca_file(custom_ca(env))
        .access_key_id(text(env, &["AWS_ACCESS_KEY_ID"]))
        .secret_access_key(secret(env, &["AWS_SECRET_ACCESS_KEY"]))
        .session_token(secret(env, &["AWS_SESSION_TOKEN"]))
        .region(text(env, &["AWS_REGION", "AWS_DEFAULT_REGION"])))
}

fn azure(env: &Env, container: &str) -> AzureSettings {
    AzureSettings::default()
        .container(container.to_owned())
        .storage_account(text(
            env,
            &["KOPIA_AZURE_STORAGE_ACCOUNT", "AZURE_STORAGE_ACCOUNT", "AZURE_ACCOUNT_NAME"],
        ))
        .storage_key(secret(env, &["KOPIA_AZURE_STORAGE_KEY", "AZURE_STORAGE_KEY", "AZURE_ACCOUNT_KEY"]))
        .sas_token(secret(env, &["AZURE_STORAGE_SAS_TOKEN", "AZURE_ACCOUNT_SAS"]))
        .storage_domain(match env.text("AZURE_ENDPOINT_SUFFIX") {
            Some(suffix) => format!("blob.{}", suffix.trim_start_matches('.')),
            None => String::new(),
        })
        .ca_file(custom_ca(env))
}

fn gcs(env: &Env, bucket: &str) -> GcsSettings {
    let (credentials_file, credentials) = path_or_contents(env.text("GOOGLE_APPLICATION_CREDENTIALS"));
    let (bucket, ca_file) = (bucket.to_owned(), custom_ca(env));
    GcsSettings::default()
        .bucket(bucket)
        .credentials_file(credentials_file)
        .credentials(credentials)
        .ca_file(ca_file)
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
    Ok(SftpSettings::default()
        .host(host.to_owned())
        .port(port.parse().map_err(|_| format!("SFTP_PORT: {port:?} is not a port"))?)
        .path(path.to_owned())
        .username(text(env, &["SFTP_USERNAME"]))
        .password(secret(env, &["SFTP_PASSWORD"]))
        .keyfile(keyfile)
        .key_data(key_data)
        .known_hosts_file(known_hosts_file)
        .known_hosts_data(known_hosts_data))
}

fn rclone(env: &Env, remote: &str) -> RcloneSettings {
    // Contents, says the documentation; but the name is that of rclone's own variable, which is a path.
    let (path, contents) = match env.text("RCLONE_CONFIG") {
        Some(path) if path.starts_with('/') && !path.contains('\n') => (Some(path), Secret::default()),
        Some(contents) => (None, Secret::new(contents)),
        None => (None, Secret::default()),
    };
    RcloneSettings::default()
        .remote_path(remote.to_owned())
        .rclone_exe(text(env, &["RCLONE_EXE"]))
        .rclone_args(path.map(|path| vec![format!("--config={path}")]))
        .embedded_config(contents)
}

/// Checks a bucket's name: lower-case letters, digits, `.` and `-`, 3 to 63 of them, alphanumeric at both ends, no
/// address.
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

/// Returns a prefix as a folder: runs of `/` collapse, one stands at the end.
fn prefix(text: &str) -> Result<String, String> {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/');
    if !text.chars().all(fine) || text.contains("..") {
        let allowed = "letters, digits, \".\", \"_\", \"-\" and \"/\", no \"..\"";
        return Err(format!("KOPIA_REPOSITORY: Invalid S3 prefix format: {text:?} (allowed are {allowed})"));
    }
    let parts: Vec<&str> = text.split('/').filter(|p| !p.is_empty()).collect();
    Ok(if parts.is_empty() { String::new() } else { parts.join("/") + "/" })
}

/// Returns a variable as a path or as a file's contents, which it holds in maintenance jobs.
fn path_or_contents(value: Option<&str>) -> (String, Secret) {
    match value {
        None => (String::new(), Secret::default()),
        Some(path) if path.starts_with('/') && !path.contains('\n') => (path.to_owned(), Secret::default()),
        Some(contents) => (String::new(), Secret::new(contents)),
    }
}

#[cfg(test)]
mod tests;
