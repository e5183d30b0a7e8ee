//! Finds the keys of S3, and other ones when they expire.
//!
//! AWS's own cache renews by the time that a key states, and does not learn of a refusal; its providers read their files
//! once. So the cache is ours, and the providers are made anew for every renewal.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_config::SdkConfig;
use aws_config::ecs::EcsCredentialsProvider;
use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::imds::credentials::ImdsCredentialsProvider;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::retry::RetryConfig;
use aws_config::web_identity_token::WebIdentityTokenCredentialsProvider;
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use aws_smithy_types::error::metadata::ErrorMetadata;

use crate::client::credentials::{Freshness, Held};
use crate::client::http::innermost;
use crate::deadlines::Deadlines;
use crate::error::{BlobError, BlobErrorKind};
use crate::settings::{control_character, trimmed};

/// The keys of one storage, or of one role.
#[derive(Debug)]
pub(super) struct S3Credentials {
    held: Held<Key>,
    source: Source,
}

/// The source of keys.
#[derive(Debug)]
pub(super) enum Source {
    /// The keys stand in the settings.
    Fixed(Credentials),
    /// The keys are the first that environment, profile, web identity, container or instance have.
    Chain { shared: Box<SdkConfig>, profile: String },
    /// The keys are those of a role, by this provider.
    Role { provider: SharedCredentialsProvider, name: String, base: Arc<S3Credentials> },
}

#[derive(Debug, Clone)]
struct Key {
    key: Credentials,
    obtained: SystemTime,
}

/// Whether a refusal with this code speaks of the key: the codes of S3, of its kin and of STS.
pub(super) fn speaks_of_expiry(code: &str) -> bool {
    matches!(
        code,
        "ExpiredToken"
            | "ExpiredTokenException"
            | "TokenRefreshRequired"
            | "InvalidToken"
            | "InvalidTokenId"
            | "InvalidClientTokenId"
            | "InvalidAccessKeyId"
            | "RequestExpired"
    )
}

impl S3Credentials {
    pub(super) fn new(source: Source, deadlines: Deadlines) -> Self {
        S3Credentials { held: Held::new(deadlines.patience), source }
    }

    /// Returns where keys come from that nobody can renew but the person who has set them.
    pub(super) fn fixed(&self) -> Option<&'static str> {
        match &self.source {
            Source::Fixed(_) => Some("the configuration"),
            Source::Chain { .. } if from_environment().is_some() => {
                Some("the environment (AWS_ACCESS_KEY_ID, AWS_SESSION_TOKEN)")
            }
            Source::Chain { .. } | Source::Role { .. } => None,
        }
    }

    /// Takes note that the storage refused a request that was signed so.
    pub(super) fn refuse(&self, access_key_id: &str, token: Option<&str>) {
        let used = |key: &Key| key.key.access_key_id() == access_key_id && key.key.session_token() == token;
        let _ = self.held.refuse(used);
    }

    async fn key(&self) -> Result<Credentials, BlobError> {
        let fetch = |refused: Option<Key>| async move {
            let key = tidy(self.fetch().await?, &self.named())?;
            let same = |old: &Key| {
                (old.key.access_key_id(), old.key.session_token())
                    == (key.access_key_id(), key.session_token())
            };
            if refused.as_ref().is_some_and(same) && self.fixed().is_none() {
                let what = format!("{} gives the same ones again: renew them there", self.named());
                return Err(BlobError::new(BlobErrorKind::Denied, what));
            }
            Ok(Key { key, obtained: SystemTime::now() })
        };
        Ok(self.held.get(freshness, fetch).await?.key)
    }

    async fn fetch(&self) -> Result<Credentials, BlobError> {
        match &self.source {
            Source::Fixed(key) => Ok(key.clone()),
            Source::Role { provider, base, .. } => {
                let mut key = provider.provide_credentials().await;
                if key.is_err() && base.held.are_refused() {
                    // What asks for the role had expired, too.
                    key = provider.provide_credentials().await;
                }
                key.map_err(|e| failed(&self.named(), &e))
            }
            Source::Chain { shared, profile } => {
                if let Some(key) = from_environment() {
                    return Ok(key);
                }
                // Another one each time: it keeps what it has read of the files.
                let config = &provider_config(shared);
                let mut of_profile = ProfileFileCredentialsProvider::builder().configure(config);
                if !profile.is_empty() {
                    of_profile = of_profile.profile_name(profile);
                }
                let web_identity = WebIdentityTokenCredentialsProvider::builder().configure(config).build();
                let container = EcsCredentialsProvider::builder().configure(config).build();
                let instance = ImdsCredentialsProvider::builder().configure(config).build();
                let providers: [(&str, SharedCredentialsProvider); 4] = [
                    (
                        "the profile of AWS's configuration files",
                        SharedCredentialsProvider::new(of_profile.build()),
                    ),
                    (WEB_IDENTITY, SharedCredentialsProvider::new(web_identity)),
                    ("the container's role", SharedCredentialsProvider::new(container)),
                    ("the instance's role", SharedCredentialsProvider::new(instance)),
                ];
                for (name, provider) in providers {
                    match provider.provide_credentials().await {
                        Ok(key) => return Ok(key),
                        Err(CredentialsError::CredentialsNotLoaded(_)) => {}
                        Err(e) => return Err(failed(name, &e)),
                    }
                }
                let what = "no usable credentials: none in the environment, a profile, a web identity's file, the \
                            container's or the instance's role";
                Err(BlobError::new(BlobErrorKind::Denied, what))
            }
        }
    }

    fn named(&self) -> String {
        match &self.source {
            Source::Fixed(_) => "the configuration".into(),
            Source::Chain { .. } if from_environment().is_some() => {
                "the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN)".into()
            }
            Source::Chain { .. } => "AWS's configuration (profile, process or role)".into(),
            Source::Role { name, .. } => name.clone(),
        }
    }
}

