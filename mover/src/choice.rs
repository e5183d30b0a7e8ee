//! Chooses the snapshot that was asked for, or says why there is none.

use rekopia::{Repository, Selection, Snapshot, Snapshots, Source};

use crate::config::Config;
use crate::findings::{Choice, Findings};
use crate::identity;
use crate::outcome::Outcome;
use crate::recorded::Recorded;
use crate::say::{one_line, say};

/// The difference, in nanoseconds, that clocks of several machines may have.
const CLOCKS_DIFFER: i64 = 5 * 60 * 1_000_000_000;

/// Identities of the same host or user that are named.
const RELATED: usize = 5;

/// Chooses the snapshot to restore, or says why there is none. `warnings` are told with the outcome.
pub(crate) fn choose<'a>(
    config: &Config,
    selection: &Selection,
    repository: &Repository,
    snapshots: &'a Snapshots,
    warnings: &mut Vec<String>,
    findings: &mut Findings,
) -> Result<&'a Snapshot, Box<Outcome>> {
    findings.chosen = None;
    let source = &config.source;
    let own = snapshots.of_source(source);
    let unique = &repository.info().unique_id;
    if own.is_empty() {
        return Err(Box::new(nothing(config, snapshots, unique, &mut findings.identities)));
    }
    let passed_over = selection.passed_over.clone();
    let newest = Selection::default().passed_over(passed_over).choose(&own);
    let Some(chosen) = selection.choose(&own) else {
        return Err(Box::new(no_match(source, &own)));
    };
    findings.chosen = Some(Choice::of(chosen));
    for skipped in own.iter().filter(|s| s.start > chosen.start && s.incomplete.is_some()) {
        let why = skipped.incomplete.as_deref().unwrap_or_default();
        let (why, when) = (one_line(why, 100), skipped.start.to_string());
        let what = format!("skipping the incomplete snapshot {} of {when} ({why})", skipped.id);
        say(&format!("WARN: {what}"));
        findings.warnings.push(what);
    }
    let now = rekopia::now().unix_nanos();
    if chosen.start.unix_nanos() > now.saturating_add(CLOCKS_DIFFER) {
        let when = chosen.start.to_string();
        warnings
            .push(format!("snapshot {} is dated in the future, {when}: a clock was or is wrong", chosen.id));
    }
    warnings.extend(recorded_errors(config, chosen)?);
    if !config.chosen_by_user
        && newest.is_some_and(|n| n.id == chosen.id)
        && let Some(shrunk) = identity::shrunk(chosen, &own, now)
    {
        let instant = shrunk.good.start.to_string();
        let what = format!(
            "snapshot {} of {} has lost most of what {} of {instant} had",
            chosen.id, chosen.start, shrunk.good.id
        );
        if shrunk.recent && !config.settings.accept_shrunk {
            let what = format!(
                "{what}; to restore the earlier one set restoreAsOf: {instant}, \
                 to take the newest set onShrunk: restore"
            );
            return Err(Box::new(Outcome::failed(18, "refused-shrunk", what)));
        }
        warnings.push(what);
    }
    Ok(chosen)
}

/// Returns why none of the snapshots of this source is the one that was asked for.
fn no_match(source: &Source, own: &[&Snapshot]) -> Outcome {
    let complete = own.iter().filter(|s| s.incomplete.is_none() && s.root.is_some()).count();
    if own.iter().all(|s| s.incomplete.is_some()) {
        let what = format!(
            "no complete snapshot of {source}: {} incomplete, left by backups that did not end; \
             let a backup end",
            own.len()
        );
        return Outcome::failed(13, "no-such-snapshot", what);
    }
    let oldest = own.first().map_or_else(String::new, |s| s.start.to_string());
    let what = format!(
        "no snapshot of {source} matches: {complete} complete of {} exist, the oldest of {oldest}; \
         correct restoreAsOf or previous",
        own.len()
    );
    Outcome::failed(13, "no-such-snapshot", what)
}

