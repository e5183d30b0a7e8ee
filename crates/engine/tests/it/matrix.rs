//! Every kind of blob with every kind of damage: what is restored is right, and what is not is named.
//!
//! With `REKOPIA_FULL` the first and the last of each kind in many repositories, with and without salvage, and every metadata
//! pack is lost in turn; else the first of each kind in three, and only salvage reads them: what happens without it is
//! tested elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use rekopia::blob::{Settings, connect};
use rekopia::{
    ErrorKind, OpenOptions, Password, Reference, Repository, Result, Selection, Silent, Snapshots,
};
use rekopia_format::BlobId;
use rekopia_testkit::damage::{Damaged, Harm};
use rekopia_testkit::fixture::{Fixture, FixtureSnapshot};
use rekopia_testkit::tree::Tree;

use crate::doctor::FAMILIES;
use crate::support::{is_full, open, quick, restore};

/// A repository of each generation of the index, with and without error correction.
const REPOSITORIES: [&str; 3] = ["format-v1", "epochs", "ecc-020"];
/// Other repositories that have blobs of another kind or made by another program.
const MORE: [&str; 12] = [
    "volsync",
    "epoch-singles",
    "legacy-compacted",
    "index-v2-legacy-set",
    "maintained",
    "upgraded-v1-to-v3",
    "identities",
    "ecc-001",
    "ecc-100",
    "old-0.8.4",
    "old-0.10.7",
    "compress",
];

struct Case<'a> {
    fixture: &'a Fixture,
    expected: &'a [(FixtureSnapshot, Tree)],
    /// The root of each snapshot, as the whole repository knows it.
    roots: &'a BTreeMap<String, String>,
    family: &'a str,
    harm: Harm,
    damage: Damaged,
    target: &'a Path,
}

async fn opened(repo: &Path, password: &str, salvage: bool) -> Result<Repository> {
    let blobs = connect(&Settings::parse(repo.to_str().unwrap()).unwrap()).await.unwrap();
    let options = OpenOptions::default().salvage(salvage);
    Repository::open(blobs, &Password::new(password), &options, Arc::new(Silent)).await
}

