//! Checks the configuration; every error names the variable.

use std::path::{Path, PathBuf};

use rekopia::{AsOf, Password, Receipting, RestoreOptions, Selection, Source, Zone};

use crate::env::Env;
use crate::outcome::{Outcome, termination_log};
use crate::say::say;
use crate::settings::Settings;
use crate::{arguments, backend};

/// The operation that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    /// A restore that fills the volume.
    Restore,
    /// A check that says what a restore would do.
    Check,
    /// A backup by the stock script.
    Backup,
    /// Maintenance by the stock script.
    Maintenance,
}

impl Operation {
    /// Returns the operation's name in the log's summary.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Operation::Restore => "restore",
            Operation::Check => "check",
            Operation::Backup => "backup",
            Operation::Maintenance => "maintenance",
        }
    }
}

/// A checked environment.
pub(crate) struct Config {
    /// The operation that is asked for.
    pub(crate) operation: Operation,
    /// The storage that the repository is in.
    pub(crate) storage: rekopia_blob::Settings,
    /// The password, trimmed as Kopia trims it.
    pub(crate) password: Password,
    /// The password as it is, where that is another.
    pub(crate) raw_password: Option<Password>,
    /// The source whose snapshots are asked for.
    pub(crate) source: Source,
    /// The snapshots of the source that may be chosen.
    pub(crate) selection: Selection,
    /// Whether the user asked for one snapshot in particular.
    pub(crate) chosen_by_user: bool,
    /// The folder of the volume.
    pub(crate) data_dir: PathBuf,
    /// The folder for an index that does not fit in memory.
    pub(crate) cache_dir: Option<PathBuf>,
    /// The options of the restore.
    pub(crate) options: RestoreOptions,
    /// The settings of the policy.
    pub(crate) settings: Settings,
    /// The stock mover's script, for operations that are not ours.
    pub(crate) stock_entry: PathBuf,
    /// The arguments as they came.
    pub(crate) arguments: Vec<String>,
}

impl Config {
    /// Checks everything before anything is opened.
    ///
    /// # Errors
    /// A failure that names the variable (exit 2), or the volume that is not there (exit 16).
    pub(crate) fn check(env: &Env, arguments: &[String]) -> Result<Self, Outcome> {
        let wrong = |what: String| Outcome::failed(2, "settings", what);
        env.check().map_err(wrong)?;
        let operation = operation(env, arguments).map_err(wrong)?;
        let password = env.text("KOPIA_PASSWORD").filter(|p| !p.trim().is_empty());
        let password = password.ok_or_else(|| wrong("KOPIA_PASSWORD must be defined".into()))?;
        let raw_password = (password.trim() != password).then(|| Password::new(password));
        let needed = matches!(operation, Operation::Restore | Operation::Check);
        let source = source(env);
        if needed && (source.user.is_empty() || source.host.is_empty()) {
            let what = "KOPIA_OVERRIDE_USERNAME and KOPIA_OVERRIDE_HOSTNAME must both be defined";
            return Err(wrong(what.into()));
        }
        let mut settings = Settings::read(env, &format!("{}@{}", source.user, source.host)).map_err(wrong)?;
        let storage = backend::read(env).map_err(wrong)?;
        let (selection, chosen_by_user) = selection(env).map_err(wrong)?;

        let mut options = options(env, &settings, operation);
        if needed && let Some(text) = env.text("KOPIA_ADDITIONAL_ARGS") {
            arguments::apply(text, &mut options, &mut settings).map_err(wrong)?;
        }
        let default_dir = if needed { "/restore/data" } else { "/data" };
        let data_dir = env.path("DATA_DIR").unwrap_or_else(|| default_dir.into());
        if operation == Operation::Restore && !data_dir.is_dir() {
            let what = format!("DATA_DIR: Data directory {} does not exist", data_dir.display());
            return Err(Outcome::failed(16, "destination", what));
        }
        options.protected.extend(authorities(env).map_err(wrong)?);
        let cache_dir = env.path("KOPIA_CACHE_DIR");
        options.protected.extend(storage.files());
        options.protected.extend(cache_dir.clone());
        options.protected.push(termination_log(env));
        Ok(Config {
            operation,
            storage,
            password: Password::new(password.trim()),
            raw_password,
            source,
            selection,
            chosen_by_user,
            data_dir,
            cache_dir,
            options,
            settings,
            stock_entry: env
                .path("REKOPIA_STOCK_ENTRY")
                .unwrap_or_else(|| "/mover-kopia/stock-entry.sh".into()),
            arguments: arguments.to_vec(),
        })
    }
}

