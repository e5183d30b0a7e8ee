//! Runs the mover's `check` outside of the cluster: what it would do with an application's own settings.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rekopia::{Cancel, Pace, Repository, human_size};

use crate::config;
use crate::env::Env;
use crate::findings::{Choice, Findings, Plan};
use crate::log::Log;
use crate::outcome::{LONGEST_LINE, Outcome};
use crate::outside;
use crate::run;
use crate::say::one_line;
use crate::scratch::Scratch;
use crate::secrets::Secrets;

/// Bytes of a text of a judgement at most.
const LONGEST: usize = 2000;

/// The volume that a restore would fill, taken to be empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Volume {
    /// The bytes that the volume can hold; `None`: not known, and nothing is said about room.
    pub capacity_bytes: Option<u64>,
}

/// The mover's judgement of an application's settings, in its own words.
///
/// No text holds a secret, a control character or a line break.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// The exit code of the restore job.
    pub exit_code: u8,
    /// The outcome's name: `restored`, `empty`, `near-miss`, `wrong-password`, …
    pub outcome: String,
    /// The verdict with its numbers or its remedy.
    pub message: String,
    /// The lines with which the mover's `check` would end its log, less the summary.
    pub lines: Vec<String>,
    /// Hex of the repository's unique ID; `None` when none was opened.
    pub repository: Option<String>,
    /// The identity whose snapshots are asked for: `user@host:/path`.
    pub identity: String,
    /// The snapshot that is chosen, also where it is refused then.
    pub snapshot: Option<Choice>,
    /// Other identities that the message names, the likeliest first.
    pub identities: Vec<String>,
    /// Warnings: what does not keep the restore from ending well, and should be known.
    pub warnings: Vec<String>,
    /// The needs of a restore of that snapshot; `None` where none would begin.
    pub plan: Option<Plan>,
}

/// Says what the mover would do with the variables of a restore job.
///
/// Opens the repository, read-only, chooses, and proves as the mover's `check` does, against an empty temporary folder in
/// place of the volume; the folder is removed. What does not fit into the volume is `destination`, exit 16. `variables` are
/// those of the job ([`job_variables`](crate::job_variables)), with contents in place of mounted files
/// ([`with_contents`](crate::with_contents)). What is only to be had inside the pod (a mounted folder or file, its own
/// identity towards the cloud, a program such as rclone) is `settings`, exit 2, with a sentence that says so. Nothing is
/// written to the process's streams.
///
/// Needs a runtime with I/O and time ([`rekopia::start_runtime`]). `cancel` ends it within moments (`stopped`, exit 143).
pub async fn check(variables: BTreeMap<String, String>, volume: &Volume, cancel: &Cancel) -> Judgement {
    judged(variables, volume, None, None, cancel).await
}

/// Says of several restores of one repository what [`check`](fn@check) says, and how long each would take
/// ([`Plan::estimate`]), as `pace` tells.
///
/// The repository is opened once, as the first of them reaches it. Volumes are taken to be as fast as memory, and the
/// machine to be like this one.
pub async fn plan(
    restores: Vec<(BTreeMap<String, String>, Volume)>,
    pace: Option<Pace>,
    cancel: &Cancel,
) -> Vec<Judgement> {
    let pace = pace.map(|pace| pace.disk(false));
    let opened = match restores.first() {
        Some((variables, _)) if restores.len() > 1 => opened(variables, cancel).await,
        _ => None,
    };
    let mut judgements = Vec::with_capacity(restores.len());
    for (variables, volume) in restores {
        judgements.push(judged(variables, &volume, pace, opened.as_ref(), cancel).await);
    }
    judgements
}

/// A repository, and how long it took to open.
type Opened = (Repository, Duration);

/// Opens the repository of these variables; `None`: each restore is to say itself why it cannot.
async fn opened(variables: &BTreeMap<String, String>, cancel: &Cancel) -> Option<Opened> {
    let scratch = outside::scratch().ok()?;
    let config = outside::config(variables, &scratch).ok()?;
    let (began, log) = (Instant::now(), Arc::new(Log::default()));
    let opened = cancel.run_until_cancelled(run::open(&config, &log, false)).await?;
    Some((opened.ok()?, began.elapsed()))
}

async fn judged(
    variables: BTreeMap<String, String>,
    volume: &Volume,
    pace: Option<Pace>,
    opened: Option<&Opened>,
    cancel: &Cancel,
) -> Judgement {
    let mut findings = Findings::default();
    let outcome = match outside::scratch() {
        // A mover's whole work: too large to lie in another future.
        Ok(scratch) => {
            Box::pin(in_scratch(&variables, &scratch, (volume, pace, opened), cancel, &mut findings)).await
        }
        Err(refused) => refused,
    };
    Judgement::of(&outcome, findings, variables)
}

