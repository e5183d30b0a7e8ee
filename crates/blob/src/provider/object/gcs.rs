//! Makes a store for a repository in a bucket of Google Cloud Storage.

use std::sync::Arc;

use object_store::gcp::{GcpCredential, GoogleCloudStorageBuilder};
use serde_json::Value;
use zeroize::Zeroizing;

use super::credentials::Tokens;
use super::http::Signed;
use super::{ObjectBlobs, carrier, endpoint, once, wrong};
use crate::client::http::{Http, innermost};
use crate::client::trust::Trust;
use crate::deadlines::Deadlines;
use crate::error::BlobError;
use crate::settings::GcsSettings;

impl ObjectBlobs {
    /// Makes a reader of a bucket of Google Cloud Storage; sends nothing yet.
    ///
    /// The first of these that is set gives the credentials: `anonymous`, inline, file, what
    /// `gcloud auth application-default login` left in the home directory, the metadata server of the machine.
    ///
    /// # Errors
    /// [`Settings`](crate::error::BlobErrorKind::Settings) for fields that cannot be understood or are not supported.
    pub fn gcs(settings: &GcsSettings, deadlines: Deadlines) -> Result<Self, BlobError> {
        if settings.point_in_time.is_some() {
            let what = "field \"pointInTime\" is not supported for Google Cloud Storage; leave it out to read what is there now";
            return Err(wrong(what));
        }
        let trust = Trust { ca_file: settings.ca_file.as_deref(), ..Trust::default() };
        let http = Http::new(trust, deadlines)?;
        let mut at = String::new();
        if !settings.endpoint.is_empty() {
            at = format!(" at {}", endpoint("endpoint", &settings.endpoint)?);
        }
        let (settings_of_tokens, http_of_tokens) = (settings.clone(), http.clone());
        let builder = move |signed| -> Result<GoogleCloudStorageBuilder, BlobError> {
            let mut builder = GoogleCloudStorageBuilder::new()
                .with_bucket_name(&settings_of_tokens.bucket)
                .with_retry(once())
                .with_http_connector(carrier(&http_of_tokens, signed)?);
            if !settings_of_tokens.endpoint.is_empty() {
                builder = builder.with_base_url(endpoint("endpoint", &settings_of_tokens.endpoint)?);
            }
            credentials(builder, &settings_of_tokens)
        };
        let build = |builder: GoogleCloudStorageBuilder| {
            builder.build().map_err(|e| wrong(&format!("Google credentials: {}", innermost(&e))))
        };
        // What is wrong with the settings shows now.
        let mut store = build(builder(Signed::ForEver)?)?;
        if !settings.anonymous {
            let again = builder.clone();
            let make = move || Ok(Arc::clone(build(again(Signed::ForEver)?)?.credentials()));
            let tokens = Arc::new(Tokens::new(name(settings), deadlines, make));
            let signed = Signed::Renewable(Arc::<Tokens<GcpCredential>>::clone(&tokens));
            store = build(builder(signed)?.with_credentials(tokens))?;
        }
        ObjectBlobs::over(
            store,
            http,
            &settings.prefix,
            format!("gs://{}/{}{at}", settings.bucket, settings.prefix),
        )
    }
}

/// Returns the name of what gives tokens.
fn name(settings: &GcsSettings) -> String {
    match (settings.credentials.is_empty(), settings.credentials_file.as_str()) {
        (false, _) => "the account in field \"credentials\"".into(),
        (true, "") => "the application default credentials or the metadata server".into(),
        (true, file) => format!("the account in {file}"),
    }
}

fn credentials(
    builder: GoogleCloudStorageBuilder,
    settings: &GcsSettings,
) -> Result<GoogleCloudStorageBuilder, BlobError> {
    if settings.anonymous {
        // An empty token keeps the search for other credentials from being started.
        return Ok(builder.with_bearer_token("").with_skip_signature(true));
    }
    if !settings.credentials.is_empty() {
        let text = settings.credentials.expose();
        return match kind(text, "field \"credentials\"")? {
            Kind::ServiceAccount => Ok(builder.with_service_account_key(text)),
            Kind::AuthorizedUser => Err(wrong(
                "field \"credentials\" holds a user's credentials: name their file in \"credentialsFile\"",
            )),
        };
    }
    let path = &settings.credentials_file;
    if path.is_empty() {
        return Ok(builder);
    }
    let what = format!("the credentials file {path}");
    let text = std::fs::read_to_string(path).map(Zeroizing::new);
    let text = text.map_err(|e| wrong(&format!("cannot read {what}")).because(e))?;
    match kind(&text, &what)? {
        Kind::ServiceAccount => Ok(builder.with_service_account_key(text.as_str())),
        Kind::AuthorizedUser => Ok(builder.with_application_credentials(path)),
    }
}

enum Kind {
    ServiceAccount,
    AuthorizedUser,
}

/// Returns which credentials a JSON text holds; checked here, because a parser's message may quote what it does not
/// like.
fn kind(text: &str, what: &str) -> Result<Kind, BlobError> {
    let json: Value = serde_json::from_str(text)
        .map_err(|e| wrong(&format!("{what} is not JSON (line {}, column {})", e.line(), e.column())))?;
    let field = |name: &str| json.get(name).and_then(Value::as_str);
    let (kind, needed): (_, &[&str]) = match field("type") {
        Some("service_account") | None => {
            (Kind::ServiceAccount, &["private_key", "private_key_id", "client_email"])
        }
        Some("authorized_user") => (Kind::AuthorizedUser, &["client_id", "client_secret", "refresh_token"]),
        Some(other) => {
            let other: String =
                other.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(40).collect();
            let what = format!(
                "{what} holds credentials of type {other}; only service_account and authorized_user are supported"
            );
            return Err(wrong(&what));
        }
    };
    match needed.iter().find(|name| field(name).is_none_or(str::is_empty)) {
        Some(name) => Err(wrong(&format!("{what} has no text field {name:?}"))),
        None => Ok(kind),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Secret;

    #[test]
    fn refuses_what_it_cannot_do_and_shows_no_secret() {
        let refused = |change: &dyn Fn(&mut GcsSettings), part: &str| {
            let mut changed = GcsSettings { bucket: "b".into(), ..GcsSettings::default() };
            change(&mut changed);
            let error = ObjectBlobs::gcs(&changed, Deadlines::default()).unwrap_err();
            let text = format!("{error} {error:?}");
            assert!(text.contains(part) && !text.contains("canary"), "{part}: {text}");
        };
        refused(&|s| s.point_in_time = Some(rekopia_format::Time::default()), "pointInTime");
        refused(&|s| s.credentials = Secret::new("{\"canary"), "not JSON");
        refused(&|s| s.credentials = Secret::new(r#"{"private_key":7,"x":"canary"}"#), "private_key");
        refused(
            &|s| s.credentials = Secret::new(r#"{"type":"external_account","x":"canary"}"#),
            "external_account",
        );
        let broken =
            r#"{"type":"service_account","private_key":"canary","private_key_id":"1","client_email":"e"}"#;
        refused(&|s| s.credentials = Secret::new(broken), "credentials");
        refused(&|s| s.credentials_file = "/nonexistent/gcs.json".into(), "/nonexistent/gcs.json");
        refused(&|s| (s.anonymous, s.prefix) = (true, "/x".into()), "prefix");
        refused(&|s| s.endpoint = "http://me:canary@host".into(), "endpoint");
    }
}
