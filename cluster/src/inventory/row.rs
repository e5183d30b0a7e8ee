//! Makes a row for each application that Git or the cluster knows.

use std::collections::{BTreeMap, BTreeSet};

use rekopia_mover::{Backups, Destination as Restore, backup_identity, job_variables, restore_identity};

use crate::chain::{Application, Index};
use crate::findings::{Diagnosis, Phase, Verdict};
use crate::objects::{Destination, Object, Source};
use crate::view::View;

/// The sides from which applications may be known; what is none was not looked at.
#[derive(Clone, Copy, Default)]
pub struct Sides<'a> {
    /// The objects that Git configures.
    pub git: Option<&'a Index<'a>>,
    /// The objects that the cluster has, and how it does.
    pub cluster: Option<(&'a View, &'a [Diagnosis<'a>])>,
    /// Whether Git's word counts where both know an application: it is what a rebuilt cluster gets.
    pub git_first: bool,
}

/// A row of the inventory: an application.
pub struct Row<'a> {
    /// The namespace that the application lives in.
    pub namespace: String,
    /// The claim's name.
    pub name: String,
    /// Whether this is another backup of a claim that has a row already: nothing is said about its restore.
    pub is_second: bool,
    /// Whether Git configures the application; none: not known.
    pub in_git: Option<bool>,
    /// Whether the cluster has the application; none: not known.
    pub in_cluster: Option<bool>,
    /// The points in which Git and cluster differ about the application.
    pub drift: Vec<&'static str>,
    /// The phase of the application's restore in the cluster.
    pub phase: Option<Phase>,
    /// Whether the restore is broken there.
    pub is_broken: bool,
    /// The restore that its claim names, and waits for.
    pub wanted: Option<&'a str>,
    /// The restore of the application.
    pub destination: Option<&'a Destination>,
    /// The backups of the application.
    pub source: Option<&'a Source>,
    /// Whether a restore, or a backup, would have been seen if there were one.
    pub sees: Sees,
    /// The size that the claim asks for, as a quantity.
    pub capacity: Option<&'a str>,
    /// The identity under which the application is backed up: `user@host:/path`.
    pub backs_up: Option<String>,
    /// The identity whose snapshots the application restores, or why the operator refuses to.
    pub restores: Option<Result<String, String>>,
    /// The snapshots that the application's repository holds of it.
    pub held: Held,
    /// The repository that the application restores from, where that is another one.
    pub restored_from: Option<String>,
}

/// The kinds of objects that would have been seen.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sees {
    /// Whether restores would have been seen.
    pub destinations: bool,
    /// Whether backups would have been seen.
    pub sources: bool,
}

/// The snapshots that a repository holds of an application.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Held {
    /// The repository was not looked at.
    #[default]
    NotAsked,
    /// The repository could not be looked at: why.
    Unknown(String),
    /// The repository was looked at: its unique ID, and the snapshots under the application's identity.
    Known(String, Backups),
}

impl Row<'_> {
    /// Returns the identity that counts: of the application's backups, else of its restore.
    #[must_use]
    pub fn identity(&self) -> Option<&str> {
        self.backs_up.as_deref().or(self.restored_identity())
    }

    /// Returns the identity whose snapshots the application restores.
    #[must_use]
    pub fn restored_identity(&self) -> Option<&str> {
        self.restores.as_ref()?.as_deref().ok()
    }

    /// Returns the cron line of its backups.
    #[must_use]
    pub fn schedule(&self) -> Option<&str> {
        self.source?.spec.trigger.schedule.as_deref().filter(|schedule| !schedule.is_empty())
    }

    /// Returns the application's snapshots, where they are known.
    #[must_use]
    pub fn backups(&self) -> Option<&Backups> {
        match &self.held {
            Held::Known(_, backups) => Some(backups),
            _ => None,
        }
    }
}

/// The facts that one side knows of an application.
#[derive(Clone, Copy, Default)]
struct Found<'a> {
    phase: Option<Phase>,
    is_broken: bool,
    is_bound: bool,
    wanted: Option<&'a str>,
    destination: Option<&'a Destination>,
    source: Option<&'a Source>,
    capacity: Option<&'a str>,
}

/// Namespace, claim, and of a second backup its own name.
type Key<'a> = (String, String, Option<&'a str>);
/// What Git knows, and what the cluster knows.
type Both<'a> = BTreeMap<Key<'a>, [Option<Found<'a>>; 2]>;

const GIT: usize = 0;
const CLUSTER: usize = 1;

/// Returns all applications that Git or the cluster knows, by namespace and name.
#[must_use]
pub fn collect<'a>(sides: Sides<'a>) -> Vec<Row<'a>> {
    let mut both = Both::new();
    if let Some((view, all)) = sides.cluster {
        for one in all {
            let broken = one.verdict() == Verdict::Broken;
            let found = Found { phase: Some(one.phase), is_broken: broken, ..Found::of(&one.app) };
            put(&mut both, CLUSTER, &one.app, found);
        }
        put_others(&mut both, CLUSTER, view, all.iter().map(|one| &one.app));
    }
    if let Some(index) = sides.git {
        let all = Application::all(index);
        for app in &all {
            put(&mut both, GIT, app, Found::of(app));
        }
        put_others(&mut both, GIT, index.view, all.iter());
    }
    both.into_iter().map(|(key, found)| row(sides, key, found)).collect()
}

