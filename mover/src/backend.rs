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
    let text = |names: &[&str]| env.first(names).unwrap_or_default().to_owned();
    let secret = |names: &[&str]| env.first(names).map(Secret::new).unwrap_or_default();
    if let Some(json) = env.text("KOPIA_STRUCTURED_REPOSITORY_CONFIG") {
        return structured(json);
    }
    if env.text("KOPIA_S3_BUCKET").is_some() || repository.starts_with("s3://") {
        return s3(env, repository).map(Settings::S3);
    }
    if let Some(container) = env.text("KOPIA_AZURE_CONTAINER") {
        return Ok(Settings::Azure(AzureSettings {
            container: container.to_owned(),
            storage_account: text(&[
                "KOPIA_AZURE_STORAGE_ACCOUNT",
                "AZURE_STORAGE_ACCOUNT",
                "AZURE_ACCOUNT_NAME",
            ]),
            storage_key: secret(&["KOPIA_AZURE_STORAGE_KEY", "AZURE_STORAGE_KEY", "AZURE_ACCOUNT_KEY"]),
            sas_token: secret(&["AZURE_STORAGE_SAS_TOKEN", "AZURE_ACCOUNT_SAS"]),
            ..AzureSettings::default()
        }));
    }
    if let Some(bucket) = env.text("KOPIA_GCS_BUCKET") {
        let (credentials_file, credentials) = path_or_contents(env.text("GOOGLE_APPLICATION_CREDENTIALS"));
        return Ok(Settings::Gcs(GcsSettings {
            bucket: bucket.to_owned(),
            credentials_file,
            credentials,
            ..GcsSettings::default()
        }));
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
            key_id: text(&["B2_ACCOUNT_ID"]),
            key: secret(&["B2_APPLICATION_KEY"]),
            ..B2Settings::default()
        }));
    }
    if let Some(url) = env.text("WEBDAV_URL") {
        return Ok(Settings::Webdav(WebdavSettings {
            url: url.to_owned(),
            username: text(&["WEBDAV_USERNAME"]),
            password: secret(&["WEBDAV_PASSWORD"]),
            ..WebdavSettings::default()
        }));
    }
    if let Some(host) = env.text("SFTP_HOST") {
        let (keyfile, key_data) = path_or_contents(env.text("SFTP_KEY_FILE"));
        let port = env.text("SFTP_PORT").unwrap_or("22");
        return Ok(Settings::Sftp(SftpSettings {
            host: host.to_owned(),
            port: port.parse().map_err(|_| format!("SFTP_PORT: {port:?} is not a port"))?,
            path: text(&["SFTP_PATH"]),
            username: text(&["SFTP_USERNAME"]),
            password: secret(&["SFTP_PASSWORD"]),
            keyfile,
            key_data,
            known_hosts_file: text(&["SFTP_KNOWN_HOSTS"]),
            known_hosts_data: text(&["SFTP_KNOWN_HOSTS_DATA"]),
            ..SftpSettings::default()
        }));
    }
    if let Some(remote) = env.text("RCLONE_REMOTE_PATH") {
        return Ok(Settings::Rclone(RcloneSettings {
            remote_path: remote.to_owned(),
            rclone_exe: text(&["RCLONE_EXE"]),
            embedded_config: secret(&["RCLONE_CONFIG"]),
            ..RcloneSettings::default()
        }));
    }
    if env.text("GOOGLE_DRIVE_FOLDER_ID").is_some() {
        return Err(
            "GOOGLE_DRIVE_FOLDER_ID: Google Drive is not supported; use the stock mover for it".into()
        );
    }
    Err(format!(
        "No repository configuration found: KOPIA_REPOSITORY ({repository:?}) names no known storage"
    ))
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
        ca_file: env.first(&["CUSTOM_CA", "KOPIA_CUSTOM_CA"]).map(PathBuf::from),
        access_key_id: env.text("AWS_ACCESS_KEY_ID").unwrap_or_default().to_owned(),
        secret_access_key: env.text("AWS_SECRET_ACCESS_KEY").map(Secret::new).unwrap_or_default(),
        session_token: env.text("AWS_SESSION_TOKEN").map(Secret::new).unwrap_or_default(),
        region: env.first(&["AWS_REGION", "AWS_DEFAULT_REGION"]).unwrap_or_default().to_owned(),
        ..S3Settings::default()
    })
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
        Some(text) if text.starts_with('{') || text.contains('\n') => (String::new(), Secret::new(text)),
        Some(path) => (path.to_owned(), Secret::default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s3_of(pairs: &[(&str, &str)]) -> Result<S3Settings, String> {
        match read(&Env::of(pairs))? {
            Settings::S3(s3) => Ok(s3),
            other => Err(format!("{other:?}")),
        }
    }

    #[test]
    fn s3_prefixes() {
        for (url, expected) in [
            ("s3://b-1", ""),
            ("s3://mybucket/", ""),
            ("s3://mybucket/a", "a/"),
            ("s3://mybucket/myapp//", "myapp/"),
            ("s3://mybucket/very//deep///nested//path", "very/deep/nested/path/"),
            ("s3://mybucket/my-app.backup", "my-app.backup/"),
        ] {
            assert_eq!(s3_of(&[("KOPIA_REPOSITORY", url)]).unwrap().prefix, expected, "{url}");
        }
        for url in [
            "s3://b-1/a/../b",
            "s3://b-1/a b",
            "s3://My_Bucket/x",
            "s3://ab/x",
            "s3://10.0.0.1/x",
            "s3://abc_def/x",
        ] {
            assert!(s3_of(&[("KOPIA_REPOSITORY", url)]).is_err(), "{url}");
        }
    }

    #[test]
    fn s3_precedence() {
        let s3 = s3_of(&[
            ("KOPIA_REPOSITORY", "s3://other/pre"),
            ("KOPIA_S3_BUCKET", "bucket"),
            ("KOPIA_S3_ENDPOINT", "https://minio:9000"),
            ("AWS_S3_ENDPOINT", "http://z"),
            ("AWS_REGION", "r1"),
            ("AWS_DEFAULT_REGION", "r2"),
            ("KOPIA_S3_DISABLE_TLS", "true"),
        ])
        .unwrap();
        assert_eq!((s3.bucket.as_str(), s3.endpoint.as_str()), ("bucket", "minio:9000"));
        assert_eq!((s3.region.as_str(), s3.prefix.as_str(), s3.do_not_use_tls), ("r1", "pre/", true));
        let s3 = s3_of(&[("KOPIA_REPOSITORY", "s3://buc"), ("AWS_S3_DISABLE_TLS", "true")]).unwrap();
        assert!(s3.do_not_use_tls);
        assert!(
            s3_of(&[("KOPIA_REPOSITORY", "s3://buc"), ("KOPIA_S3_ENDPOINT", "http://m:9")])
                .unwrap()
                .do_not_use_tls
        );
        // A bucket wins over a file system.
        let both = [("KOPIA_REPOSITORY", "filesystem:///mnt/repo"), ("KOPIA_S3_BUCKET", "bucket")];
        assert_eq!(s3_of(&both).unwrap().bucket, "bucket");
    }

    #[test]
    fn file_systems() {
        let read = |url| read(&Env::of(&[("KOPIA_REPOSITORY", url)]));
        assert_eq!(read("filesystem:///mnt/repo").unwrap(), Settings::path("/mnt/repo"));
        for url in ["filesystem://mnt/repo", "filesystem:///mnt/../repo", "/mnt/repo", ""] {
            assert!(read(url).unwrap_err().contains("KOPIA_REPOSITORY"), "{url}");
        }
    }
}