impl Case<'_> {
    /// Whether nothing that a snapshot needs may be lost by this.
    fn is_harmless(&self) -> bool {
        let is_flip = matches!(self.harm, Harm::FirstByte | Harm::MiddleByte | Harm::LastByte);
        match self.family {
            // Error correction repairs them.
            "p" | "q" if is_flip && self.fixture.name.starts_with("ecc-") => true,
            "p" | "q" => {
                matches!(self.harm, Harm::FirstByte | Harm::LastByte | Harm::Appended | Harm::Swapped)
            }
            "kopia.repository" => matches!(self.harm, Harm::LastByte | Harm::Appended),
            _ => true,
        }
    }

    /// Returns what is wrong, one line each, with the index blobs alone or with all that packs know.
    async fn check(&self, salvage: bool) -> Vec<String> {
        let repository = match opened(self.damage.root(), &self.fixture.password, salvage).await {
            Ok(repository) => repository,
            Err(e) => return self.check_refusal(salvage, &e),
        };
        let mut wrong = Vec::new();
        let listed = match repository.snapshots().await {
            Ok(listed) => listed,
            Err(e) if salvage && self.is_harmless() => return vec![format!("nothing is listed: {e:?}")],
            Err(_) => return wrong,
        };
        if salvage && self.family == "q" {
            wrong.extend(self.check_roots(&repository, &listed).await);
        }
        let by_id: BTreeMap<_, _> = listed.all().iter().map(|s| (s.id.to_string(), s)).collect();
        for (snapshot, expected) in self.expected {
            if !by_id.contains_key(&snapshot.manifest_id) {
                if salvage && self.is_harmless() {
                    wrong.push(format!("{} is not listed", snapshot.manifest_id));
                }
                if listed.damage().is_empty() && repository.index_damage().is_empty() && salvage {
                    wrong.push(format!("{} is not listed, without a word", snapshot.manifest_id));
                }
                continue;
            }
            wrong.extend(self.check_restore(&repository, snapshot, expected, salvage).await);
        }
        wrong
    }

    /// Checks that a tree whose manifest is lost is found by its structure, and restored by its ID.
    async fn check_roots(&self, repository: &Repository, listed: &Snapshots) -> Vec<String> {
        let mut wrong = Vec::new();
        let found = repository.root_candidates(listed, Arc::new(Silent)).await.unwrap();
        let found = Vec::from_iter(found.iter().map(|candidate| candidate.object.to_string()));
        let roots = listed.all().iter().filter_map(|s| Some(s.root.as_ref()?.object?.to_string()));
        let named = BTreeSet::from_iter(roots);
        for (snapshot, expected) in self.expected {
            let Some(root) = self.roots.get(&snapshot.manifest_id).filter(|root| !named.contains(*root))
            else {
                continue;
            };
            let report = restore(repository, root, self.target, &quick()).await;
            if report.is_ok_and(|report| report.is_complete()) && self.target.is_dir() {
                let mut restored = Tree::read(self.target);
                // How the root itself was, only its manifest says.
                restored.entries.extend(expected.entries.get("").map(|root| (String::new(), root.clone())));
                let diff = expected.diff(&restored, &[]);
                if !diff.is_empty() || !found.contains(root) {
                    wrong.push(format!("tree {root} is there, found: {}: {diff}", found.contains(root)));
                }
            }
            clear(self.target);
        }
        wrong
    }

    fn check_refusal(&self, salvage: bool, e: &rekopia::Error) -> Vec<String> {
        let is_named = match self.family {
            // Whether the password is right is not known then.
            "kopia.repository" => matches!(e.kind(), ErrorKind::Corrupt | ErrorKind::InvalidPassword),
            _ => e.kind() == ErrorKind::Corrupt,
        };
        let may = self.family == "kopia.repository" && !self.is_harmless() || !salvage;
        if is_named && may { Vec::new() } else { vec![format!("does not open: {e:?}")] }
    }

    async fn check_restore(
        &self,
        repository: &Repository,
        snapshot: &FixtureSnapshot,
        expected: &Tree,
        salvage: bool,
    ) -> Vec<String> {
        let id = &snapshot.manifest_id;
        let selection = Selection::default().incomplete(true);
        let restored = match repository.resolve(&Reference::parse(id).unwrap(), &selection).await {
            Ok(from) => repository.restore(&from, self.target, &quick(), Arc::new(Silent)).await,
            Err(e) => Err(e),
        };
        let report = match restored {
            Ok(report) => report,
            Err(e) if !(salvage && self.is_harmless()) && e.kind() == ErrorKind::Corrupt => {
                let untouched = !self.target.exists();
                return if untouched {
                    Vec::new()
                } else {
                    vec![format!("{id} has touched the target: {e:?}")]
                };
            }
            Err(e) => return vec![format!("{id}: {e:?}")],
        };
        let failed = Vec::from_iter(report.failures().iter().map(|failure| failure.path.clone()));
        let mut wrong = Vec::new();
        if salvage && self.is_harmless() && !failed.is_empty() {
            wrong.push(format!("{id}: {:?}", report.failures()));
        }
        for path in &failed {
            if read(repository, &format!("{id}/{path}")).await.is_ok() {
                wrong.push(format!("{id}: {path} has failed, and can be read"));
            }
        }
        let diff = expected.diff(&Tree::read(self.target), &failed);
        if !diff.is_empty() {
            wrong.push(format!("{id}: {diff}"));
        }
        clear(self.target);
        wrong
    }
}

/// Reads a file to its end, another way than a restore does.
async fn read(repository: &Repository, reference: &str) -> Result<()> {
    let selection = Selection::default().incomplete(true);
    let resolved = repository.resolve(&Reference::parse(reference)?, &selection).await?;
    let object = resolved.entry.object.expect("what fails has an object");
    let mut reader = repository.open_object(&object).await?;
    while reader.next_chunk().await?.is_some() {}
    Ok(())
}

