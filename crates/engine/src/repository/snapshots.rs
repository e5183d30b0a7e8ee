//! Lists snapshots and chooses among them: source, as-of time, n-th previous.

use std::collections::{BTreeMap, HashSet};

use rekopia_format::manifest::{ManifestEntry, Manifests};
use rekopia_format::policy::{Policy, effective_retention, retention_reasons};
use rekopia_format::snapshot::{Snapshot, Source};
use rekopia_format::{ContentId, Time};

use super::contents::Contents;
use crate::error::{Error, ErrorKind, Result};
use crate::zone::Zone;

/// All snapshots and policies of a repository, as of one index.
#[derive(Debug, Default)]
pub struct Snapshots {
    all: Vec<Snapshot>,
    policies: Vec<Policy>,
    unreadable: Vec<String>,
    damage: Vec<Error>,
    /// IDs of manifests that only packs' own indexes lead to.
    salvaged: HashSet<String>,
}

/// Which snapshot of a source is wanted: the newest complete one by default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Selection {
    /// The newest snapshot that started at or before this instant is wanted.
    pub as_of: Option<Time>,
    /// The oldest snapshot is wanted instead of the newest.
    pub oldest: bool,
    /// Number of complete snapshots to pass over, from the newest on.
    pub previous: usize,
    /// Incomplete snapshots (checkpoints, cancelled runs) count, too.
    pub incomplete: bool,
    /// Only snapshots with all of these tags count: a key, and the value where that matters (Kopia's `--tags
    /// KEY:VALUE`).
    pub tags: Vec<(String, Option<String>)>,
    /// User and host that decide where a reference fits several sources: those of the person who asks.
    pub prefer: Option<(String, String)>,
    /// IDs of snapshots that are passed over.
    pub passed_over: Vec<String>,
}

impl Selection {
    rekopia_blob::setters! {
        as_of: Option<Time>,
        oldest: bool,
        previous: usize,
        incomplete: bool,
        tags: Vec<(String, Option<String>)>,
        prefer: Option<(String, String)>,
        passed_over: Vec<String>,
    }
}

/// Plaintext bytes of manifest contents that are read in one round.
const ROUND_BYTES: u64 = 16 << 20;
/// The largest manifest content, gunzipped.
const MAX_MANIFESTS: usize = 1 << 30;

impl Snapshots {
    /// Reads every manifest: none is known before all are (§6.1). What is damaged is named in the answer; with
    /// `salvages` also what the storage does not give, as long as it gives anything.
    ///
    /// # Errors
    /// When the storage does not answer.
    pub(crate) async fn read(contents: &Contents, salvages: bool) -> Result<Self> {
        let mut damage: Vec<Error> = contents.damage.iter().map(Error::again).collect();
        let mut manifests = Manifests::default();
        add_all(contents, &contents.index.manifest_contents()?, salvages, &mut manifests, &mut damage)
            .await?;
        let local = contents.index.local_manifest_contents()?;
        if local.is_empty() {
            return Ok(Snapshots { damage, ..Self::of(manifests.finish()) });
        }
        let indexed: HashSet<String> =
            manifests.clone().finish().into_iter().map(|manifest| manifest.id.to_string()).collect();
        add_all(contents, &local, salvages, &mut manifests, &mut damage).await?;
        let all = manifests.finish();
        let salvaged =
            all.iter().map(|manifest| manifest.id.to_string()).filter(|id| !indexed.contains(id)).collect();
        Ok(Snapshots { damage, salvaged, ..Self::of(all) })
    }

    fn of(live: Vec<ManifestEntry>) -> Self {
        let mut snapshots = Snapshots::default();
        for manifest in live {
            match manifest.labels.get("type").map(String::as_str) {
                Some("snapshot") => match Snapshot::parse(&manifest) {
                    Ok(snapshot) => snapshots.all.push(snapshot),
                    Err(e) => snapshots.unreadable.push(format!("manifest {}: {e}", manifest.id)),
                },
                // Policies only explain why snapshots are kept: one that cannot be understood is no obstacle.
                Some("policy") => snapshots.policies.extend(Policy::parse(&manifest).ok()),
                _ => {}
            }
        }
        snapshots
            .all
            .sort_by(|a, b| (&a.source, a.start, a.end, &a.id).cmp(&(&b.source, b.start, b.end, &b.id)));
        snapshots
    }

    /// Returns all snapshots, by source, then oldest first.
    pub fn all(&self) -> &[Snapshot] {
        &self.all
    }

    /// Returns the snapshot manifests that could not be understood, one line each.
    pub fn unreadable(&self) -> &[String] {
        &self.unreadable
    }

    /// Whether no index blob leads to this snapshot: it was found by a pack's own index. It may belong to a backup that was
    /// interrupted, may have been deleted since, or its index blob is lost.
    pub fn is_salvaged(&self, snapshot: &Snapshot) -> bool {
        self.salvaged.contains(snapshot.id.as_str())
    }

    /// Returns why snapshots may be missing here: index blobs and contents with manifests that cannot be read. Which
    /// snapshot is the newest, or that there is none, is not known then: [`Snapshots::doubt`].
    pub fn damage(&self) -> &[Error] {
        &self.damage
    }

