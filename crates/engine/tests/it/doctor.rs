//! Every damage is found by its name, and nothing in repositories that are whole.

use std::path::Path;
use std::sync::Arc;

use rekopia::blob::{Settings, connect};
use rekopia::{Examination, ExaminationOptions, FindingKind, OpenOptions, Password, Silent, examine};
use rekopia_testkit::damage::{Damaged, Harm};
use rekopia_testkit::fixture::Fixture;

use crate::support::{is_full, is_of_its_own, open_at};

async fn examined(repo: &Path, password: &str, deep: bool) -> rekopia::Result<Examination> {
    let blobs = connect(&Settings::parse(repo.to_str().unwrap()).unwrap()).await.unwrap();
    let options = ExaminationOptions::default().deep(deep);
    examine(blobs, &Password::new(password), &options, Arc::new(Silent)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_found_in_repositories_that_are_whole() {
    let mut examined_ones = 0;
    for fixture in Fixture::all().into_iter().filter(|f| !f.name.contains("damaged") && is_of_its_own(f)) {
        if open_at(&fixture.repo(), &fixture.password).await.is_err() {
            continue;
        }
        let found = examined(&fixture.repo(), &fixture.password, true).await.unwrap();
        // A pack of what Kopia has taken out of its snapshots is lost there.
        let fixed = fixture.name == "snapshot-fixed";
        assert!(found.findings.is_empty() || fixed && found.is_healthy(), "{}: {found:?}", fixture.name);
        let listed = found.whole_snapshots + found.damaged_snapshots;
        assert!(listed >= fixture.snapshots.len() as u64, "{}: {found:?}", fixture.name);
        examined_ones += 1;
    }
    assert!(examined_ones > 15, "{examined_ones}");
}

/// Nothing can be restored of a tree whose root cannot be read; and salvage does not make a repository healthier.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_lost_is_said_however_it_is_opened() {
    let fixture = Fixture::load("damaged-directory-flipped");
    let found = examined(&fixture.repo(), &fixture.password, false).await.unwrap();
    let lost = found.findings.iter().find(|f| f.kind == FindingKind::SnapshotLost).unwrap();
    assert!(lost.instead.is_some() && lost.message.contains("the root"), "{lost:?}");
    for name in ["damaged-index-missing", "damaged-packs-swapped"] {
        let fixture = Fixture::load(name);
        let blobs = connect(&Settings::parse(fixture.repo().to_str().unwrap()).unwrap()).await.unwrap();
        let open = OpenOptions::default().salvage(true);
        let options = ExaminationOptions::default().open(open).deep(true);
        let salvaging =
            examine(blobs, &Password::new(&*fixture.password), &options, Arc::new(Silent)).await.unwrap();
        let plain = examined(&fixture.repo(), &fixture.password, true).await.unwrap();
        assert_eq!(salvaging, plain, "{name}");
        assert!(!plain.is_healthy() || name == "damaged-packs-swapped", "{plain:?}");
    }
}

/// The kinds of blob that a restore reads, by the beginning of their names.
pub(crate) const FAMILIES: [&str; 12] =
    ["kopia.repository", "kopia.blobcfg", "p", "q", "n", "m", "l", "xn", "xs", "xr", "xe", "xw"];

/// Returns the kinds of finding that may stand for this damage; none: it does no harm that listings and metadata can
/// show.
fn wanted(family: &str, harm: Harm) -> &'static [FindingKind] {
    use FindingKind::{
        BlobcfgDamaged, FormatBlobDamaged, FormatBlobMissing, IndexBlobDamaged, IndexBlobMissing,
        IndexBlobRedundant, IndexLost, MarkerDamaged, PackIndexDamaged, PackMisnamed, PackMissing, PackShort,
        PackUnreadable, ShardsRepaired, SnapshotDamaged,
    };
    match (family, harm) {
        ("kopia.repository", Harm::Missing) => &[FormatBlobMissing],
        // White space behind the document.
        ("kopia.repository", Harm::LastByte | Harm::Appended) => &[],
        ("kopia.repository", _) => &[FormatBlobDamaged],
        ("kopia.blobcfg", Harm::Missing) => &[],
        ("kopia.blobcfg", _) => &[BlobcfgDamaged],
        ("p" | "q", Harm::Missing) => &[PackMissing],
        // What is cut off may be the end alone.
        ("p" | "q", Harm::Empty | Harm::Cut) => &[PackShort, PackIndexDamaged],
        // Whether file data is right, only a verification tells.
        ("p", Harm::FirstByte | Harm::MiddleByte) => &[],
        ("p" | "q", Harm::Swapped) => &[PackMisnamed, PackShort],
        // Most of a small pack are zeros at its end, before its own index.
        ("q", Harm::FirstByte | Harm::MiddleByte) => &[],
        ("p" | "q", Harm::LastByte | Harm::Appended | Harm::Unreadable) => {
            &[PackIndexDamaged, PackMissing, PackShort, PackUnreadable]
        }
        // The first of several, or the only one, may have been swept; what they hold is all the same.
        ("xe" | "xw", Harm::Missing | Harm::Swapped | Harm::Unreadable) => &[],
        ("xe" | "xw", _) => &[MarkerDamaged],
        (_, Harm::Missing) => &[IndexBlobMissing, IndexLost, SnapshotDamaged],
        _ => &[IndexBlobDamaged, IndexBlobRedundant, IndexLost, ShardsRepaired],
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_damage_is_found_by_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let (mut wrong, mut cases) = (Vec::new(), 0);
    let names = [
        "format-v1",
        "epochs",
        "volsync",
        "ecc-020",
        "ecc-100",
        "legacy-compacted",
        "index-v2-legacy-set",
        "maintained",
        "epoch-singles",
        "upgraded-v1-to-v3",
    ];
    for name in names.into_iter().take(if is_full() { 10 } else { 2 }) {
        let fixture = Fixture::load(name);
        let whole = examined(&fixture.repo(), &fixture.password, false).await.unwrap().whole_snapshots;
        for family in FAMILIES {
            for kind in Harm::ALL {
                let root = dir.path().join("repo");
                let damage = Damaged::copy(&fixture.repo(), &root);
                let blobs = damage.blobs(family);
                if let [first, rest @ ..] = blobs.as_slice()
                    && (kind != Harm::Swapped || !rest.is_empty())
                {
                    damage.harm(first, rest.first(), kind);
                    cases += 1;
                    let wanted = wanted(family, kind);
                    match examined(&root, &fixture.password, true).await {
                        Ok(found) => {
                            let named = found.findings.iter().any(|f| wanted.contains(&f.kind));
                            // The blob may hold nothing that is still needed, or the byte is one that nobody looks at.
                            let is_index = ["n", "m", "l", "xn", "xs", "xr"].contains(&family);
                            let named =
                                named || is_index && found.is_healthy() && found.whole_snapshots == whole;
                            if !named && !wanted.is_empty() {
                                wrong.push(format!("{name} {first} {kind:?}: {:?}", found.findings));
                            }
                        }
                        // Nothing of it is known then: not whether the password is right.
                        Err(e)
                            if family == "kopia.repository"
                                && e.kind() == rekopia::ErrorKind::InvalidPassword => {}
                        Err(e) => wrong.push(format!("{name} {first} {kind:?}: {e:?}")),
                    }
                }
                std::fs::remove_dir_all(&root).unwrap();
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(cases > 40, "{cases}");
}
