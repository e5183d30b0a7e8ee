//! Reads the variables in which the ecosystem's tools expect credentials.
//!
//! The library does not look at the environment itself: programs pass a function that does. The AWS chain
//! (profiles, web identity, container and instance roles) is the exception: it is AWS's own code. So are the file that
//! `gcloud auth application-default login` leaves in the home directory and the addresses of metadata servers.

use std::cell::RefCell;

use super::error::settings_error;
use super::kinds::Settings;
use super::pasted::{control_character, trimmed};
use super::secret::Secret;
use super::storages::{AzureSettings, GcsSettings};
use crate::error::BlobError;

/// Looks a variable up; `None` when it is not set.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

impl Settings {
    /// Fills what is not set from the variables that the ecosystem's tools use.
    ///
    /// # Errors
    /// [`Settings`](crate::error::BlobErrorKind::Settings) for a variable that holds a control character.
    pub fn with_environment(mut self, environment: Environment<'_>) -> Result<Self, BlobError> {
        fill(&mut self, environment)?;
        Ok(self)
    }
}

/// The variables, and the first of them that has an impossible value.
struct Variables<'a> {
    environment: Environment<'a>,
    refused: RefCell<Option<BlobError>>,
}

impl Variables<'_> {
    /// Fills an empty field with the first of the variables that is set.
    fn text(&self, field: &mut String, names: &[&str]) {
        if field.is_empty() {
            *field = self.first(names).unwrap_or_default();
        }
    }

    fn secret(&self, field: &mut Secret, name: &'static str) {
        if field.is_empty() {
            let found = self.first(&[name]);
            *field = found.map(|text| Secret::of_variable(text, name)).unwrap_or_default();
        }
    }

    /// Fills an empty password as the variable has it: every blank of it may be meant.
    fn password(&self, field: &mut Secret, name: &'static str) {
        if field.is_empty() {
            *field = (self.environment)(name).map(|text| Secret::of_variable(text, name)).unwrap_or_default();
        }
    }

    /// Returns the first that is set, without what stands around it.
    fn first(&self, names: &[&str]) -> Option<String> {
        let values =
            names.iter().filter_map(|name| Some((name, trimmed(&(self.environment)(name)?).to_owned())));
        let (name, value) = values.into_iter().find(|(_, value)| !value.is_empty())?;
        if let Some(what) = control_character(&value) {
            self.refused.replace(Some(settings_error(format!("variable {name} holds {what} inside"))));
            return None;
        }
        Some(value)
    }
}

/// Fills what is not set.
///
/// # Errors
/// A variable that holds a control character, by its name: it becomes a header, an address or a path.
fn fill(settings: &mut Settings, environment: Environment<'_>) -> Result<(), BlobError> {
    let variables = Variables { environment, refused: RefCell::new(None) };
    match settings {
        Settings::Filesystem(_) | Settings::Rclone(_) => {}
        // Keys: AWS's own chain looks for them.
        Settings::S3(s) => variables.text(&mut s.region, &["AWS_REGION", "AWS_DEFAULT_REGION"]),
        Settings::Gcs(s) => fill_gcs(s, &variables),
        Settings::Azure(s) => fill_azure(s, &variables),
        Settings::B2(s) => {
            variables.text(&mut s.key_id, &["B2_KEY_ID", "B2_APPLICATION_KEY_ID"]);
            variables.secret(&mut s.key, "B2_KEY");
            variables.secret(&mut s.key, "B2_APPLICATION_KEY");
        }
        Settings::Sftp(s) => {
            variables.text(&mut s.username, &["USER", "LOGNAME"]);
            variables.password(&mut s.password, "KOPIA_SFTP_PASSWORD");
            if s.known_hosts_file.is_empty()
                && s.known_hosts_data.is_empty()
                && let Some(home) = environment("HOME").filter(|h| !h.is_empty())
            {
                s.known_hosts_file = format!("{home}/.ssh/known_hosts");
            }
        }
        Settings::Webdav(s) => {
            variables.text(&mut s.username, &["KOPIA_WEBDAV_USERNAME"]);
            variables.password(&mut s.password, "KOPIA_WEBDAV_PASSWORD");
        }
    }
    variables.refused.into_inner().map_or(Ok(()), Err)
}

fn fill_gcs(s: &mut GcsSettings, variables: &Variables<'_>) {
    if s.credentials.is_empty() {
        variables.text(&mut s.credentials_file, &["GOOGLE_APPLICATION_CREDENTIALS"]);
    }
    // Google's own libraries talk to an emulator without credentials.
    if s.endpoint.is_empty()
        && let Some(emulator) = variables.first(&["STORAGE_EMULATOR_HOST"])
    {
        let scheme = if emulator.contains("://") { "" } else { "http://" };
        s.endpoint = format!("{scheme}{emulator}");
        s.anonymous = true;
    }
}

fn fill_azure(s: &mut AzureSettings, variables: &Variables<'_>) {
    variables.text(&mut s.storage_account, &["AZURE_STORAGE_ACCOUNT"]);
    variables.text(&mut s.storage_domain, &["AZURE_STORAGE_DOMAIN"]);
    variables.text(&mut s.authority_host, &["AZURE_AUTHORITY_HOST"]);
    variables.text(&mut s.identity_endpoint, &["IDENTITY_ENDPOINT"]);
    if s.storage_key.is_empty()
        && s.sas_token.is_empty()
        && s.client_secret.is_empty()
        && s.azure_federated_token_file.is_empty()
    {
        variables.secret(&mut s.storage_key, "AZURE_STORAGE_KEY");
        variables.secret(&mut s.sas_token, "AZURE_STORAGE_SAS_TOKEN");
        variables.text(&mut s.tenant_id, &["AZURE_TENANT_ID"]);
        variables.text(&mut s.client_id, &["AZURE_CLIENT_ID"]);
        variables.secret(&mut s.client_secret, "AZURE_CLIENT_SECRET");
        variables.text(&mut s.azure_federated_token_file, &["AZURE_FEDERATED_TOKEN_FILE"]);
    }
}
