//! What is in the volume before.

use std::os::unix::fs::symlink;
use std::path::Path;

use rekopia_testkit::pod::{Pod, ROOT, install, libraries};

use crate::place::{Place, S3};
use crate::table::{Case, run};

pub(crate) const CASES: &[Case] = &[
    ("T26", run(file_deletion)),
    ("T27", run(file_deletion_without_snapshot)),
    ("T27b", run(file_deletion_without_password)),
    ("T28", run(extra_files_are_kept)),
    ("T29", run(other_content_is_replaced)),
    ("T30", run(directory_in_the_way)),
    ("T30f", run(link_in_the_way)),
    ("T34", run(read_only_root_without_tmp)),
    ("T34c", run(|| drop(Place::with("TMPDIR", "/proc/nonexistent").restores(S3)))),
];

fn file_deletion() {
    let place = Place::with("KOPIA_ENABLE_FILE_DELETION", "true");
    let old = place.put("old");
    let deep = place.put("sub/also old");
    std::fs::create_dir(place.data().join("lost+found")).unwrap();
    place.ends(0, "2 extra entries deleted");
    assert!(!old.exists() && !deep.exists() && place.data().join("lost+found").exists());
    std::fs::remove_dir(place.data().join("lost+found")).unwrap();
    place.holds(S3);
}

fn file_deletion_without_snapshot() {
    let mut place = Place::of_user("other");
    let old = place.put("old");
    place.set("KOPIA_ENABLE_FILE_DELETION", "true").ends(0, "No eligible snapshots found");
    assert!(old.exists());
}

fn file_deletion_without_password() {
    let mut place = Place::with("KOPIA_PASSWORD", "not-this-one");
    let old = place.put("old");
    place.set("KOPIA_ENABLE_FILE_DELETION", "true").ends(12, "invalid repository password");
    assert!(old.exists());
}

fn extra_files_are_kept() {
    let place = Place::new();
    let old = place.put("old");
    place.ends(0, "Snapshot restore completed");
    std::fs::remove_file(old).unwrap();
    place.holds(S3);
}

fn other_content_is_replaced() {
    let place = Place::new();
    place.put("version.txt");
    symlink("elsewhere", place.data().join("link")).unwrap();
    place.restores(S3);
}

fn directory_in_the_way() {
    for full in [true, false] {
        let place = Place::of_user("conflict");
        std::fs::create_dir(place.data().join("thing")).unwrap();
        if full {
            place.put("thing/inside");
        }
        let ended = place.ends(3, "thing");
        assert!(place.data().join("thing").is_dir() && place.data().join("zz").is_file(), "{}", ended.log);
    }
    for (path, what) in
        [("slink", "a file where a link should go"), ("sub", "a file where a directory should go")]
    {
        let place = Place::of_user(if path == "sub" { "app" } else { "conflict" });
        place.put(path);
        let ended = place.ends(3, path);
        assert!(place.data().join(path).is_file(), "{what}: {}", ended.log);
    }
}

fn link_in_the_way() {
    let place = Place::new();
    let outside = place.folder("outside");
    symlink(&outside, place.data().join("sub")).unwrap();
    let ended = place.run();
    assert!(ended.code == 3 || ended.code == 0, "{}", ended.log);
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0, "a link was followed");
}

/// Nothing but the mover in a root that cannot be written, which has no `/tmp` at all.
fn read_only_root_without_tmp() {
    let mut place = Place::new();
    let repo = place.copied();
    if !Pod::possible_or_skips() {
        place.set("TMPDIR", "/proc/nonexistent").set("HOME", "/").restores(S3);
        return;
    }
    let root = place.folder("root");
    for folder in ["mover-kopia", "restore/data", "cache", "mnt/repo"] {
        std::fs::create_dir_all(root.join(folder)).unwrap();
    }
    let program = Path::new(env!("CARGO_BIN_EXE_rekopia-mover"));
    std::fs::write(root.join("mover-kopia/entry.sh"), "").unwrap();
    for library in libraries(program) {
        install(&root, &library, library.to_str().unwrap());
    }
    let (data, cache) = (place.data(), place.folder("cache"));
    let pod = Pod::start(
        &root,
        &format!(
            "mount --bind {program:?} $R/mover-kopia/entry.sh\nmount --bind {data:?} $R/restore/data\n\
             mount --bind {cache:?} $R/cache\nmount --bind {repo:?} $R/mnt/repo"
        ),
    );
    assert!(!pod.path("/tmp").exists() && std::fs::write(pod.path("/file"), "").is_err());
    place.set("DATA_DIR", "/restore/data").set("KOPIA_CACHE_DIR", "/cache").set("HOME", "/");
    place.set("KOPIA_REPOSITORY", "filesystem:///mnt/repo");
    let mut command = pod.command(ROOT, &["/mover-kopia/entry.sh", "restore"]);
    command.envs(&place.env);
    place.end(command).with(0, "Snapshot restore completed");
    place.holds(S3);
}
