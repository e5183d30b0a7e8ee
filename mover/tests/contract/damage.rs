//! What cannot be read: it is said, and it takes nothing away.

use rekopia_testkit::damage::Damaged;
use rekopia_testkit::tree::Tree;
use rustix::fs::XattrFlags;
use rustix::io::Errno;

use crate::cloud::Cloud;
use crate::place::{Place, S2, S3};
use crate::table::{Case, run};

pub(crate) const CASES: &[Case] = &[
    ("T20", run(listing_fails)),
    ("T21", run(damaged_packs)),
    ("T21f", run(no_index)),
    ("T21g", run(bad_index)),
];

fn listing_fails() {
    // The repository opens; then the packs that hold its manifests, or its listings, are refused.
    for refused in ["/backups/volsync/q", "prefix=volsync%2Fx"] {
        let cloud = Cloud::holding(&["volsync/"]);
        cloud.server.break_answers(move |_, (_, path, query)| {
            let hit = path.starts_with(refused) || query.contains(refused);
            hit.then_some(rekopia_testkit::server::s3::Fault::Status(403, "AccessDenied"))
        });
        cloud.place("s3://backups/volsync").refuses(15, "access denied");
    }
}

fn no_index() {
    let mut place = Place::new();
    let repo = Damaged::in_place(&place.copied());
    for blob in repo.blobs("x").iter().chain(&repo.blobs("n")) {
        repo.delete(blob);
    }
    let ended = place.refuses(14, "its index is lost");
    assert!(ended.log.contains("onDamage: salvage allows that"), "{}", ended.log);
    // The packs know what is in them.
    place.set("REKOPIA_ON_DAMAGE", "salvage");
    let ended = place.restores(S3);
    assert!(ended.log.contains("trying what its packs say of themselves"), "{}", ended.log);
}

/// A newer snapshot may be hidden: nothing is restored, and the newest that is known is named.
fn bad_index() {
    let mut place = Place::new();
    let repo = Damaged::in_place(&place.copied());
    let blobs: Vec<_> = ["xn", "xs", "xr"].iter().flat_map(|prefix| repo.blobs(prefix)).collect();
    assert!(blobs.len() > 1);
    for blob in &blobs {
        let before = std::fs::read(repo.path(blob)).unwrap();
        for len in [0, before.len() / 2] {
            std::fs::write(repo.path(blob), &before[..len]).unwrap();
            let ended = place.refuses(14, blob.as_str());
            assert!(!ended.log.contains("No eligible snapshots found"), "{}", ended.log);
            assert!(!ended.log.contains("--salvage"), "{}", ended.log);
        }
        std::fs::write(repo.path(blob), &before).unwrap();
    }
}

fn damaged_packs() {
    let mut place = Place::new();
    let repo = Damaged::in_place(&place.copied());
    let packs = repo.blobs("p");
    for pack in &packs {
        let len = std::fs::metadata(repo.path(pack)).unwrap().len();
        for offset in (0..len).step_by(500) {
            repo.flip(pack, offset);
        }
    }
    place.ends(3, "in pack p");
    for pack in &packs {
        repo.delete(pack);
    }
    let ended = place.ends(3, "in pack p");
    assert!(ended.log.contains("repair the cause, or set onMissing: accept"), "{}", ended.log);
    // What is accepted is not marked as incomplete any more (where the file system has such marks).
    let mark = "user.rekopia.incomplete";
    let marked = rustix::fs::setxattr(place.data(), mark, b"", XattrFlags::empty()).is_ok();
    // Kopia's option says the same.
    place.set("KOPIA_ADDITIONAL_ARGS", "--ignore-errors").ends(0, "accepted losses");
    place.env.remove("KOPIA_ADDITIONAL_ARGS");
    place.set("REKOPIA_ON_MISSING", "accept").ends(0, "accepted losses");
    let left = rustix::fs::getxattr(place.data(), mark, &mut [0_u8; 64]);
    assert!(!marked || left == Err(Errno::NODATA), "{left:?}");
    damage_takes_nothing_away();
}

/// What was there before stays as it was, with file deletion too, whether data or listings are lost.
fn damage_takes_nothing_away() {
    for (kind, code) in [("p", 3), ("q", 14)] {
        let mut place = Place::with("KOPIA_ENABLE_FILE_DELETION", "true");
        let repo = Damaged::in_place(&place.copied());
        place.set("KOPIA_PREVIOUS", "1").restores(S2);
        place.put("old");
        let before = Tree::read(&place.data());
        for blob in repo.blobs(kind) {
            repo.delete(&blob);
        }
        place.env.remove("KOPIA_PREVIOUS");
        let ended = place.run();
        assert_eq!(ended.code, code, "{}", ended.log);
        let after = Tree::read(&place.data());
        for (path, was) in before.entries.iter().filter(|(_, entry)| entry.kind != 'd') {
            let is = &after.entries[path];
            // What is right already may well get its new time.
            assert_eq!((&is.sha256, &is.target), (&was.sha256, &was.target), "{kind}, {path}: {}", ended.log);
            if ended.log.contains(&format!("failed: {path}: ")) {
                assert_eq!(is, was, "{kind}, {path}: {}", ended.log);
            }
        }
        assert!(after.entries.contains_key("old"));
    }
}