impl<'a> Found<'a> {
    fn of(app: &Application<'a>) -> Self {
        Found {
            is_bound: app.claim.is_some_and(|claim| claim.is_bound()),
            wanted: app.wanted,
            destination: app.destination.filter(|destination| destination.spec.kopia.is_some()),
            source: app.source.filter(|source| source.is_kopia()),
            capacity: app.claim.and_then(|claim| claim.request()),
            ..Found::default()
        }
    }
}

/// Takes an application that is more than a Kustomization whose objects have not come.
fn put<'a>(both: &mut Both<'a>, side: usize, app: &Application<'a>, found: Found<'a>) {
    if found.destination.is_some() || found.source.is_some() || found.wanted.is_some() {
        both.entry((app.namespace.clone(), app.name.clone(), None)).or_default()[side] = Some(found);
    }
}

/// Takes backups that no application has: of claims that somebody else makes (a Helm chart), and second ones.
fn put_others<'s, 'a: 's>(
    both: &mut Both<'a>,
    side: usize,
    view: &'a View,
    all: impl Iterator<Item = &'s Application<'a>>,
) {
    let names = |source: &'a Source| (source.metadata.namespace.as_str(), source.metadata.name.as_str());
    let theirs: BTreeSet<_> = all.filter_map(|app| app.source).map(names).collect();
    let others = view.sources.all().filter(|source| source.is_kopia() && !theirs.contains(&names(source)));
    for source in others {
        let (namespace, name) = names(source);
        // Where a template forgot the claim, the backups' own name.
        let claim = Some(source.spec.source_pvc.as_str()).filter(|claim| !claim.is_empty()).unwrap_or(name);
        let first = (namespace.to_owned(), claim.to_owned(), None);
        let is_second = both.get(&first).is_some_and(|known| known[side].is_some_and(|f| f.source.is_some()));
        let key = (first.0, first.1, is_second.then_some(name));
        let found = both.entry(key).or_default()[side].get_or_insert_default();
        found.source = Some(source);
    }
}

fn row<'a>(sides: Sides<'a>, key: Key<'a>, found: [Option<Found<'a>>; 2]) -> Row<'a> {
    let view = sides.cluster.map(|(view, _)| view);
    let sees = |kind| view.is_some_and(|view| view.sees(kind)) || found[GIT].is_some();
    let knows_cluster = view.is_some_and(|view| {
        [Source::KIND, Destination::KIND, crate::objects::Claim::KIND].into_iter().all(|kind| view.sees(kind))
    });
    let is_in = |side: usize, known: bool| match found[side] {
        Some(_) => Some(true),
        None => known.then_some(false),
    };
    let [first, other] = match sides.git_first {
        true => [found[GIT], found[CLUSTER]],
        false => [found[CLUSTER], found[GIT]],
    }
    .map(Option::unwrap_or_default);
    let destination = first.destination.or(other.destination);
    let source = first.source.or(other.source);
    let is_bound = found[CLUSTER].is_some_and(|found| found.is_bound);
    Row {
        is_second: key.2.is_some(),
        namespace: key.0,
        name: key.1,
        in_git: is_in(GIT, sides.git.is_some()),
        in_cluster: is_in(CLUSTER, knows_cluster),
        drift: drift(&found),
        phase: found[CLUSTER].and_then(|found| found.phase),
        is_broken: found[CLUSTER].is_some_and(|found| found.is_broken),
        // A claim that has its volume waits for nothing any more.
        wanted: first.wanted.or(other.wanted).filter(|_| !is_bound),
        destination,
        source,
        sees: Sees { destinations: sees(Destination::KIND), sources: sees(Source::KIND) },
        capacity: first.capacity.or(other.capacity),
        backs_up: source.map(backed_up),
        restores: destination.map(|destination| restored(destination, source)),
        held: Held::NotAsked,
        restored_from: None,
    }
}

/// Returns in what Git and cluster differ.
fn drift(found: &[Option<Found<'_>>; 2]) -> Vec<&'static str> {
    let [Some(git), Some(cluster)] = found else { return Vec::new() };
    let mut drift = Vec::new();
    let mut check = |what, differs: bool| {
        if differs {
            drift.push(what);
        }
    };
    check("size of the claim", git.capacity.is_some() && git.capacity != cluster.capacity);
    if let (Some(git), Some(cluster)) = (git.source, cluster.source) {
        let repository = |source: &Source| source.spec.kopia["repository"].clone();
        check("identity of the backups", backed_up(git) != backed_up(cluster));
        check("repository of the backups", repository(git) != repository(cluster));
        check("schedule", git.spec.trigger.schedule != cluster.spec.trigger.schedule);
    }
    let restores = |found: &Found<'_>| found.destination.map(|one| restored(one, found.source));
    if let (Some(one), Some(other)) = (git.destination, cluster.destination) {
        let repository = |of: &Destination| of.spec.kopia.as_ref().map(|kopia| kopia.repository.clone());
        check("identity of the restore", restores(git) != restores(cluster));
        check("repository of the restore", repository(one) != repository(other));
    }
    drift
}

fn backed_up(source: &Source) -> String {
    backup_identity(&source.metadata.namespace, &source.metadata.name, &source.spec.kopia)
}

fn restored(destination: &Destination, source: Option<&Source>) -> Result<String, String> {
    let kopia = destination.spec.kopia.as_ref().ok_or("it restores from no Kopia repository")?;
    let meta = &destination.metadata;
    let restore = Restore::new(&meta.namespace, &meta.name, &kopia.raw)?;
    let restore = match source.filter(|_| restore.source().is_some()) {
        Some(source) => restore.with_source(&source.spec.kopia),
        None => restore,
    };
    Ok(restore_identity(&job_variables(&restore, &BTreeMap::new())))
}