const WEB_IDENTITY: &str = "the web identity (AWS_ROLE_ARN, AWS_WEB_IDENTITY_TOKEN_FILE)";

/// Returns the key without what was pasted along around it.
///
/// # Errors
/// A control character inside: a key becomes a header.
fn tidy(key: Credentials, place: &str) -> Result<Credentials, BlobError> {
    let parts = [key.access_key_id(), key.secret_access_key(), key.session_token().unwrap_or_default()];
    let names = ["access key ID", "secret access key", "session token"];
    for (part, name) in parts.into_iter().zip(names) {
        if let Some(what) = control_character(trimmed(part)) {
            let what = format!("the {name} of {place} holds {what} inside");
            return Err(BlobError::new(BlobErrorKind::Settings, what));
        }
    }
    if parts.into_iter().all(|part| trimmed(part).len() == part.len()) {
        return Ok(key);
    }
    let [id, secret, token] = parts.map(trimmed);
    let token = (!token.is_empty()).then(|| token.to_owned());
    Ok(Credentials::new(id, secret, token, key.expiry(), "rekopia"))
}

/// Makes the error that says why there is no key. What a service says of a token never has the token in it.
fn failed(name: &str, error: &CredentialsError) -> BlobError {
    let doing = format!("credentials of {name}");
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(e) = next {
        if let Some(ours) = e.downcast_ref::<BlobError>() {
            return ours.clone().while_doing(&doing);
        }
        if let Some(told) = e.downcast_ref::<ErrorMetadata>() {
            let (code, message) = (told.code().unwrap_or_default(), told.message().unwrap_or_default());
            return refused(&doing, code, message);
        }
        next = e.source();
    }
    let reason = innermost(error);
    // Where AWS's own program would ask a person or a browser, its text says what was missing.
    if reason.contains("feature(s) enabled: sso") || reason.contains("feature(s) enabled: credentials-login")
    {
        let what = format!(
            "{doing}: it logs in at a portal, which only AWS's own program can: write `credential_process = aws configure \
             export-credentials --profile NAME --format process` into another profile, and name that one in AWS_PROFILE"
        );
        return BlobError::new(BlobErrorKind::Settings, what);
    }
    let error_of = |kind| BlobError::new(kind, format!("{doing}: {reason}"));
    match error {
        CredentialsError::ProviderTimedOut(_) => error_of(BlobErrorKind::Unavailable).transient(),
        _ => error_of(BlobErrorKind::Denied),
    }
}

fn refused(doing: &str, code: &str, message: &str) -> BlobError {
    let message: String = message.chars().filter(|c| !c.is_control()).take(300).collect();
    let what = format!("{doing}: {code} {message}").trim_end().to_owned();
    match code {
        "InternalFailure"
        | "InternalError"
        | "ServiceUnavailable"
        | "Throttling"
        | "ThrottlingException"
        | "IDPCommunicationError" => BlobError::new(BlobErrorKind::Unavailable, what).transient(),
        _ => BlobError::new(BlobErrorKind::Denied, what),
    }
}

/// Returns how fresh a key is: one that expires is asked for again a minute before, or when a tenth of its time is
/// left.
fn freshness(key: &Key) -> Freshness {
    let Some(expiry) = key.key.expiry() else { return Freshness::Good };
    let Ok(left) = expiry.duration_since(SystemTime::now()) else { return Freshness::Expired };
    let whole = expiry.duration_since(key.obtained).unwrap_or_default();
    if left > Duration::from_secs(60).min(whole / 10) { Freshness::Good } else { Freshness::Due }
}

/// Returns the key that stands in the environment: AWS's own code looks there.
fn from_environment() -> Option<Credentials> {
    use futures::FutureExt;
    EnvironmentVariableCredentialsProvider::new().provide_credentials().now_or_never()?.ok()
}

/// Returns what the chain needs to ask its services.
pub(super) fn provider_config(shared: &SdkConfig) -> ProviderConfig {
    let mut config = ProviderConfig::default()
        .with_region(shared.region().cloned())
        .with_use_fips(shared.use_fips())
        .with_use_dual_stack(shared.use_dual_stack())
        // The layers around us know nothing of these requests.
        .with_retry_config(RetryConfig::standard());
    if let Some(http) = shared.http_client() {
        config = config.with_http_client(http);
    }
    config
}

impl ProvideCredentials for S3Credentials {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async { self.key().await.map_err(CredentialsError::provider_error) })
    }
}
