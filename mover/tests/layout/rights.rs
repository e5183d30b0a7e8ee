//! What a run may do less than others, or more; what it opens for itself is closed again.

use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::Command;

use rekopia_testkit::pod::{Pod, ROOT};

use crate::made::{Made, large_files, small_files};
use crate::place::{APP, Ended, FS_GROUP, Place, plain};

/// Runs the command, started by another program.
fn started_by(program: &[&str], inner: &Command) -> Ended {
    let mut command = Command::new(program[0]);
    command.args(&program[1..]).arg(inner.get_program()).args(inner.get_args()).env_clear();
    command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    Ended::of(command.output().unwrap())
}

/// `capabilities: {drop: [ALL], add: [CHOWN]}`: what is given away can no longer be linked.
#[test]
fn who_may_only_give_files_away_loses_none() {
    if !Pod::has_users_or_skips() {
        return;
    }
    let made = Made::of(|root| {
        small_files(root, 2, 600);
        chown(root.join("folder-000/file-00000"), Some(1000), Some(1000)).unwrap();
    });
    let dir = tempfile::tempdir().unwrap();
    let (data, other) = (dir.path().join("data"), dir.path().join("other"));
    let file = data.join("folder-000/file-00000");
    std::fs::create_dir_all(data.join("folder-000")).unwrap();
    std::fs::write(&file, "old").unwrap();
    std::fs::hard_link(&file, &other).unwrap();
    let powers = ["setpriv", "--bounding-set=-all,+chown", "--inh-caps=-all", "--ambient-caps=-all"];
    let ended = started_by(&powers, &plain(&made.repo(), &data));
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    let source = made.dir.path().join("source/folder-000/file-00000");
    assert!(std::fs::read(&file).unwrap() == std::fs::read(source).unwrap());
    assert_eq!(std::fs::metadata(&file).unwrap().uid(), 1000);
    assert_eq!(std::fs::read(&other).unwrap(), b"old");
    assert_eq!(std::fs::read_dir(data.join("folder-000")).unwrap().count(), 2);
}

/// Only one of two links has room to be replaced.
#[test]
fn a_link_stays_until_the_new_one_is_there() {
    let made = Made::of(|root| {
        for name in ["one", "two"] {
            symlink("somewhere/".repeat(40), root.join(name)).unwrap();
        }
    });
    let volume = "mount -t tmpfs -o size=64k none $R/restore/data; cd $R/restore/data\n\
                  ln -s old one; ln -s old two; dd if=/dev/zero of=full bs=4096 count=15 status=none; cd /";
    let Some(place) = Place::new(&made.repo(), ROOT, volume, "") else { return };
    place.restore(ROOT, 16);
    let links = ["one", "two"].map(|name| std::fs::read_link(place.data().join(name)).unwrap());
    assert_eq!(links.iter().filter(|to| *to == Path::new("old")).count(), 1, "{links:?}");
    assert_eq!(std::fs::read_dir(place.data()).unwrap().count(), 3);
}

#[test]
fn a_file_for_which_there_is_no_room_stays_closed() {
    let made = Made::of(|root| {
        large_files(root, 1, 48 << 10);
        std::fs::set_permissions(root.join("large-0"), Permissions::from_mode(0o400)).unwrap();
    });
    let volume = "mount -t tmpfs -o size=64k none $R/restore/data; cd $R/restore/data\n\
                  truncate -s 48K large-0; touch -d @1000000000 large-0; chmod 400 large-0\n\
                  dd if=/dev/zero of=full bs=4096 count=14 status=none; cd /";
    let Some(place) = Place::new(&made.repo(), ROOT, volume, "") else { return };
    let log = place.restore(ROOT, 16);
    assert!(log.contains("full"), "{log}");
    let meta = std::fs::metadata(place.data().join("large-0")).unwrap();
    assert_eq!((meta.mode() & 0o7777, meta.mtime(), meta.len()), (0o400, 1_000_000_000, 48 << 10));
    assert!(std::fs::read(place.data().join("large-0")).unwrap().iter().all(|byte| *byte == 0));
}

