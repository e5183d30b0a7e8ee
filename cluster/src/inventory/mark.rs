//! Marks what is wrong with a row.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use rekopia_mover::{Backups, Catalogue};

use super::due::stale_from;
use super::row::{Held, Row};
use crate::findings::{age, bytes_of};
use crate::objects::Destination;

/// A remark on an application for a person who takes stock.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    /// The application's restore in the cluster is broken: the phase.
    Broken(&'static str),
    /// The application is backed up, and nothing would restore it.
    NoRestore,
    /// The restore that the claim names is not there: the claim would wait for ever.
    LostRestore(String),
    /// The application's restore cannot work: why.
    Refused(String),
    /// The application's restore is held: a rebuilt cluster would start it empty, or not at all.
    RestorePaused,
    /// The application's restore takes another snapshot than the newest: `restoreAsOf` or `previous`, as they stand
    /// there.
    Pinned(String),
    /// The application is restored, and nothing backs it up.
    NoBackup,
    /// Git configures the application, and the cluster does not have it.
    Missing,
    /// The cluster has the application, and Git does not configure it.
    NotInGit,
    /// Git and cluster differ about the application: in what.
    Drift(Vec<&'static str>),
    /// The application would restore what somebody else backs up: both identities.
    OtherIdentity(String, String),
    /// The application would restore from another repository than it is backed up to: both.
    OtherRepository(String, String),
    /// Another application is backed up under the same identity: its name.
    SharedIdentity(String),
    /// The application's repository has no snapshot of it.
    NeverBackedUp,
    /// All snapshots of the application were left by backups that did not end.
    OnlyIncomplete,
    /// The application's newest snapshot is this old.
    Stale(String),
    /// The application's newest snapshot has no files.
    Empty,
    /// The application's newest snapshot lost most of what an older one has: when that was taken, and its ID.
    Shrunk(String, String),
    /// The application's newest snapshot recorded errors: how many.
    Errors(u64),
    /// The application's backups have no schedule: somebody starts them.
    NoSchedule,
    /// The application's schedule cannot be understood: nobody knows when backups are due.
    UnknownSchedule(String),
    /// The application's backups are held.
    Paused,
    /// A newer snapshot may be hidden: a part of the repository's index cannot be read.
    Doubt,
}

/// An identity that a repository has snapshots of, and no application has.
#[derive(Debug, Clone, PartialEq)]
pub struct Orphan {
    /// The repository's unique ID.
    pub repository: String,
    /// The identity: `user@host:/path`.
    pub identity: String,
    /// The snapshots of the identity.
    pub backups: Backups,
}

impl Mark {
    /// Returns the remark's name for programs.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Mark::Broken(_) => "broken",
            Mark::NoRestore => "no-restore",
            Mark::LostRestore(_) => "lost-restore",
            Mark::Refused(_) => "refused",
            Mark::RestorePaused => "restore-paused",
            Mark::Pinned(_) => "pinned",
            Mark::NoBackup => "no-backup",
            Mark::Missing => "missing",
            Mark::NotInGit => "not-in-git",
            Mark::Drift(_) => "drift",
            Mark::OtherIdentity(..) => "other-identity",
            Mark::OtherRepository(..) => "other-repository",
            Mark::SharedIdentity(_) => "shared-identity",
            Mark::NeverBackedUp => "never-backed-up",
            Mark::OnlyIncomplete => "only-incomplete",
            Mark::Stale(_) => "stale",
            Mark::Empty => "empty",
            Mark::Shrunk(..) => "shrunk",
            Mark::Errors(_) => "errors",
            Mark::NoSchedule => "no-schedule",
            Mark::UnknownSchedule(_) => "unknown-schedule",
            Mark::Paused => "paused",
            Mark::Doubt => "doubt",
        }
    }

    /// Returns the remark for a person, in some words.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Mark::Broken(phase) => format!("its restore is broken ({phase}): see doctor"),
            Mark::NoRestore => "no restore configured".into(),
            Mark::Refused(why) => format!("its restore cannot work: {why}"),
            Mark::RestorePaused => "its restore is paused".into(),
            Mark::Pinned(what) => format!("restores {what}, not the newest"),
            Mark::LostRestore(name) => format!("the claim waits for {name}, which is not there"),
            Mark::NoBackup => "no backup configured".into(),
            Mark::Missing => "missing in the cluster".into(),
            Mark::NotInGit => "not in Git".into(),
            Mark::Drift(what) => format!("Git and cluster differ: {}", what.join(", ")),
            Mark::OtherRepository(restores, backs_up) => {
                format!("restores from repository {restores}, backs up to {backs_up}")
            }
            Mark::SharedIdentity(other) => format!("backed up under one identity with {other}"),
            Mark::OtherIdentity(restores, backs_up) => format!("restores {restores}, backs up {backs_up}"),
            Mark::NeverBackedUp => "never backed up".into(),
            Mark::OnlyIncomplete => "no complete backup".into(),
            Mark::Stale(age) => format!("stale, {age} old"),
            Mark::Empty => "empty".into(),
            Mark::Shrunk(when, _) => format!("shrunk since {}", when.get(..10).unwrap_or(when)),
            Mark::Errors(1) => "1 error in the backup".into(),
            Mark::Errors(n) => format!("{n} errors in the backup"),
            Mark::NoSchedule => "no schedule".into(),
            Mark::UnknownSchedule(schedule) => format!("schedule not understood: {schedule}"),
            Mark::Paused => "backups paused".into(),
            Mark::Doubt => "a newer backup may be hidden".into(),
        }
    }
}

