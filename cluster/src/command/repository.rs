//! Looks into an application's repository for `doctor`: what the mover itself would say to these settings.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use futures::future::BoxFuture;
use rekopia::Cancel;
use rekopia_mover::{Destination, Judgement, Volume, check, job_variables, with_contents};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::arguments::Doctor;
use super::exit;
use super::output::Failure;
use crate::chain::Application;
use crate::findings::bytes_of;
use crate::objects::Secret;
use crate::observe::{Api, ListError};
use crate::render::wrap;

/// The values of a Secret, by key.
pub(super) type Values = BTreeMap<String, String>;

/// The result of a look into a repository.
pub(super) enum Looked {
    /// The repository was looked at: what the mover would do.
    Judged(String, Box<Judgement>),
    /// The repository was not looked at: why.
    Not(String, String),
}

/// Looks into the repository of an application; none where it has no restore.
pub(super) async fn look(api: &Api, app: &Application<'_>, doctor: &Doctor) -> Option<Looked> {
    let destination = app.destination?;
    let name = format!("{}/{}", app.namespace, app.name);
    match judge(api, app, destination, doctor).await {
        // What only the pod has cannot be judged from outside.
        Ok(judgement)
            if judgement.outcome == "settings" && judgement.message.contains("only the mover itself") =>
        {
            Some(Looked::Not(name, judgement.message))
        }
        Ok(judgement) => Some(Looked::Judged(name, Box::new(judgement))),
        Err(why) => Some(Looked::Not(name, format!("{why:#}"))),
    }
}

async fn judge(
    api: &Api,
    app: &Application<'_>,
    destination: &crate::objects::Destination,
    doctor: &Doctor,
) -> Result<Judgement> {
    let given = doctor.given();
    let variables = of_restore(&Secrets::of(Some(api)), destination, app.source, &given).await?;
    let capacity = app.temporary.and_then(|claim| claim.request()).or(destination.capacity());
    let (volume, cancel) = (Volume { capacity_bytes: bytes(capacity) }, Cancel::new());
    // A mover's whole work: too large to lie in another future.
    let checked: BoxFuture<'_, Judgement> = Box::pin(check(variables, &volume, &cancel));
    Ok(checked.await)
}

/// Returns the bytes of a quantity.
pub(super) fn bytes(quantity: Option<&str>) -> Option<u64> {
    quantity.and_then(bytes_of).and_then(|bytes| u64::try_from(bytes).ok())
}

/// The options that a person gives instead of the Secret in the cluster.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Given<'a> {
    pub(super) secret_file: Option<&'a Path>,
    pub(super) repo: Option<&'a str>,
    pub(super) password_file: Option<&'a Path>,
}

impl Given<'_> {
    /// Refuses files that are not there.
    pub(super) fn check(&self) -> Result<(), Failure> {
        let mut files = self.secret_file.into_iter().chain(self.password_file);
        match files.find(|path| !path.is_file()) {
            Some(path) => {
                let message = format!("{}: no such file", path.display());
                Err(Failure { code: exit::USAGE, message })
            }
            None => Ok(()),
        }
    }
}

impl Doctor {
    /// Returns what a person gives instead of the Secret.
    pub(super) fn given(&self) -> Given<'_> {
        Given {
            secret_file: self.secret_file.as_deref(),
            repo: self.repo.as_deref(),
            password_file: self.password_file.as_deref(),
        }
    }
}

/// The source of Secrets: Git in clear text, else the cluster.
#[derive(Default)]
pub(super) struct Secrets<'a> {
    pub(super) api: Option<&'a Api>,
    pub(super) of_git: BTreeMap<(String, String), Values>,
}

impl<'a> Secrets<'a> {
    pub(super) fn of(api: Option<&'a Api>) -> Self {
        Secrets { api, of_git: BTreeMap::new() }
    }
}

/// Returns the variables of the restore job of a `ReplicationDestination`, with contents in place of files.
pub(super) async fn of_restore(
    secrets: &Secrets<'_>,
    destination: &crate::objects::Destination,
    source: Option<&crate::objects::Source>,
    given: &Given<'_>,
) -> Result<Values> {
    let kopia = destination.spec.kopia.as_ref().context("the restore names no Kopia repository")?;
    let meta = &destination.metadata;
    let restore = Destination::new(&meta.namespace, &meta.name, &kopia.raw).map_err(|why| anyhow!(why))?;
    let restore = match source.filter(|_| restore.source().is_some()) {
        Some(source) => restore.with_source(&source.spec.kopia),
        None => restore,
    };
    variables(secrets, &meta.namespace, &restore, &kopia.raw, given).await
}