/// Returns a warning of the errors that a snapshot recorded; a refusal, where the settings accept none.
fn recorded_errors(config: &Config, chosen: &Snapshot) -> Result<Option<String>, Box<Outcome>> {
    let recorded = Recorded::of(chosen);
    if recorded.count == 0 {
        return Ok(None);
    }
    let named = recorded.paths.iter().map(|path| one_line(path, 40)).collect::<Vec<_>>().join(", ");
    let named = if named.is_empty() { named } else { format!(": {named}") };
    let what = format!(
        "snapshot {} of {} recorded {} errors when it was taken{named}",
        chosen.id, chosen.start, recorded.count
    );
    for line in &recorded.lines {
        say(&format!("INFO: the snapshot recorded: {line}"));
    }
    if config.settings.refuse_errors {
        let remedy = "set restoreAsOf to take an earlier one, or onErrors: warn to take it as it is";
        return Err(Box::new(Outcome::failed(18, "refused-errors", format!("{what}; {remedy}"))));
    }
    Ok(Some(what))
}

/// Judges a healthy repository without this identity: right for a new application, unless somebody else may be meant.
/// `named` gets the identities that the message names.
fn nothing(config: &Config, snapshots: &Snapshots, unique: &str, named: &mut Vec<String>) -> Outcome {
    let source = &config.source;
    let misses = identity::misses(snapshots.all(), source);
    let mut meant: Vec<&Snapshot> = misses.near;
    meant.extend(misses.orphaned);
    let listed = |snapshot: &&Snapshot| {
        let time = jiff::Timestamp::from_nanosecond(snapshot.end.unix_nanos().into()).unwrap_or_default();
        one_line(&format!("{} {}", snapshot.source, time.strftime("%Y-%m-%d %H:%M:%S")), 120)
    };
    if !meant.is_empty() && !config.settings.ignore_near_miss {
        meant.sort_by_key(|s| s.start);
        let from = meant.len().saturating_sub(4);
        let mut details: Vec<String> = meant[from..].iter().map(listed).collect();
        details.push(format!("No snapshots found for {source}"));
        named.extend(meant[from..].iter().rev().map(|s| one_line(&s.source.to_string(), 300)));
        let best = &meant[meant.len() - 1].source;
        let short = |source: &Source| one_line(&source.to_string(), 100);
        let message = format!(
            "nothing of {} in repository {unique}, but {} exists; set sourceIdentity \
             (sourceName {:?}, sourceNamespace {:?}, sourcePathOverride {:?}), or for a new application \
             onNearMiss: continue",
            short(source),
            short(best),
            one_line(&best.user, 60),
            one_line(&best.host, 60),
            one_line(&best.path, 120)
        );
        return Outcome::Failed { code: 13, name: "near-miss", message, details, done: None };
    }
    if config.chosen_by_user {
        let what = format!(
            "nothing of {source} in repository {unique}, although restoreAsOf or previous asks for it"
        );
        return Outcome::failed(13, "no-such-snapshot", what);
    }
    let own = one_line(&source.to_string(), 200);
    say(&format!("INFO: No snapshots found for {own}"));
    let mut message = format!("nothing of {own} in repository {unique}");
    if config.settings.fail_when_empty {
        return Outcome::failed(13, "empty", format!("{message}, and onEmpty is fail"));
    }
    if let Some(other) = misses.elsewhere.first() {
        let other = one_line(&other.source.to_string(), 200);
        named.push(other.clone());
        message.push_str(&format!("; the same name makes backups as {other}"));
    }
    let related = identity::related(snapshots.all(), source);
    if !related.is_empty() {
        let first = || related.iter().take(RELATED).map(ToString::to_string);
        let shown: Vec<String> = first().map(|source| one_line(&source, 60)).collect();
        let more = if related.len() > RELATED { ", …" } else { "" };
        message.push_str(&format!("; of the same host or user there are {}{more}", shown.join(", ")));
        for source in first().map(|source| one_line(&source, 300)) {
            if !named.contains(&source) {
                named.push(source);
            }
        }
    }
    Outcome::Empty { message }
}