    /// Returns an error ([`ErrorKind::Corrupt`]) for callers that need to know what else there is; `newest` is the
    /// newest snapshot that can be read. `None` when all can be read.
    pub fn doubt(&self, newest: Option<&Snapshot>) -> Option<Error> {
        let first = self.damage.first()?;
        let more = match self.damage.len() - 1 {
            0 => String::new(),
            n => format!(" (and {n} more)"),
        };
        let readable = newest.map_or_else(
            || "no snapshot of it can be read".to_owned(),
            |s| format!("the newest readable one is {} of {} ({})", s.id, started(s), s.source),
        );
        let what = format!(
            "which snapshot is meant cannot be told, because some may be hidden: {}{more}; {readable}",
            first.chain()
        );
        Some(Error::new(ErrorKind::Corrupt, what))
    }

    /// Adds to an error that what was not found may be hidden by damage.
    pub(crate) fn hidden(&self, not_found: Error) -> Error {
        match self.damage.first() {
            Some(first) => {
                let what = format!("{not_found}; it may be hidden: {}", first.chain());
                Error::new(ErrorKind::Corrupt, what)
            }
            None => not_found,
        }
    }

    /// Returns the snapshots of each source, oldest first.
    pub fn by_source(&self) -> BTreeMap<&Source, Vec<&Snapshot>> {
        let mut sources: BTreeMap<&Source, Vec<&Snapshot>> = BTreeMap::new();
        for snapshot in &self.all {
            sources.entry(&snapshot.source).or_default().push(snapshot);
        }
        sources
    }

    /// Returns why retention keeps each of these snapshots of one source, by snapshot ID; weeks are those of `zone`.
    pub fn retention_reasons(
        &self,
        source: &Source,
        of_source: &[&Snapshot],
        zone: &Zone,
    ) -> BTreeMap<String, Vec<String>> {
        let policy = effective_retention(&self.policies, source);
        let offset = |time: Time| {
            let instant = jiff::Timestamp::from_nanosecond(i128::from(time.unix_nanos()));
            instant.map_or(0, |instant| zone.jiff().to_offset(instant).seconds())
        };
        let reasons = retention_reasons(of_source, &policy, offset);
        of_source.iter().zip(reasons).map(|(s, reasons)| (s.id.to_string(), reasons)).collect()
    }

    /// Returns the snapshots of exactly this source, oldest first.
    pub fn of_source(&self, source: &Source) -> Vec<&Snapshot> {
        self.all.iter().filter(|s| s.source == *source).collect()
    }
}

impl Selection {
    /// Chooses from the snapshots of one source; complete ones with a root only, unless asked otherwise.
    pub fn choose<'a>(&self, candidates: &[&'a Snapshot]) -> Option<&'a Snapshot> {
        let mut eligible: Vec<&Snapshot> = candidates
            .iter()
            .filter(|s| s.root.is_some() && (self.incomplete || s.incomplete.is_none()))
            .filter(|s| self.as_of.is_none_or(|at| s.start <= at) && self.has_tags(s))
            .filter(|s| !self.passed_over.iter().any(|id| s.id.as_str() == id))
            .copied()
            .collect();
        eligible.sort_by_key(|s| (s.start, s.end));
        if self.oldest {
            eligible.truncate(1);
        }
        eligible.into_iter().rev().nth(self.previous)
    }

    /// Whether a snapshot has the tags that are wanted.
    pub fn has_tags(&self, snapshot: &Snapshot) -> bool {
        self.tags.iter().all(|(key, value)| {
            let found = snapshot.tags.get(&format!("tag:{key}")).or_else(|| snapshot.tags.get(key));
            found.is_some_and(|found| value.as_ref().is_none_or(|value| value == found))
        })
    }
}

/// Adds the manifests of these contents; errors of those that cannot be read go to `damage`.
async fn add_all(
    contents: &Contents,
    ids: &[ContentId],
    salvages: bool,
    manifests: &mut Manifests,
    damage: &mut Vec<Error>,
) -> Result<()> {
    let (mut rest, mut refused) = (ids, Vec::new());
    while !rest.is_empty() {
        let (round, later) = rest.split_at(round_len(contents, rest));
        rest = later;
        for (id, bytes) in contents.read_round(round).await {
            match bytes.and_then(|bytes| add(manifests, &id, &bytes)) {
                Ok(()) => {}
                Err(e) if e.kind() == ErrorKind::Corrupt => damage.push(e),
                Err(e) if e.kind() == ErrorKind::Storage && salvages => refused.push(e),
                Err(e) => return Err(e),
            }
        }
    }
    // A storage that gives nothing at all is not damaged.
    if refused.len() == ids.len()
        && let Some(e) = refused.pop()
    {
        return Err(e);
    }
    damage.extend(refused);
    Ok(())
}

/// Adds the manifests of a content.
fn add(manifests: &mut Manifests, id: &ContentId, bytes: &[u8]) -> Result<()> {
    let damaged = |e: Box<dyn std::error::Error + Send + Sync>| {
        Error::new(ErrorKind::Corrupt, "damaged manifests").of_content(id).because(e)
    };
    let mut json = Vec::new();
    rekopia_format::compression::gunzip(bytes, MAX_MANIFESTS, &mut json).map_err(|e| damaged(e.into()))?;
    manifests.add(&json).map_err(|e| damaged(e.into()))
}

fn started(snapshot: &Snapshot) -> String {
    snapshot.start.to_string()
}

/// Returns how many of `ids` make up the next round.
fn round_len(contents: &Contents, ids: &[ContentId]) -> usize {
    let mut bytes = 0;
    for (n, id) in ids.iter().enumerate() {
        bytes += contents.plain_len(id);
        if bytes > ROUND_BYTES && n > 0 {
            return n;
        }
    }
    ids.len()
}
