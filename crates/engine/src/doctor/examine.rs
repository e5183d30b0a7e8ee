//! Opens a repository as far as it can be opened, and puts together what was found.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use rekopia_blob::{BlobErrorKind, BlobId, BlobReader};
use rekopia_format::format_blob::FormatBlob;
use rekopia_format::snapshot::{Snapshot, Source};
use serde::Serialize;

use super::blobs::Listed;
use super::finding::{Finding, FindingKind};
use crate::error::{Error, ErrorKind, Result};
use crate::observer::{Event, Observer, Phase, Progress, Silent};
use crate::repository::listed_packs::ListedPacks;
use crate::repository::trees::{Missing, Trees};
use crate::repository::{OpenOptions, Password, Repository};
use crate::zone::now;

/// How thoroughly a repository is examined.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ExaminationOptions {
    /// How the repository is opened; salvage is tried where nothing else opens it.
    pub open: OpenOptions,
    /// Whether the ends of all packs are read, too.
    pub deep: bool,
}

impl ExaminationOptions {
    rekopia_blob::setters! {
        open: OpenOptions,
        deep: bool,
    }
}

/// The state that a repository is in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Examination {
    /// Everything that is wrong.
    pub findings: Vec<Finding>,
    /// Hex of the unique ID; empty when the repository cannot be opened.
    pub repository: String,
    /// Format version, 1…3; 0 when the repository cannot be opened. In JSON `formatVersion`.
    #[serde(rename = "formatVersion")]
    pub version: u32,
    /// Whether index blobs are organised in epochs.
    pub epochs: bool,
    /// Number of blobs of each family.
    pub blobs: BTreeMap<&'static str, u64>,
    /// Bytes of all blobs.
    pub bytes: u64,
    /// Number of contents in the index.
    pub contents: u64,
    /// Number of packs that no index blob names: usual while a backup runs, or after one was interrupted.
    pub unindexed_packs: u64,
    /// Number of snapshots of which everything is there.
    pub whole_snapshots: u64,
    /// Number of snapshots of which something is missing.
    pub damaged_snapshots: u64,
    /// Number of snapshots whose manifests make no sense.
    pub unreadable_snapshots: u64,
}

impl Examination {
    /// Whether anything is missing.
    pub fn is_healthy(&self) -> bool {
        !self.findings.iter().any(|finding| finding.damage)
    }

    /// Returns how a program ends that found this: by damage, else by what the storage refuses; `None`: all is well.
    pub fn exit_kind(&self) -> Option<ErrorKind> {
        let is_denied = || self.findings.iter().any(|finding| finding.kind == FindingKind::AccessDenied);
        match self.is_healthy() {
            false => Some(ErrorKind::Corrupt),
            true => is_denied().then_some(ErrorKind::Storage),
        }
    }

    fn found(&mut self, kind: FindingKind, e: &Error) {
        let kind = if e.is_from_storage(BlobErrorKind::Denied) { FindingKind::AccessDenied } else { kind };
        self.findings.push(Finding::new(kind, e.chain()).of_blob(e.pack()));
    }
}

/// Examines the repository that `blobs` holds. Listings and metadata are read, no file data.
///
/// # Errors
/// When there is no repository, the password is wrong, or the storage does not answer. Damage is no error.
pub async fn examine(
    blobs: Arc<dyn BlobReader>,
    password: &Password,
    options: &ExaminationOptions,
    observer: Arc<dyn Observer>,
) -> Result<Examination> {
    let plain = ExaminationOptions {
        open: OpenOptions { salvage: false, ..options.open.clone() },
        ..options.clone()
    };
    match examine_as(&blobs, password, &plain, &observer).await {
        // A sector that cannot be read, a file with the wrong owner: what is there beside it, the packs tell.
        Err(e) if e.kind() == ErrorKind::Storage => {
            let salvage = OpenOptions { salvage: true, ..options.open.clone() };
            let options = ExaminationOptions { open: salvage, ..options.clone() };
            examine_as(&blobs, password, &options, &observer).await.map_err(|_| e)
        }
        examined => examined,
    }
}