async fn in_scratch(
    variables: &BTreeMap<String, String>,
    scratch: &Scratch,
    (volume, pace, opened): (&Volume, Option<Pace>, Option<&Opened>),
    cancel: &Cancel,
    findings: &mut Findings,
) -> Outcome {
    let mut config = match outside::config(variables, scratch) {
        Ok(config) => config,
        Err(refused) => return refused,
    };
    // Where zeros become holes, the recorded size says little about what is needed.
    let capacity = volume.capacity_bytes.filter(|_| !config.options.sparse);
    // The room in the temporary folder says nothing about the volume's: that way nobody asks for it.
    config.options.sparse = true;
    config.options.pace = pace;
    let outcome = match opened.filter(|_| !config.settings.salvage) {
        Some((repository, took)) => run::restore_opened(repository, &config, *took, cancel, findings).await,
        None => run::restore(&config, cancel, findings).await,
    };
    match (capacity, &findings.chosen) {
        (Some(capacity), Some(chosen)) if outcome.exit_code() == 0 => {
            lack_of_room(chosen, capacity).unwrap_or(outcome)
        }
        _ => outcome,
    }
}

/// Returns the outcome of a snapshot that does not fit.
fn lack_of_room(chosen: &Choice, capacity: u64) -> Option<Outcome> {
    if chosen.bytes <= capacity {
        return None;
    }
    let (mut needed, mut held) = (human_size(chosen.bytes), human_size(capacity));
    if needed == held {
        (needed, held) = (format!("{} bytes", chosen.bytes), format!("{capacity} bytes"));
    }
    let (id, start) = (&chosen.id, &chosen.start);
    let what = format!(
        "no space left: snapshot {id} of {start} holds {needed}, the volume has {held}; take a larger volume"
    );
    Some(Outcome::failed(16, "destination", what))
}

impl Judgement {
    /// Returns how the job ended in one line: outcome, exit code, why.
    pub fn sentence(&self) -> String {
        format!("{} (exit {}): {}", self.outcome, self.exit_code, self.message)
    }

    pub(crate) fn of(outcome: &Outcome, findings: Findings, variables: BTreeMap<String, String>) -> Self {
        let secrets = Secrets::of(&variables);
        // Hidden first: of a secret that is cut, a part would be left.
        let shown = |text: &str, most: usize| one_line(&secrets.hidden(text), most);
        let tidy = |text: &str| shown(text, LONGEST);
        let lines = outcome.lines("check");
        let verdict =
            lines.last().map_or("", |last| last.trim_start_matches("INFO: ").trim_start_matches("ERROR: "));
        let mut warnings = findings.warnings;
        if let Some(done) = outcome.done() {
            for warning in done.warnings.iter().chain(&done.report.warnings) {
                if !warnings.contains(warning) {
                    warnings.push(warning.clone());
                }
            }
        }
        Judgement {
            exit_code: outcome.exit_code(),
            outcome: outcome.name().to_owned(),
            message: tidy(outcome.message().unwrap_or(verdict)),
            lines: lines.iter().map(|line| shown(line, LONGEST_LINE)).collect(),
            repository: findings.repository,
            identity: tidy(&config::source(&Env::new(variables)).to_string()),
            snapshot: findings.chosen,
            identities: findings.identities.iter().map(|identity| tidy(identity)).collect(),
            warnings: warnings.iter().map(|warning| tidy(warning)).collect(),
            plan: outcome.done().and_then(|done| Plan::of(&done.report, &done.times.0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_said_with_both_sizes() {
        let chosen =
            Choice { id: "a1".into(), start: "2024-03-01T00:00:00Z".into(), files: 3, bytes: 5_900_000 };
        assert!(lack_of_room(&chosen, 5_900_000).is_none());
        let refused = lack_of_room(&chosen, 3_000_000).unwrap();
        let said = "no space left: snapshot a1 of 2024-03-01T00:00:00Z holds 5.9 MB, the volume has 3.0 MB; \
                    take a larger volume";
        assert_eq!((refused.exit_code(), refused.name(), refused.message()), (16, "destination", Some(said)));
        let closely = lack_of_room(&chosen, 5_899_999).unwrap();
        let said = closely.message().unwrap();
        assert!(said.contains("5900000 bytes") && said.contains("5899999 bytes"), "{said}");
    }
}
