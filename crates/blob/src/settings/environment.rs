//! The variables in which the ecosystem's tools expect credentials.
//!
//! The library does not look at the environment itself: programs pass a function that does. The AWS chain
//! (profiles, web identity, container and instance roles) is the exception: it is AWS's own code. So are the file that
//! `gcloud auth application-default login` leaves in the home directory and the addresses of metadata servers.

use std::cell::RefCell;

use super::{Secret, Settings, control_character, settings_error, trimmed};
use crate::error::BlobError;

/// Looks a variable up; `None` when it is not set.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

impl Settings {
    /// The same, with what is not set taken from the variables that the ecosystem's tools use.
    ///
    /// # Errors
    /// [`BlobErrorKind::Settings`] for a variable that holds a control character.
    pub fn with_environment(mut self, environment: Environment<'_>) -> Result<Self, BlobError> {
        fill(&mut self, environment)?;
        Ok(self)
    }
}

/// Fills what is not set.
///
/// # Errors
/// A variable that holds a control character, by its name: it becomes a header, an address or a path.
fn fill(settings: &mut Settings, environment: Environment<'_>) -> Result<(), BlobError> {
    let refused = RefCell::new(None);
    let first = |names: &[&str]| first(environment, names, &refused);
    let text = |field: &mut String, names: &[&str]| {
        if field.is_empty() {
            *field = first(names).unwrap_or_default();
        }
    };
    let secret = |field: &mut Secret, names: &[&'static str]| {
        if field.is_empty() {
            let found = names.iter().find_map(|name| Some((*name, first(&[name])?)));
            *field = found.map(|(name, text)| Secret::of_variable(text, name)).unwrap_or_default();
        }
    };
    // Whoever sets one may mean every blank of it.
    let password = |field: &mut Secret, name: &'static str| {
        if field.is_empty() {
            *field = environment(name).map(|text| Secret::of_variable(text, name)).unwrap_or_default();
        }
    };
    match settings {
        Settings::Filesystem(_) | Settings::Rclone(_) => {}
        // Keys: AWS's own chain looks for them.
        Settings::S3(s) => text(&mut s.region, &["AWS_REGION", "AWS_DEFAULT_REGION"]),
        Settings::Gcs(s) => {
            if s.credentials.is_empty() {
                text(&mut s.credentials_file, &["GOOGLE_APPLICATION_CREDENTIALS"]);
            }
            // Google's own libraries talk to an emulator without credentials.
            if s.endpoint.is_empty()
                && let Some(emulator) = first(&["STORAGE_EMULATOR_HOST"])
            {
                let scheme = if emulator.contains("://") { "" } else { "http://" };
                s.endpoint = format!("{scheme}{emulator}");
                s.anonymous = true;
            }
        }
        Settings::Azure(s) => {
            text(&mut s.storage_account, &["AZURE_STORAGE_ACCOUNT"]);
            text(&mut s.storage_domain, &["AZURE_STORAGE_DOMAIN"]);
            text(&mut s.authority_host, &["AZURE_AUTHORITY_HOST"]);
            text(&mut s.identity_endpoint, &["IDENTITY_ENDPOINT"]);
            if s.storage_key.is_empty()
                && s.sas_token.is_empty()
                && s.client_secret.is_empty()
                && s.azure_federated_token_file.is_empty()
            {
                secret(&mut s.storage_key, &["AZURE_STORAGE_KEY"]);
                secret(&mut s.sas_token, &["AZURE_STORAGE_SAS_TOKEN"]);
                text(&mut s.tenant_id, &["AZURE_TENANT_ID"]);
                text(&mut s.client_id, &["AZURE_CLIENT_ID"]);
                secret(&mut s.client_secret, &["AZURE_CLIENT_SECRET"]);
                text(&mut s.azure_federated_token_file, &["AZURE_FEDERATED_TOKEN_FILE"]);
            }
        }
        Settings::B2(s) => {
            text(&mut s.key_id, &["B2_KEY_ID", "B2_APPLICATION_KEY_ID"]);
            secret(&mut s.key, &["B2_KEY", "B2_APPLICATION_KEY"]);
        }
        Settings::Sftp(s) => {
            text(&mut s.username, &["USER", "LOGNAME"]);
            password(&mut s.password, "KOPIA_SFTP_PASSWORD");
            if s.known_hosts_file.is_empty()
                && s.known_hosts_data.is_empty()
                && let Some(home) = environment("HOME").filter(|h| !h.is_empty())
            {
                s.known_hosts_file = format!("{home}/.ssh/known_hosts");
            }
        }
        Settings::Webdav(s) => {
            text(&mut s.username, &["KOPIA_WEBDAV_USERNAME"]);
            password(&mut s.password, "KOPIA_WEBDAV_PASSWORD");
        }
    }
    refused.into_inner().map_or(Ok(()), Err)
}

/// The first that is set, without what stands around it.
fn first(
    environment: Environment<'_>,
    names: &[&str],
    refused: &RefCell<Option<BlobError>>,
) -> Option<String> {
    let values = names.iter().filter_map(|name| Some((name, trimmed(&environment(name)?).to_owned())));
    let (name, value) = values.into_iter().find(|(_, value)| !value.is_empty())?;
    if let Some(what) = control_character(&value) {
        refused.replace(Some(settings_error(format!("variable {name} holds {what} inside"))));
        return None;
    }
    Some(value)
}