async fn examine_as(
    blobs: &Arc<dyn BlobReader>,
    password: &Password,
    options: &ExaminationOptions,
    observer: &Arc<dyn Observer>,
) -> Result<Examination> {
    let mut examination = Examination::default();
    let Some(repository) = open(blobs, password, options, &mut examination, observer).await? else {
        return Ok(examination);
    };
    let info = repository.info();
    examination.repository.clone_from(&info.unique_id);
    (examination.version, examination.epochs) = (info.version, info.epochs_enabled);
    examination.contents = info.contents;
    opening(&repository, &mut examination);
    let now_ns = now().unix_nanos();
    let listed = Listed::read(&repository.contents()).await?;
    examination.blobs = listed.families();
    examination.bytes = listed.bytes();
    examination.unindexed_packs = listed.unindexed_packs(&repository.contents());
    examination.findings.extend(listed.check(&repository.contents(), now_ns)?);
    examination.findings.extend(listed.check_markers(&repository.contents()).await);
    unindexed(&repository, &mut examination).await?;
    snapshots(&repository, &mut examination, now_ns, observer.as_ref()).await?;
    if options.deep {
        deep(&repository, &mut examination, observer.as_ref()).await?;
    }
    for (blob, shards) in repository.repairs() {
        let what =
            format!("error correction repaired damaged shards of {blob} ({shards}): the storage is failing");
        examination.findings.push(Finding::new(FindingKind::ShardsRepaired, what).of_blob(Some(&blob)));
    }
    judge_packs(&mut examination);
    Ok(examination)
}

/// Opens the repository; where damage forbids it, with what can be salvaged. `None`: it cannot be opened at all.
async fn open(
    blobs: &Arc<dyn BlobReader>,
    password: &Password,
    options: &ExaminationOptions,
    examination: &mut Examination,
    observer: &Arc<dyn Observer>,
) -> Result<Option<Repository>> {
    observer.event(Event::Phase { phase: Phase::Opening });
    let opened = Repository::open(Arc::clone(blobs), password, &options.open, Arc::new(Silent)).await;
    let error = match opened {
        Ok(repository) => return Ok(Some(repository)),
        Err(e) if matches!(e.kind(), ErrorKind::Corrupt | ErrorKind::InvalidPassword) => e,
        Err(e) => return Err(e),
    };
    let kind = what_fails(blobs, &error).await?;
    let salvage = OpenOptions { salvage: true, ..options.open.clone() };
    let salvaged = Repository::open(Arc::clone(blobs), password, &salvage, Arc::clone(observer)).await;
    match salvaged {
        Ok(repository) => {
            examination.found(kind, &error);
            Ok(Some(repository))
        }
        // The password is the first thing to look at.
        Err(_) if error.kind() == ErrorKind::InvalidPassword => Err(error),
        Err(e) if e.kind() == ErrorKind::Corrupt => {
            examination.found(kind, &error);
            Ok(None)
        }
        Err(e) => Err(e),
    }
}

/// Returns what keeps the repository from being opened.
async fn what_fails(blobs: &Arc<dyn BlobReader>, error: &Error) -> Result<FindingKind> {
    let name = BlobId::parse("kopia.repository").map_err(|e| Error::internal(e.to_string()))?;
    Ok(match blobs.read(&name, None, Vec::new()).await {
        Err(e) if e.is_not_found() => FindingKind::FormatBlobMissing,
        Err(_) => FindingKind::FormatBlobDamaged,
        Ok(bytes) if FormatBlob::parse(&bytes).is_err() => FindingKind::FormatBlobDamaged,
        Ok(_) if error.kind() == ErrorKind::InvalidPassword => FindingKind::FormatBlobDamaged,
        Ok(_) => FindingKind::IndexLost,
    })
}

/// Takes note of what opening found out.
fn opening(repository: &Repository, examination: &mut Examination) {
    for e in &repository.index_damage() {
        examination.found(FindingKind::IndexBlobDamaged, e);
    }
    let opening = repository.opening();
    for e in &opening.covered {
        examination.found(FindingKind::IndexBlobRedundant, e);
    }
    if let Some(salvaged) = &opening.salvaged {
        for e in &salvaged.replaced {
            examination.found(FindingKind::IndexBlobDamaged, e);
        }
    }
    if let Some(why) = &opening.blobcfg_unread {
        examination.findings.push(Finding::new(FindingKind::BlobcfgDamaged, why.clone()).of("kopia.blobcfg"));
    }
    if opening.is_marker_lost {
        let what = "index blobs of an epoch are there, the marker that it has begun (xe) is lost: \
            Kopia does not read them";
        examination.findings.push(Finding::new(FindingKind::EpochMarkerMissing, what));
    }
}