/// Returns the variables of a restore job that would restore what a `ReplicationSource` backs up.
pub(super) async fn of_backup(
    secrets: &Secrets<'_>,
    source: &crate::objects::Source,
    given: &Given<'_>,
) -> Result<Values> {
    let meta = &source.metadata;
    let mut kopia = source.spec.kopia.clone();
    // A user or a host alone is right for backups, and says nothing about where they go.
    if let Some(members) = kopia.as_object_mut() {
        members.remove("username");
        members.remove("hostname");
    }
    let restore = Destination::new(&meta.namespace, &meta.name, &kopia).map_err(|why| anyhow!(why))?;
    variables(secrets, &meta.namespace, &restore, &kopia, given).await
}

/// Returns the variables for nothing but the repository that the command line names.
pub(super) async fn of_nobody(given: &Given<'_>) -> Result<Values> {
    let nothing = json!({});
    let restore = Destination::new("nobody", "nobody", &nothing).map_err(|why| anyhow!(why))?;
    variables(&Secrets::default(), "", &restore, &nothing, given).await
}

async fn variables(
    secrets: &Secrets<'_>,
    namespace: &str,
    restore: &Destination,
    kopia: &Value,
    given: &Given<'_>,
) -> Result<Values> {
    let secret = secret(secrets, namespace, restore.repository(), given).await?;
    let ca = custom_ca(secrets, namespace, kopia).await;
    let mut variables = with_contents(job_variables(restore, &secret), &secret, ca.as_deref());
    if let Some(repo) = given.repo {
        variables.insert("KOPIA_REPOSITORY".into(), repo.to_owned());
    }
    if let Some(path) = given.password_file {
        let password =
            std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        variables.insert("KOPIA_PASSWORD".into(), password.trim_end_matches(['\n', '\r']).to_owned());
    }
    Ok(variables)
}

/// Returns the Secret's values: of a file, of Git, of the cluster, or none where the command line says all.
async fn secret(
    secrets: &Secrets<'_>,
    namespace: &str,
    name: Option<&str>,
    given: &Given<'_>,
) -> Result<Values> {
    if let Some(path) = given.secret_file {
        return of_file(path);
    }
    if given.repo.is_some() && given.password_file.is_some() {
        return Ok(from_environment());
    }
    let name = name.context("the restore names no Secret")?;
    let in_git = secrets.of_git.get(&(namespace.to_owned(), name.to_owned()));
    let Some(api) = secrets.api else {
        return in_git.cloned().with_context(|| {
            format!(
                "the Secret {name} in {namespace} is not in clear text in Git, and there is no cluster to ask: name \
                 --secret-file, or --repo and --password-file"
            )
        });
    };
    match api.secret(namespace, name).await {
        Ok(secret) => values(&secret).with_context(|| format!("the Secret {name} cannot be read")),
        Err(_) if in_git.is_some() => Ok(in_git.cloned().unwrap_or_default()),
        Err(ListError::Forbidden(_)) => Err(anyhow!(
            "the right to get the Secret {name} in {namespace} is missing, so nothing is said about the repository: give \
             it with a Role (cluster/README.md), or name --secret-file"
        )),
        Err(ListError::Other(why)) => Err(anyhow!("the Secret {name} in {namespace} is not there: {why}")),
        Err(e) => Err(anyhow!("the Secret {name} in {namespace} cannot be read: {e}")),
    }
}