/// Returns the source whose snapshots are asked for; a part that is not set is empty.
pub(crate) fn source(env: &Env) -> Source {
    let text = |name: &str| env.text(name).unwrap_or_default().to_owned();
    Source {
        user: text("KOPIA_OVERRIDE_USERNAME"),
        host: text("KOPIA_OVERRIDE_HOSTNAME"),
        path: env.text("KOPIA_SOURCE_PATH_OVERRIDE").unwrap_or("/data").to_owned(),
    }
}

/// Returns how to restore, before the arguments say more.
fn options(env: &Env, settings: &Settings, operation: Operation) -> RestoreOptions {
    let restores = operation == Operation::Restore;
    RestoreOptions::default()
        .delete_extra(env.flag("KOPIA_ENABLE_FILE_DELETION"))
        .memory_bytes(settings.memory.unwrap_or_else(rekopia::memory_bytes))
        .parallel(settings.parallel.unwrap_or(0).into())
        .verify(settings.verify)
        // A check restores nothing, and so has no receipt.
        .receipt(if restores { settings.receipt.clone() } else { Receipting::Off })
        .max_delete(settings.max_delete)
        .delete_first(settings.delete_first)
        .dry_run(operation == Operation::Check)
}

/// Returns the files of further certificate authorities.
fn authorities(env: &Env) -> Result<Vec<PathBuf>, String> {
    let named = ["CUSTOM_CA", "KOPIA_CUSTOM_CA"].into_iter().filter_map(|name| Some((name, env.path(name)?)));
    named.map(|(name, ca)| check_authority(name, &ca).map(|()| ca)).collect()
}

/// Checks a file of authorities: a missing one is only warned of, as the stock mover does without it; one that says
/// nothing is a mistake.
fn check_authority(name: &str, ca: &Path) -> Result<(), String> {
    match std::fs::read_to_string(ca) {
        Ok(text) if text.contains("-----BEGIN CERTIFICATE-----") => Ok(()),
        Ok(_) => Err(format!("{name}: {} holds no certificate in PEM", ca.display())),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            let what = "does not exist; only the usual authorities are trusted";
            say(&format!("WARN: {name}: {} {what}", ca.display()));
            Ok(())
        }
        Err(e) => Err(format!("{name}: {} cannot be read: {e}", ca.display())),
    }
}

/// Returns the operation: of `DIRECTION` first, then of the argument, as the stock script does; but nothing asked is a
/// mistake, not a success.
pub(crate) fn operation(env: &Env, arguments: &[String]) -> Result<Operation, String> {
    match env.text("DIRECTION") {
        Some("source") => return Ok(Operation::Backup),
        Some("destination") => return Ok(Operation::Restore),
        Some("maintenance") => return Ok(Operation::Maintenance),
        Some(other) => return Err(format!("DIRECTION: unknown operation: {other}")),
        None => {}
    }
    match arguments {
        [one] => match one.as_str() {
            "restore" => Ok(Operation::Restore),
            "check" => Ok(Operation::Check),
            "backup" => Ok(Operation::Backup),
            "maintenance" => Err("maintenance is chosen by DIRECTION=maintenance, not by an argument".into()),
            other => Err(format!("unknown operation: {other}; the argument is restore, check or backup")),
        },
        [] => Err("no operation: the argument is restore, check or backup".into()),
        [_, second, ..] => Err(format!("unknown operation: {second}")),
    }
}

fn selection(env: &Env) -> Result<(Selection, bool), String> {
    let number = |name: &str| {
        let parse = |text: &str| text.trim().parse::<usize>();
        let value =
            env.text(name).map(|text| parse(text).map_err(|_| format!("{name}: {text:?} is not a number")));
        value.transpose()
    };
    let previous = number("KOPIA_PREVIOUS")?;
    if number("KOPIA_SHALLOW")? == Some(0) {
        say("WARN: KOPIA_SHALLOW: 0 is treated as not set");
    }
    // No relative forms: a Job may run again days later, and it has to choose the same.
    let as_of = env.text("KOPIA_RESTORE_AS_OF").map(|text| {
        AsOf::parse_absolute(text, &Zone::system()).map_err(|e| format!("KOPIA_RESTORE_AS_OF: {e}"))
    });
    let as_of = as_of.transpose()?;
    let previous = previous.unwrap_or(0);
    let chosen = as_of.is_some() || previous > 0;
    Ok((as_of.unwrap_or(AsOf::Latest).selection().previous(previous), chosen))
}