/// Looks into metadata packs that no index names, for snapshots that nobody lists.
async fn unindexed(repository: &Repository, examination: &mut Examination) -> Result<()> {
    let unindexed = repository.unindexed().await?;
    for e in unindexed.unreadable() {
        examination.found(FindingKind::PackUnreadable, e);
    }
    let known = repository.snapshots().await?;
    let hidden = unindexed.snapshots().iter().filter(|s| !known.all().iter().any(|k| k.id == s.id));
    let hidden: Vec<String> = hidden.take(NAMED).map(|s| format!("{} of {}", s.id, s.source)).collect();
    for pack in unindexed.manifests() {
        let named = if hidden.is_empty() { String::new() } else { format!(" ({})", hidden.join(", ")) };
        let what = format!("pack {pack} is in no index, and holds manifests{named}");
        examination.findings.push(Finding::new(FindingKind::IndexBlobMissing, what).of_blob(Some(pack)));
    }
    Ok(())
}

/// Number of hidden snapshots that are named.
const NAMED: usize = 5;

/// Examines every snapshot: its manifest, and its tree.
async fn snapshots(
    repository: &Repository,
    examination: &mut Examination,
    now_ns: i64,
    observer: &dyn Observer,
) -> Result<()> {
    observer.event(Event::Phase { phase: Phase::Comparing });
    let snapshots = repository.snapshots().await?;
    let in_index = repository.index_damage().len();
    for e in snapshots.damage().iter().skip(in_index) {
        examination.found(FindingKind::ManifestDamaged, e);
    }
    for line in snapshots.unreadable() {
        examination.unreadable_snapshots += 1;
        examination.findings.push(Finding::new(FindingKind::SnapshotUnreadable, line.clone()));
    }
    let packs = ListedPacks::read(repository).await?;
    let mut trees = Trees::new(&packs);
    let mut progress = Progress { total_entries: snapshots.all().len() as u64, ..Progress::default() };
    let mut newest_whole: HashMap<&Source, &Snapshot> = HashMap::new();
    let mut damaged = Vec::new();
    for snapshot in snapshots.all() {
        let (id, source) = (snapshot.id.as_str(), &snapshot.source);
        if snapshot.start.unix_nanos() > now_ns {
            let what = format!("snapshot {id} of {source} began in the future: a clock was or is wrong");
            examination.findings.push(Finding::new(FindingKind::SnapshotInFuture, what).of(id));
        }
        let missing = match &snapshot.root {
            Some(root) => trees.missing(root).await?,
            None if snapshot.incomplete.is_some() => None,
            None => Some(Missing::of_no_root()),
        };
        match missing {
            None => {
                examination.whole_snapshots += 1;
                let newest = newest_whole.entry(source).or_insert(snapshot);
                if snapshot.incomplete.is_none() && snapshot.start > newest.start {
                    *newest = snapshot;
                }
            }
            Some(missing) => {
                examination.damaged_snapshots += 1;
                let kind = match &missing {
                    missing if missing.is_denied => FindingKind::AccessDenied,
                    missing if missing.path.is_empty() => FindingKind::SnapshotLost,
                    _ => FindingKind::SnapshotDamaged,
                };
                let what = format!("snapshot {id} of {source} is not whole: {missing}");
                damaged.push((source, Finding::new(kind, what).of(id)));
            }
        }
        progress.entries += 1;
        observer.event(Event::Progress(progress));
    }
    for (source, finding) in damaged {
        let instead = newest_whole.get(source).map(|whole| whole.id.to_string());
        examination.findings.push(Finding { instead, ..finding });
    }
    Ok(())
}

/// Calls missing packs harmless where no snapshot needs them.
fn judge_packs(examination: &mut Examination) {
    let is_needed = examination.findings.iter().any(|finding| {
        let kind = finding.kind;
        matches!(
            kind,
            FindingKind::SnapshotDamaged | FindingKind::SnapshotLost | FindingKind::ManifestDamaged
        )
    });
    let packs = examination.findings.iter_mut();
    for pack in packs.filter(|f| matches!(f.kind, FindingKind::PackMissing | FindingKind::PackShort)) {
        if !is_needed {
            pack.damage = false;
            pack.message.push_str("; no snapshot needs it");
        }
    }
}

/// Reads the ends of all packs.
async fn deep(repository: &Repository, examination: &mut Examination, observer: &dyn Observer) -> Result<()> {
    let ends = repository.scan_packs(observer).await?;
    for (_, e) in &ends.unreadable {
        if !examination
            .findings
            .iter()
            .any(|f| f.kind == FindingKind::PackUnreadable && f.message == e.chain())
        {
            examination.found(FindingKind::PackIndexDamaged, e);
        }
    }
    for blob in &ends.misnamed {
        let what = format!("blob {blob} holds another pack than its name says");
        examination.findings.push(Finding::new(FindingKind::PackMisnamed, what).of_blob(Some(blob)));
    }
    Ok(())
}