/// Says of each row what is wrong with it, and which identities of the repositories belong to none; with a
/// `namespace`, only those of that one can be looked for.
#[must_use]
pub fn judge(
    rows: &[Row<'_>],
    catalogues: &[Catalogue],
    namespace: Option<&str>,
    now: Timestamp,
) -> (Vec<Vec<Mark>>, Vec<Orphan>) {
    let doubtful: BTreeSet<&str> =
        catalogues.iter().filter(|c| c.doubt.is_some()).map(|c| c.repository.as_str()).collect();
    let users = users(rows);
    let marks = rows.iter().map(|row| marks(row, &users, &doubtful, now)).collect();
    let known: BTreeSet<&str> =
        rows.iter().flat_map(|row| [row.backs_up.as_deref(), row.restored_identity()]).flatten().collect();
    let is_ours = |identity: &str| namespace.is_none_or(|ns| host(identity) == Some(ns));
    let mut orphans: Vec<Orphan> = Vec::new();
    for catalogue in catalogues {
        let unknown = catalogue.sources.iter().filter(|(identity, _)| !known.contains(identity.as_str()));
        for (identity, backups) in unknown.filter(|(identity, _)| is_ours(identity)) {
            orphans.push(Orphan {
                repository: catalogue.repository.clone(),
                identity: identity.clone(),
                backups: backups.clone(),
            });
        }
    }
    (marks, orphans)
}

/// Returns the host of an identity: for VolSync the namespace.
fn host(identity: &str) -> Option<&str> {
    identity.split_once('@')?.1.split_once(':').map(|(host, _)| host)
}

/// Rows that are backed up under one identity, by repository where that is known.
type Users<'a> = BTreeMap<(Option<&'a str>, &'a str), Vec<&'a Row<'a>>>;

fn users<'a>(rows: &'a [Row<'a>]) -> Users<'a> {
    let mut users = Users::new();
    for row in rows {
        if let Some(identity) = &row.backs_up {
            users.entry((repository(row), identity.as_str())).or_default().push(row);
        }
    }
    users
}

fn repository<'a>(row: &'a Row<'_>) -> Option<&'a str> {
    match &row.held {
        Held::Known(repository, _) => Some(repository),
        _ => None,
    }
}

fn marks(row: &Row<'_>, users: &Users<'_>, doubtful: &BTreeSet<&str>, now: Timestamp) -> Vec<Mark> {
    let mut marks = Vec::new();
    if row.in_cluster == Some(false) && row.in_git == Some(true) {
        marks.push(Mark::Missing);
    }
    if row.in_git == Some(false) && row.in_cluster == Some(true) {
        marks.push(Mark::NotInGit);
    }
    if !row.drift.is_empty() {
        marks.push(Mark::Drift(row.drift.clone()));
    }
    if !row.is_second {
        marks.extend(of_restore(row));
    }
    // Where backups could not be seen their absence means nothing.
    if row.sees.sources && row.source.is_none() {
        marks.push(Mark::NoBackup);
    }
    if row.source.is_some_and(|source| source.spec.paused) {
        marks.push(Mark::Paused);
    }
    let alike = row.backs_up.as_deref().and_then(|identity| users.get(&(repository(row), identity)));
    let other = alike.into_iter().flatten().find(|other| !std::ptr::eq(**other, row));
    if let Some(other) = other {
        marks.push(Mark::SharedIdentity(format!("{}/{}", other.namespace, other.name)));
    }
    if let Held::Known(repository, backups) = &row.held {
        if doubtful.contains(repository.as_str()) {
            marks.push(Mark::Doubt);
        }
        marks.extend(of_backups(row, backups, now));
    }
    marks
}

fn of_restore(row: &Row<'_>) -> Vec<Mark> {
    let mut marks = Vec::new();
    if row.is_broken {
        marks.push(Mark::Broken(row.phase.map_or("", |phase| phase.name())));
    }
    let Some(destination) = row.destination else {
        if row.sees.destinations {
            marks.push(row.wanted.map_or(Mark::NoRestore, |name| Mark::LostRestore(name.to_owned())));
        }
        return marks;
    };
    if let Some(why) = impossible(row, destination) {
        marks.push(Mark::Refused(why));
    }
    if destination.spec.paused {
        marks.push(Mark::RestorePaused);
    }
    let raw = destination.spec.kopia.as_ref().map(|kopia| &kopia.raw);
    for field in ["restoreAsOf", "previous"] {
        let value = raw.map(|raw| &raw[field]).filter(|value| !value.is_null());
        let said = value.map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        if let Some(said) = said.filter(|said| !said.is_empty() && said != "0") {
            marks.push(Mark::Pinned(format!("{field} {said}")));
        }
    }
    if let (Some(restores), Some(backs_up)) = (row.restored_identity(), &row.backs_up)
        && restores != backs_up
    {
        marks.push(Mark::OtherIdentity(restores.to_owned(), backs_up.clone()));
    }
    if let (Some(from), Some(to)) = (&row.restored_from, repository(row)) {
        marks.push(Mark::OtherRepository(from.clone(), to.to_owned()));
    }
    marks
}

/// Returns why a restore never fills its claim, by its settings alone (cluster-objects §5, §6).
fn impossible(row: &Row<'_>, destination: &Destination) -> Option<String> {
    if let Some(Err(why)) = &row.restores {
        return Some(why.clone());
    }
    let kopia = destination.spec.kopia.as_ref()?;
    match kopia.copy_method.as_deref() {
        Some("Direct" | "None") if row.wanted.is_some() => {
            return Some("copyMethod Direct leaves no snapshot that a claim could be filled from".into());
        }
        Some("Clone") => return Some("copyMethod Clone is none of a restore".into()),
        _ => {}
    }
    let (claim, copy) = (bytes_of(row.capacity?)?, bytes_of(kopia.capacity.as_deref()?)?);
    let (asked, given) = (row.capacity?, kopia.capacity.as_deref()?);
    (claim < copy).then(|| format!("the claim asks for {asked}, less than the {given} that are restored"))
}

fn of_backups(row: &Row<'_>, backups: &Backups, now: Timestamp) -> Vec<Mark> {
    let Some(newest) = &backups.newest else {
        return vec![if backups.incomplete > 0 { Mark::OnlyIncomplete } else { Mark::NeverBackedUp }];
    };
    let mut marks = Vec::new();
    if row.source.is_some() && row.schedule().is_none() {
        marks.push(Mark::NoSchedule);
    }
    if let (Some(schedule), Ok(start)) = (row.schedule(), newest.start.parse::<Timestamp>()) {
        match stale_from(schedule, start) {
            Some(from) if now > from => marks.push(Mark::Stale(age(now, start))),
            Some(_) => {}
            None => marks.push(Mark::UnknownSchedule(schedule.to_owned())),
        }
    }
    if newest.files == 0 {
        marks.push(Mark::Empty);
    }
    if let Some(fuller) = &backups.fuller {
        marks.push(Mark::Shrunk(fuller.start.clone(), fuller.id.clone()));
    }
    if backups.errors > 0 {
        marks.push(Mark::Errors(backups.errors));
    }
    marks
}
