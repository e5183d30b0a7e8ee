//! Hands backup and maintenance over to the stock script; but never at a place that is not the repository that is
//! meant.

use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::Arc;

use rekopia::Error;

use crate::config::Config;
use crate::env::Env;
use crate::outcome::Outcome;
use crate::run;
use crate::say::say;
use crate::verdict::failure;

/// Opens the repository, read-only, before anything is started.
pub(crate) async fn before(config: &Config) -> Outcome {
    if !config.stock_entry.is_file() {
        let what = format!(
            "{} is not done by this image: it has no stock script at {}; use the overlay image, or set REKOPIA_STOCK_ENTRY",
            config.operation.name(),
            config.stock_entry.display()
        );
        return Outcome::failed(2, "no-stock-script", what);
    }
    match run::open(config, &Arc::default(), false).await {
        Ok(repository) => match repository.index_damage().first() {
            // What writes next must not take what is hidden for what is not there.
            Some(damage) => failure(config, damage).await,
            None => run::wrong_repository(config, &repository).unwrap_or(Outcome::HandOver),
        },
        Err(e) => refused(config, &e).await,
    }
}

/// Judges a repository that does not open: the first backup of a new cluster makes the repository.
async fn refused(config: &Config, e: &Error) -> Outcome {
    match failure(config, e).await {
        Outcome::NoRepositoryAccepted { .. } => Outcome::HandOver,
        refused => refused,
    }
}

/// Becomes the stock script: same environment, same arguments.
pub(crate) fn exec(config: &Config, env: &Env) -> Outcome {
    say(&format!("INFO: handing over to {}", config.stock_entry.display()));
    let mut command = Command::new(&config.stock_entry);
    command.args(&config.arguments);
    if let (None, Some(ca)) = (env.text("CUSTOM_CA"), env.text("KOPIA_CUSTOM_CA")) {
        command.env("CUSTOM_CA", ca);
    }
    let e = command.exec();
    Outcome::failed(2, "no-stock-script", format!("cannot start {}: {e}", config.stock_entry.display()))
}