#[test]
fn a_root_of_ours_that_is_closed_for_writing() {
    if !Pod::has_users_or_skips() {
        return;
    }
    let made = Made::of(|root| {
        small_files(root, 3, 600);
        std::fs::write(root.join("here"), "").unwrap();
        chown(root, Some(1234), Some(1234)).unwrap();
        std::fs::set_permissions(root, Permissions::from_mode(0o555)).unwrap();
    });
    let volume = "chown 1234:1234 $R/../data; chmod 755 $R/../data; mount --bind $R/../data $R/restore/data";
    let Some(mut place) = Place::new(&made.repo(), APP, volume, "") else { return };
    let closed = |place: &Place| assert_eq!(place.tree().entries[""].mode, 0o555);
    for _ in 0..2 {
        place.restore(APP, 0);
        closed(&place);
    }
    std::fs::remove_file(place.data().join("here")).unwrap();
    place.restore(APP, 0);
    closed(&place);
    assert!(place.data().join("here").exists());
    place.env.insert("KOPIA_ENABLE_FILE_DELETION".into(), "true".into());
    // Removing is all there is to do, and it comes after the rest.
    for missing in [false, true] {
        std::fs::write(place.data().join("extra"), "").unwrap();
        if missing {
            std::fs::remove_file(place.data().join("here")).unwrap();
        }
        place.restore(APP, 0);
        closed(&place);
        assert!(place.data().join("here").exists() && !place.data().join("extra").exists());
    }
}

#[test]
fn what_is_opened_to_be_read_back_is_closed_again() {
    if !Pod::has_users_or_skips() {
        return;
    }
    let made = Made::of(|root| {
        for (name, mode) in [("none", 0o000), ("search", 0o111), ("list", 0o555)] {
            let folder = root.join(name).join("deeper");
            std::fs::create_dir_all(&folder).unwrap();
            for folder in [folder.as_path(), folder.parent().unwrap()] {
                std::fs::write(folder.join("file"), name).unwrap();
                std::fs::set_permissions(folder, Permissions::from_mode(mode)).unwrap();
            }
        }
    });
    let Some(mut place) = Place::new(&made.repo(), APP, FS_GROUP, "") else { return };
    place.env.insert("REKOPIA_VERIFY".into(), "true".into());
    for _ in 0..2 {
        place.restore(APP, 0);
        let mut tree = place.tree();
        tree.entries.remove("");
        let diff = made.as_made_by(1234, 1234).diff(&tree, &[]);
        assert!(diff.is_empty(), "{diff}");
    }
}

#[test]
fn a_file_that_all_may_write_in_a_folder_of_somebody_else() {
    if !Pod::has_users_or_skips() {
        return;
    }
    let made = Made::of(|root| {
        std::fs::create_dir(root.join("theirs")).unwrap();
        large_files(&root.join("theirs"), 1, 3 << 20);
    });
    let volume = format!(
        "{FS_GROUP}\nmkdir $R/restore/data/theirs; cd $R/restore/data/theirs; truncate -s 3M large-0\n\
         chmod 666 large-0; chown -R 777:777 .; chmod 755 .; cd /"
    );
    let Some(place) = Place::new(&made.repo(), APP, &volume, "") else { return };
    place.restore(APP, 0);
    let (file, source) = ("theirs/large-0", made.dir.path().join("source/theirs/large-0"));
    assert!(std::fs::read(place.data().join(file)).unwrap() == std::fs::read(source).unwrap());
    assert_eq!(std::fs::metadata(place.data().join(file)).unwrap().uid(), 777);
}

/// Forty folders in one another are open at once.
#[test]
fn a_small_limit_of_open_files_is_raised() {
    let made = Made::of(|root| {
        let deep = root.join("d/".repeat(40));
        std::fs::create_dir_all(&deep).unwrap();
        std::fs::write(deep.join("bottom"), "reached").unwrap();
    });
    let dir = tempfile::tempdir().unwrap();
    let limit = ["sh", "-ec", "ulimit -Sn 24; exec \"$0\" \"$@\""];
    let ended = started_by(&limit, &plain(&made.repo(), dir.path()));
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    let ended = started_by(
        &["sh", "-ec", "ulimit -Hn 24; exec \"$0\" \"$@\""],
        &plain(&made.repo(), &dir.path().join("d")),
    );
    assert_ne!(ended.code, Some(0), "the limit is none: {}", ended.log);
}
