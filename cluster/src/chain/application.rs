//! Puts together an application: its claim, and everything that has a part in filling it.

use std::collections::BTreeSet;

use super::index::Index;
use super::report::{Progress, Report, TakenFrom};
use crate::objects::{
    Claim, Deployment, Destination, Job, Kustomization, Object, Pod, Snapshot, Source, Volume,
};

/// Endings by which templates tell the name of a restore from the application's.
const ENDINGS: [&str; 4] = ["-dst", "-restore", "-bootstrap", "-destination"];

/// An application and the links of its chain, as far as they are there.
pub struct Application<'a> {
    /// The namespace that the application lives in.
    pub namespace: String,
    /// The claim's name, or what it would be.
    pub name: String,
    /// The Kustomization that brings the application's objects from Git.
    pub kustomization: Option<&'a Kustomization>,
    /// The claim that is to be filled.
    pub claim: Option<&'a Claim>,
    /// The `ReplicationDestination` that the claim names.
    pub wanted: Option<&'a str>,
    /// The restore that fills the claim.
    pub destination: Option<&'a Destination>,
    /// The backups of the claim.
    pub source: Option<&'a Source>,
    /// The temporary claim that the mover fills.
    pub temporary: Option<&'a Claim>,
    /// Other claims of the restore: its cache.
    pub caches: Vec<&'a Claim>,
    /// The newest Job of the restore.
    pub job: Option<&'a Job>,
    /// Pods of that Job, oldest first.
    pub movers: Vec<&'a Pod>,
    /// The snapshot of the restored volume: what `latestImage` names, else the newest that the restore has made.
    pub snapshot: Option<&'a Snapshot>,
    /// The claim through which the volume is made of the snapshot.
    pub prime: Option<&'a Claim>,
    /// The claim's volume.
    pub volume: Option<&'a Volume>,
    /// The application's own pods, oldest first.
    pub pods: Vec<&'a Pod>,
    /// The Deployments that make those pods.
    pub workloads: Vec<&'a Deployment>,
    /// A mover that somebody started by hand on the claim itself.
    pub by_hand: Option<&'a Pod>,
    /// The end of the running mover's log.
    pub log: Option<&'a str>,
}

impl<'a> Application<'a> {
    /// Finds all applications of a view, by namespace and name.
    #[must_use]
    pub fn all(index: &Index<'a>) -> Vec<Self> {
        let mut all: Vec<Self> = claims(index).into_iter().map(|claim| of_claim(index, claim)).collect();
        let served: BTreeSet<&str> =
            all.iter().filter_map(|app| Some(app.destination?.metadata.uid.as_str())).collect();
        let unserved = index.view.destinations.all().filter(|rd| !served.contains(rd.metadata.uid.as_str()));
        let more: Vec<Self> = unserved.map(|destination| of_destination(index, destination)).collect();
        all.extend(more);
        for app in &mut all {
            app.kustomization = kustomization(index, app);
        }
        all.extend(unapplied(index, &all));
        all.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
        all
    }

    fn named(namespace: &str, name: &str) -> Self {
        Application {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            kustomization: None,
            claim: None,
            wanted: None,
            destination: None,
            source: None,
            temporary: None,
            caches: Vec::new(),
            job: None,
            movers: Vec::new(),
            snapshot: None,
            prime: None,
            volume: None,
            pods: Vec::new(),
            workloads: Vec::new(),
            by_hand: None,
            log: None,
        }
    }

