//! Reads what a repository holds, source by source, for callers that take stock.

use std::collections::BTreeMap;
use std::sync::Arc;

use rekopia::{Cancel, Snapshot, Snapshots, Source};

use crate::check::Judgement;
use crate::config;
use crate::env::Env;
use crate::findings::{Choice, Findings};
use crate::identity;
use crate::log::Log;
use crate::outcome::{Outcome, stoppable};
use crate::outside;
use crate::recorded::Recorded;
use crate::run::{open, wrong_repository};
use crate::say::one_line;
use crate::verdict::failure;

/// The snapshots that a repository holds, by source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Catalogue {
    /// The repository's unique ID, in hex.
    pub repository: String,
    /// The snapshots of each source, by identity: `user@host:/path`.
    pub sources: BTreeMap<String, Backups>,
    /// The reason why a newer snapshot may be hidden: a part of the index cannot be read.
    pub doubt: Option<String>,
}

/// The snapshots of one source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Backups {
    /// Number of complete snapshots.
    pub complete: usize,
    /// Number of other snapshots: left by backups that did not end.
    pub incomplete: usize,
    /// The newest complete snapshot, which a restore would take.
    pub newest: Option<Choice>,
    /// The time when the newest snapshot ended, RFC 3339 in UTC.
    pub ended: String,
    /// Errors that the newest snapshot recorded when it was taken.
    pub errors: u64,
    /// The last snapshot before the newest lost most of what the source had; `None`: it did not.
    pub fuller: Option<Choice>,
}

/// Reads which snapshots the repository has that these variables of a restore job lead to.
///
/// Opens it, read-only; see [`check`](fn@crate::check) for `variables` and what cannot be reached from outside.
///
/// # Errors
/// How a restore would end instead: wrong password, unreachable, no repository, settings.
pub async fn catalogue(
    variables: BTreeMap<String, String>,
    cancel: &Cancel,
) -> Result<Catalogue, Box<Judgement>> {
    let outcome = match read(&variables, cancel).await {
        Ok(catalogue) => return Ok(catalogue),
        Err(outcome) => outcome,
    };
    Err(Box::new(Judgement::of(&outcome, Findings::default(), variables)))
}

/// Names whose snapshots the restore job of these variables asks for: `user@host:/path`.
pub fn restore_identity(variables: &BTreeMap<String, String>) -> String {
    config::source(&Env::new(variables.clone())).to_string()
}

async fn read(variables: &BTreeMap<String, String>, cancel: &Cancel) -> Result<Catalogue, Outcome> {
    let scratch = outside::scratch()?;
    let config = outside::config(variables, &scratch)?;
    let log = Arc::new(Log::default());
    let reading = async {
        let repository = open(&config, &log, false).await?;
        if let Some(refused) = wrong_repository(&config, &repository) {
            return Ok(Err(refused));
        }
        let snapshots = repository.snapshots().await?;
        Ok(Ok(taken_stock(&repository.info().unique_id, &snapshots)))
    };
    match cancel.run_until_cancelled(reading).await {
        None => Err(Outcome::Stopped(None)),
        Some(Ok(read)) => read,
        Some(Err(e)) => Err(stoppable(cancel, failure(&config, &e)).await),
    }
}

fn taken_stock(repository: &str, snapshots: &Snapshots) -> Catalogue {
    let mut of_source: BTreeMap<&Source, Vec<&Snapshot>> = BTreeMap::new();
    for snapshot in snapshots.all() {
        of_source.entry(&snapshot.source).or_default().push(snapshot);
    }
    let named = |(source, mut own): (&Source, Vec<&Snapshot>)| {
        own.sort_by_key(|snapshot| snapshot.start);
        (one_line(&source.to_string(), 300), backups(&own))
    };
    Catalogue {
        repository: repository.to_owned(),
        sources: of_source.into_iter().map(named).collect(),
        doubt: snapshots.doubt(None).map(|doubt| one_line(&doubt.chain(), 300)),
    }
}

/// Counts the snapshots of one source, oldest first.
fn backups(own: &[&Snapshot]) -> Backups {
    let complete: Vec<&Snapshot> =
        own.iter().copied().filter(|s| s.incomplete.is_none() && s.root.is_some()).collect();
    let mut backups =
        Backups { complete: complete.len(), incomplete: own.len() - complete.len(), ..Backups::default() };
    if let Some(newest) = complete.last() {
        backups.newest = Some(Choice::of(newest));
        backups.ended = newest.end.to_string();
        backups.errors = Recorded::of(newest).count;
        // How long ago does not matter to whoever takes stock.
        backups.fuller =
            identity::shrunk(newest, own, newest.start.unix_nanos()).map(|shrunk| Choice::of(shrunk.good));
    }
    backups
}