fn clear(target: &Path) {
    let _ = std::fs::remove_dir_all(target);
    let _ = std::fs::remove_file(target);
}

/// Returns the blobs of a kind that are damaged in turn.
fn some(all: &[BlobId]) -> Vec<BlobId> {
    match all {
        [first, .., last] if is_full() => vec![first.clone(), last.clone()],
        all => all.iter().take(1).cloned().collect(),
    }
}

/// Damages blobs of one repository, and tells how many cases there were and what is wrong.
struct Matrix {
    dir: tempfile::TempDir,
    cases: usize,
    wrong: Vec<String>,
}

impl Matrix {
    fn new() -> Self {
        Matrix { dir: tempfile::tempdir().unwrap(), cases: 0, wrong: Vec::new() }
    }

    async fn run(
        &mut self,
        name: &str,
        family: &str,
        harms: &[Harm],
        modes: &[bool],
        some: impl Fn(&[BlobId]) -> Vec<BlobId>,
    ) {
        let fixture = Fixture::load(name);
        let has_tree = |s: &FixtureSnapshot| Some((s.clone(), fixture.expected(s)?));
        let expected = Vec::from_iter(fixture.snapshots.iter().filter_map(has_tree));
        let whole = open(&fixture).await;
        let snapshots = whole.snapshots().await.unwrap();
        let root = |s: &rekopia::Snapshot| Some((s.id.to_string(), s.root.as_ref()?.object?.to_string()));
        let roots = BTreeMap::from_iter(snapshots.all().iter().filter_map(root));
        let all = Damaged::in_place(&fixture.repo()).blobs(family);
        for blob in some(&all) {
            let other = all.iter().find(|other| **other != blob);
            for harm in harms.iter().copied().filter(|harm| *harm != Harm::Swapped || other.is_some()) {
                let (root, target) = (self.dir.path().join("repo"), self.dir.path().join("target"));
                let damage = Damaged::copy(&fixture.repo(), &root);
                damage.harm(&blob, other, harm);
                let case = Case {
                    fixture: &fixture,
                    expected: &expected,
                    roots: &roots,
                    family,
                    harm,
                    damage,
                    target: &target,
                };
                for salvage in modes {
                    self.cases += 1;
                    let lines = case.check(*salvage).await;
                    let case = format!("{name} {blob} {harm:?} salvage={salvage}");
                    self.wrong.extend(lines.into_iter().map(|line| format!("{case}: {line}")));
                    clear(&target);
                }
                std::fs::remove_dir_all(&root).unwrap();
            }
        }
    }

    fn end(self, at_least: usize) {
        assert!(self.wrong.is_empty(), "{} of {}\n{}", self.wrong.len(), self.cases, self.wrong.join("\n"));
        assert!(self.cases > at_least, "{}", self.cases);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_damage_of_every_kind_of_blob() {
    let mut matrix = Matrix::new();
    let modes = if is_full() { [false, true].as_slice() } else { &[true] };
    let more = if is_full() { MORE.as_slice() } else { &[] };
    for family in FAMILIES {
        for name in REPOSITORIES {
            // What all repositories have is damaged in the others.
            if name == "epochs" && !family.starts_with('x') && !is_full() {
                continue;
            }
            matrix.run(name, family, &Harm::ALL, modes, some).await;
        }
        for name in more {
            matrix.run(name, family, &Harm::ALL, &[true], some).await;
        }
    }
    matrix.end(100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_metadata_pack_lost_in_turn() {
    let mut matrix = Matrix::new();
    let names = if is_full() { [REPOSITORIES.as_slice(), &MORE].concat() } else { vec!["ecc-020"] };
    for name in names {
        matrix.run(name, "q", &[Harm::Missing], &[true], <[BlobId]>::to_vec).await;
    }
    matrix.end(2);
}