    /// Returns the newest pod of the restore that stays, else the newest.
    #[must_use]
    pub fn mover(&self) -> Option<&'a Pod> {
        let stays = |pod: &&&Pod| pod.metadata.deletion_timestamp.is_none();
        self.movers.iter().rfind(stays).or(self.movers.last()).copied()
    }

    /// Returns the application's pods that stay, oldest first.
    pub fn staying_pods(&self) -> impl DoubleEndedIterator<Item = &'a Pod> {
        self.pods.iter().copied().filter(|pod| pod.metadata.deletion_timestamp.is_none())
    }

    /// Returns the newest pod of the application that stays and has not ended.
    #[must_use]
    pub fn newest_pod(&self) -> Option<&'a Pod> {
        self.staying_pods().rfind(|pod| matches!(pod.status.phase.as_str(), "Pending" | "Running" | ""))
    }

    /// Returns how the newest mover that has ended did, and its pod. One that was deleted while it ran has nothing to
    /// report.
    #[must_use]
    pub fn report(&self) -> Option<(Report, &'a Pod)> {
        self.movers.iter().rev().find_map(|pod| {
            let report = Report::of(pod.ended()?);
            let was_deleted = pod.metadata.deletion_timestamp.is_some() && report.outcome.is_empty();
            (!was_deleted).then_some((report, *pod))
        })
    }

    /// Whether somebody has said that the claim was filled by hand.
    #[must_use]
    pub fn is_said_to_be_filled(&self) -> bool {
        let annotations = self.claim.map(|claim| &claim.metadata.annotations);
        annotations.and_then(|all| all.get("rekopia/filled")).is_some_and(|value| value == "by-hand")
    }

    /// Whether a mover that was started by hand has filled the claim.
    #[must_use]
    pub fn is_filled_by_hand(&self) -> bool {
        let Some(pod) = self.by_hand else {
            // The Job may be long gone. What lasts is what a person has said.
            return self.is_said_to_be_filled();
        };
        pod.ended()
            .map(Report::of)
            .is_some_and(|report| report.exit_code == 0 && report.outcome.starts_with("restored"))
    }

    /// Whether the claim's volume is known to come from a restore.
    #[must_use]
    pub fn is_populated(&self) -> bool {
        self.volume.and_then(Volume::populated_from).is_some()
    }

    /// Returns the snapshot of the repository that the volume was, or is being, taken from.
    #[must_use]
    pub fn taken_from(&self) -> Option<TakenFrom> {
        let reported = self.report().and_then(|(report, _)| TakenFrom::of_text(&report.snapshot));
        let by_hand = self.by_hand.and_then(Pod::ended);
        let by_hand = by_hand.and_then(|ended| TakenFrom::of_text(&Report::of(ended).snapshot));
        let kept =
            self.destination.and_then(|rd| rd.status.as_ref()).map(|s| s.latest_mover_status.logs.as_str());
        reported.or(by_hand).or_else(|| TakenFrom::of_log(self.log?)).or_else(|| TakenFrom::of_log(kept?))
    }

    /// Returns how far the running mover is.
    #[must_use]
    pub fn progress(&self) -> Option<Progress> {
        self.mover()?.running_since()?;
        Progress::of_log(self.log?)
    }

    /// Whether the restore found nothing to restore, and the volume began empty.
    #[must_use]
    pub fn began_empty(&self) -> bool {
        if let Some((report, _)) = self.report() {
            return report.is_empty();
        }
        let kept =
            self.destination.and_then(|rd| rd.status.as_ref()).map(|status| &status.latest_mover_status);
        kept.is_some_and(|kept| {
            kept.result == "Successful" && kept.logs.contains("No eligible snapshots found")
        })
    }

    /// Whether somebody who says this name means this application: the name of the claim, of its restore, of its
    /// backups or of its Kustomization.
    #[must_use]
    pub fn is_called(&self, name: &str) -> bool {
        let restore = self.destination.map(|rd| rd.metadata.name.as_str()).or(self.wanted);
        let source = self.source.map(|source| source.metadata.name.as_str());
        let kustomization = self.kustomization.map(|k| k.metadata.name.as_str());
        self.name == name || [restore, source, kustomization].contains(&Some(name))
    }
}

/// Returns claims that are an application's: filled by a restore, backed up, or named as a restore without a claim is.
fn claims<'a>(index: &Index<'a>) -> Vec<&'a Claim> {
    let view = index.view;
    let mut wanted: BTreeSet<(&str, &str)> = BTreeSet::new();
    let asked =
        view.claims.all().filter_map(|claim| Some((claim.metadata.namespace.as_str(), claim.destination()?)));
    let asked: BTreeSet<(&str, &str)> = asked.collect();
    for source in view.sources.all() {
        wanted.insert((&source.metadata.namespace, &source.spec.source_pvc));
    }
    for destination in view.destinations.all() {
        let (namespace, name) = (destination.metadata.namespace.as_str(), destination.metadata.name.as_str());
        if !asked.contains(&(namespace, name)) {
            wanted.insert((namespace, bare(name)));
        }
    }
    let is_one = |claim: &&Claim| {
        let meta = &claim.metadata;
        claim.destination().is_some() || wanted.contains(&(meta.namespace.as_str(), meta.name.as_str()))
    };
    view.claims.all().filter(is_one).collect()
}

/// Returns the application's name in the name of its restore.
fn bare(destination: &str) -> &str {
    ENDINGS.iter().find_map(|ending| destination.strip_suffix(ending)).unwrap_or(destination)
}

fn of_claim<'a>(index: &Index<'a>, claim: &'a Claim) -> Application<'a> {
    let view = index.view;
    let meta = &claim.metadata;
    let namespace = meta.namespace.as_str();
    let mut app = Application::named(namespace, &meta.name);
    app.claim = Some(claim);
    app.wanted = claim.destination();
    app.destination = match app.wanted {
        Some(name) => view.destinations.get(namespace, name),
        None => view.destinations.of(namespace).find(|rd| bare(&rd.metadata.name) == meta.name),
    };
    app.source = view.sources.of(namespace).find(|source| source.spec.source_pvc == meta.name);
    app.prime = view.claims.get(namespace, &format!("vs-prime-{}", meta.uid));
    app.volume = Some(claim.spec.volume_name.as_str())
        .filter(|name| !name.is_empty())
        .and_then(|name| view.volumes.get("", name));
    let (movers, mut pods): (Vec<&Pod>, Vec<&Pod>) =
        index.users_of(namespace, &meta.name).iter().partition(|pod| pod.metadata.owner("Job").is_some());
    pods.sort_by_key(|pod| pod.metadata.creation_timestamp);
    app.pods = pods;
    app.workloads = index.workloads_of(namespace, &meta.name).to_vec();
    // A check ends like a restore, and restores nothing.
    let restores =
        |pod: &&Pod| pod.main_spec().is_some_and(|spec| spec.args.iter().any(|arg| arg == "restore"));
    app.by_hand = movers.into_iter().filter(restores).max_by_key(|pod| pod.metadata.creation_timestamp);
    add_restore(index, &mut app);
    app
}