/// Returns what leads to the repository, without whose snapshots are asked for.
pub(super) fn place(variables: &Values) -> Values {
    const ASKED: [&str; 8] = [
        "KOPIA_OVERRIDE_",
        "KOPIA_SOURCE_PATH_OVERRIDE",
        "KOPIA_RESTORE_AS_OF",
        "KOPIA_PREVIOUS",
        "KOPIA_SHALLOW",
        "KOPIA_ENABLE_FILE_DELETION",
        "KOPIA_ADDITIONAL_ARGS",
        "KOPIA_CACHE_CAPACITY_BYTES",
    ];
    let leads =
        |name: &str| !ASKED.iter().any(|asked| name.starts_with(asked)) && !name.ends_with("_SIZE_LIMIT_MB");
    variables
        .iter()
        .filter(|(name, _)| leads(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// Returns the keys of clouds that a person has set for other programs.
fn from_environment() -> Values {
    let is_of_cloud = |name: &str| ["AWS_", "AZURE_", "B2_", "GOOGLE_"].iter().any(|of| name.starts_with(of));
    std::env::vars().filter(|(name, _)| is_of_cloud(name)).collect()
}

/// Reads a Secret's manifest; `stringData` beside `data`, as people write it.
fn of_file(path: &Path) -> Result<Values> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let text = Zeroizing::new(text);
    // What stands in the file must not come into an error.
    let secret: Secret = serde_saphyr::from_str(&text)
        .map_err(|_| anyhow!("{} is no Secret's manifest in YAML or JSON", path.display()))?;
    if secret.kind != "Secret" {
        return Err(anyhow!("{} is no Secret", path.display()));
    }
    values(&secret).with_context(|| format!("{} cannot be read", path.display()))
}

pub(super) fn values(secret: &Secret) -> Result<Values> {
    use base64::Engine;
    let mut values = Values::new();
    for (key, text) in &secret.data {
        let bytes = base64::engine::general_purpose::STANDARD.decode(text.as_bytes());
        let bytes = bytes.map_err(|_| anyhow!("the value of {key} is no Base64"))?;
        let text = String::from_utf8(bytes).map_err(|_| anyhow!("the value of {key} is no UTF-8"))?;
        values.insert(key.clone(), text);
    }
    let plain = secret.string_data.iter().map(|(key, text)| (key.clone(), text.to_string()));
    values.extend(plain);
    Ok(values)
}

/// Reads the certificate that `customCA` names, where it may be read.
async fn custom_ca(secrets: &Secrets<'_>, namespace: &str, kopia: &Value) -> Option<String> {
    let named = &kopia["customCA"];
    let secret = secrets.api?.secret(namespace, named["secretName"].as_str()?).await.ok()?;
    values(&secret).ok()?.remove(named["key"].as_str().unwrap_or("ca.crt"))
}

impl Looked {
    /// Writes the result for a person.
    pub(super) fn to_text(&self, width: usize) -> String {
        match self {
            Looked::Not(_, why) => wrap(&format!("Repository: not looked at: {why}."), 2, width),
            Looked::Judged(_, judged) => {
                let mut text = wrap(&format!("Repository: {}", verdict(judged)), 2, width);
                if let Some(chosen) = &judged.snapshot {
                    let said = format!(
                        "the mover would take {} of {}: {} files, {}",
                        chosen.id,
                        chosen.start,
                        chosen.files,
                        rekopia::human_size(chosen.bytes)
                    );
                    text.push_str(&wrap(&said, 4, width));
                }
                for identity in judged.identities.iter().take(5) {
                    text.push_str(&wrap(&format!("there is {identity}"), 4, width));
                }
                for warning in &judged.warnings {
                    text.push_str(&wrap(&format!("warning: {warning}"), 4, width));
                }
                text
            }
        }
    }

    /// Writes the result for a program.
    pub(super) fn to_json(&self) -> Value {
        match self {
            Looked::Not(application, why) => json!({ "application": application, "notLookedAt": why }),
            Looked::Judged(application, judged) => json!({
                "application": application,
                "exitCode": judged.exit_code,
                "outcome": judged.outcome,
                "message": judged.message,
                "identity": judged.identity,
                "repository": judged.repository,
                "snapshot": judged.snapshot.as_ref().map(|chosen| json!({
                    "id": chosen.id,
                    "startTime": chosen.start,
                    "files": chosen.files,
                    "bytes": chosen.bytes,
                })),
                "identities": judged.identities,
                "warnings": judged.warnings,
            }),
        }
    }
}

fn verdict(judged: &Judgement) -> String {
    let code = judged.exit_code;
    let would = if code == 0 { "a restore would end well" } else { "a restore would fail" };
    format!("{would} ({}, exit {code}): {}", judged.outcome, judged.message)
}
