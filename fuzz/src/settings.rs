//! Where a repository is: URLs, Kopia's configuration, connection tokens. None of them may show a secret.

use std::sync::{Mutex, OnceLock};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use rekopia_blob::settings::{control_character, trimmed, unquoted};
use rekopia_blob::{BlobError, KopiaConfig, Settings, Token};
use serde_json::Value;
use tempfile::NamedTempFile;

use crate::input::Input;

const SECRET: &str = "Xy7-secret-9Zq";
/// Fields of storages that are secrets.
const SECRET_FIELDS: [&str; 6] = ["password", "secretAccessKey", "storageKey", "sasToken", "key", "keyData"];
const KINDS: [&str; 10] =
    ["filesystem", "s3", "gcs", "azureBlob", "b2", "sftp", "webdav", "rclone", "gdrive", "other"];

fn check(settings: Result<Settings, BlobError>) {
    match settings {
        Ok(settings) => {
            for settings in [settings.in_folder(), settings.with_trimmed_password(), Some(settings)] {
                let shown = format!("{settings:?}");
                assert!(!shown.contains(SECRET), "a secret is shown: {shown}");
            }
        }
        Err(e) => check_error(&e),
    }
}

fn check_error(e: &BlobError) {
    let shown = format!("{e} {e:?}");
    assert!(!shown.contains(SECRET), "an error shows a secret: {shown}");
}

/// URLs and paths of storages.
pub fn settings_url(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    check(Settings::parse(&text));
    let inner = unquoted(trimmed(&text));
    assert!(inner.len() <= text.len(), "it grew");
    let _ = control_character(inner);
}

/// A storage as Kopia configures it; the first byte picks its kind.
pub fn settings_kopia(data: &[u8]) {
    let mut input = Input(data);
    let kind = input.pick(&KINDS);
    let Ok(mut config) = serde_json::from_slice::<Value>(input.0) else { return };
    if let Some(fields) = config.as_object_mut() {
        for name in SECRET_FIELDS {
            fields.entry(name).or_insert_with(|| SECRET.into());
        }
    }
    check(Settings::from_kopia(kind, config));
}

/// Connection tokens: the text as it is, and as the JSON inside one.
pub fn token(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for text in [text.into_owned(), BASE64_URL_SAFE_NO_PAD.encode(data)] {
        match Token::parse(&text) {
            Ok(token) => assert!(!format!("{token:?}").is_empty(), "it is shown as nothing"),
            Err(e) => check_error(&e),
        }
    }
}

/// Kopia's `repository.config`, which is read from a file.
pub fn kopia_config(data: &[u8]) {
    static FILE: OnceLock<Mutex<NamedTempFile>> = OnceLock::new();
    let file = FILE.get_or_init(|| Mutex::new(NamedTempFile::new().expect("a temporary file")));
    let file = file.lock().expect("a fault ends the run");
    std::fs::write(file.path(), data).expect("a temporary file");
    match KopiaConfig::read(file.path()) {
        Ok(config) => check(Ok(config.settings)),
        Err(e) => check_error(&e),
    }
}