fn of_destination<'a>(index: &Index<'a>, destination: &'a Destination) -> Application<'a> {
    let meta = &destination.metadata;
    let mut app = Application::named(&meta.namespace, bare(&meta.name));
    app.destination = Some(destination);
    let named = app.name.clone();
    app.source = index.view.sources.of(&meta.namespace).find(|source| source.spec.source_pvc == named);
    add_restore(index, &mut app);
    app
}

/// Adds what the operator has made for a restore.
fn add_restore<'a>(index: &Index<'a>, app: &mut Application<'a>) {
    let Some(destination) = app.destination else { return };
    let (view, meta) = (index.view, &destination.metadata);
    let name = format!("volsync-{}-dest", meta.name);
    for claim in index.claims_of(&meta.uid) {
        if claim.metadata.name == name { app.temporary = Some(*claim) } else { app.caches.push(*claim) }
    }
    app.job = index.jobs_of(&meta.uid).last().copied();
    app.movers = app.job.map(|job| index.pods_of(&job.metadata.uid)).unwrap_or_default();
    if app.job.is_none() {
        // The Job goes a moment before its pods.
        let left = |pod: &&Pod| {
            pod.metadata.owner("Job").is_some()
                && pod.mounts(&name)
                && pod.metadata.deletion_timestamp.is_none()
        };
        app.movers = index.users_of(&meta.namespace, &name).iter().copied().filter(left).collect();
        app.movers.sort_by_key(|pod| pod.metadata.creation_timestamp);
    }
    let image = destination.status.as_ref().and_then(|status| status.latest_image.as_ref());
    app.snapshot = match image {
        Some(image) => view.snapshots.get(&meta.namespace, &image.name),
        None => {
            let own = view.snapshots.of(&meta.namespace).filter(|s| s.metadata.is_owned_by(&meta.uid));
            own.max_by_key(|snapshot| snapshot.metadata.creation_timestamp)
        }
    };
    let log = app.mover().and_then(|pod| view.logs.get(&format!("{}/{}", meta.namespace, pod.metadata.name)));
    app.log = log.map(String::as_str);
}

/// Returns the Kustomization that has applied an application, by the labels of its objects, else by its own inventory.
fn kustomization<'a>(index: &Index<'a>, app: &Application<'a>) -> Option<&'a Kustomization> {
    const NAME: &str = "kustomize.toolkit.fluxcd.io/name";
    const NAMESPACE: &str = "kustomize.toolkit.fluxcd.io/namespace";
    let kustomizations = &index.view.kustomizations;
    let metas = [
        app.claim.map(|claim| &claim.metadata),
        app.destination.map(|destination| &destination.metadata),
        app.source.map(|source| &source.metadata),
    ];
    let by_label = metas
        .into_iter()
        .flatten()
        .find_map(|meta| kustomizations.get(meta.labels.get(NAMESPACE)?, meta.labels.get(NAME)?));
    let entry = format!("{}_{}__{}", app.namespace, app.name, Claim::KIND.name);
    by_label
        .or_else(|| kustomizations.all().find(|k| k.status.inventory.entries.iter().any(|e| e.id == entry)))
}

/// Returns applications whose objects are not there, but of whose restores Kustomizations speak.
fn unapplied<'a>(index: &Index<'a>, all: &[Application<'a>]) -> Vec<Application<'a>> {
    let has_one = |k: &Kustomization| {
        all.iter().any(|app| app.kustomization.is_some_and(|one| one.metadata.uid == k.metadata.uid))
    };
    let speaks = |k: &Kustomization| {
        k.spec.post_build.substitute.keys().any(|key| key.starts_with("VOLSYNC_"))
            || k.spec.components.iter().any(|path| path.contains("volsync"))
    };
    let missing = index.view.kustomizations.all().filter(|k| speaks(k) && !has_one(k));
    let missing = missing.map(|k| {
        let name = k.variable("VOLSYNC_CLAIM").or_else(|| k.variable("APP")).unwrap_or(&k.metadata.name);
        let namespace =
            if k.spec.target_namespace.is_empty() { &k.metadata.namespace } else { &k.spec.target_namespace };
        let mut app = Application::named(namespace, name);
        app.kustomization = Some(k);
        app
    });
    missing.filter(|app| !all.iter().any(|a| a.namespace == app.namespace && a.name == app.name)).collect()
}
