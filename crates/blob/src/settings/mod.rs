//! Reads where a repository is: from a URL, a path, Kopia's own configuration or a token (§1.11–1.13).

mod environment;
mod error;
mod files;
mod kinds;
mod kopia;
mod pasted;
mod secret;
mod setters;
mod storages;
mod url;

pub use environment::Environment;
pub use kinds::Settings;
pub use kopia::{KopiaConfig, Limits, Token};
pub use pasted::{control_character, trimmed, unquoted};
pub use secret::Secret;
pub use storages::{
    AzureSettings, B2Settings, FilesystemSettings, GcsSettings, RcloneSettings, S3Settings, S3Style,
    SftpSettings, WebdavSettings,
};
