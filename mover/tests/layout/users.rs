//! Restores as several users, onto volumes of several owners.

use std::path::Path;

use rekopia_testkit::pod::{Pod, ROOT, User};
use rekopia_testkit::tree::Tree;

use crate::made::{Made, large_files, odd_modes, small_files};
use crate::place::{APP, Ended, FRESH, FS_GROUP, Place, change_times, usual_volume};

#[test]
fn the_pod_is_what_it_claims_to_be() {
    let made = Made::of(|root| small_files(root, 1, 10));
    let setpriv = Pod::setpriv();
    for user in [ROOT, APP] {
        let Some(place) = Place::new(&made.repo(), user, usual_volume(), "") else { continue };
        let run = |program: &[&str]| Ended::of(place.pod.command(user, program).output().unwrap());
        let who = run(&[&setpriv, "--dump", "--dump"]).log;
        for line in [format!("uid: {}", user.uid), format!("gid: {}", user.gid)] {
            assert!(who.contains(&line), "{who}");
        }
        for none in ["Effective capabilities: [none]", "Capability bounding set: [none]", "no_new_privs: 1"] {
            assert!(who.contains(none), "{none}: {who}");
        }
        for absent in ["/tmp", "/etc/passwd", "/bin/sh", "/usr/bin/env"] {
            assert!(!place.pod.path(absent).exists(), "{absent}");
        }
        for read_only in ["/", "/mnt/repo"] {
            let made = std::fs::create_dir(place.pod.path(read_only).join("a new folder")).unwrap_err();
            assert_eq!(made.kind(), std::io::ErrorKind::ReadOnlyFilesystem, "{read_only}");
        }
    }
}

/// Twice in a row, then once more over damage: each time the same tree.
fn twice(made: &Made, user: User, gid: u32, volume: &str, lacks: &str) {
    let Some(mut place) = Place::new(&made.repo(), user, volume, "") else { return };
    place.env.remove(lacks);
    let mut expected = made.as_made_by(user.uid, gid);
    let root = |place: &Place, expected: &Tree| {
        let mut tree = place.tree();
        let root = tree.entries.remove("").unwrap();
        let diff = expected.diff(&tree, &[]);
        assert!(diff.is_empty(), "{user:?} on {volume}:\n{diff}");
        (root.uid, root.gid, root.mode)
    };
    let log = place.restore(user, 0);
    let first = root(&place, &expected);
    assert!(log.contains("attributes not settable as this user"), "{log}");
    assert!(place.message()["fidelity"].as_u64().unwrap() > 0, "{}", place.message());
    let before = change_times(&place.data());
    let log = place.restore(user, 0);
    assert_eq!(first, root(&place, &expected));
    assert!(log.contains("files were right already"), "{log}");
    let after = change_times(&place.data());
    let changed: Vec<_> = before.iter().filter(|(path, time)| after.get(*path) != Some(time)).collect();
    // What its owner may not read or enter is opened for a moment, nothing else.
    let closed = |path: &Path| {
        let need = if place.data().join(path).is_dir() { 0o500 } else { 0o400 };
        expected.entries.get(path.to_str().unwrap()).is_some_and(|entry| entry.mode & need != need)
    };
    assert!(changed.iter().all(|(path, _)| closed(path)), "{changed:?}");

    for (name, text) in [("fixed/deeper/nothing", "other"), ("blind/inside", ""), ("large", "short")] {
        std::fs::write(place.data().join(name), text).unwrap();
    }
    // Files, a link and a folder have to be made in folders that are closed for writing.
    std::fs::remove_file(place.data().join("fixed/plain")).unwrap();
    std::fs::remove_dir_all(place.data().join("fixed/deeper")).unwrap();
    std::fs::remove_dir_all(place.data().join("blind/deeper")).unwrap();
    // The folders have their own modes by now, and hand down no group.
    for path in ["fixed/plain", "fixed/deeper", "blind/deeper/inside"] {
        expected.entries.get_mut(path).unwrap().gid = user.gid;
    }
    place.restore(user, 0);
    assert_eq!(first, root(&place, &expected));
    // What is too much in them has to be taken away.
    std::fs::write(place.data().join("fixed/extra"), "").unwrap();
    std::fs::create_dir(place.data().join("fixed/deeper/extra")).unwrap();
    place.env.insert("KOPIA_ENABLE_FILE_DELETION".into(), "true".into());
    place.restore(user, 0);
    assert_eq!(first, root(&place, &expected));
}

fn odd() -> Option<Made> {
    Pod::has_users_or_skips().then(|| Made::of(odd_modes))
}

#[test]
fn uid_1234_restores_onto_a_volume_of_its_group() {
    let Some(made) = odd() else { return };
    twice(&made, APP, 1234, FS_GROUP, "nothing");
}

#[test]
fn uid_1234_needs_no_home() {
    let Some(made) = odd() else { return };
    twice(&made, APP, 1234, FS_GROUP, "HOME");
}

#[test]
fn uid_0_without_capabilities_restores_onto_a_fresh_volume() {
    let Some(made) = odd() else { return };
    twice(&made, ROOT, 0, FRESH, "nothing");
}

#[test]
fn a_root_that_is_not_ours_is_left_as_it_is() {
    let Some(made) = odd() else { return };
    let of_app = "chown 1000:1000 $R/../data; chmod 777 $R/../data; mount --bind $R/../data $R/restore/data";
    for (user, volume, expected) in [
        (APP, FS_GROUP, (0, 1234, 0o2775)),
        (ROOT, of_app, (1000, 1000, 0o777)),
        (APP, of_app, (1000, 1000, 0o777)),
    ] {
        let Some(place) = Place::new(&made.repo(), user, volume, "") else { continue };
        for _ in 0..2 {
            place.restore(user, 0);
            let root = &place.tree().entries[""];
            assert_eq!((root.uid, root.gid, root.mode), expected, "{user:?} on {volume}");
        }
    }
}

/// In a folder that we may write, files that we may not: they are replaced, and only when they are not right.
#[test]
fn files_of_somebody_else_are_replaced() {
    if !Pod::has_users_or_skips() {
        return;
    }
    let made = Made::of(|root| {
        small_files(root, 5, 600);
        large_files(root, 1, 12 << 20);
    });
    let source = made.dir.path().join("source");
    // Mostly right; longer; not to be read; with another name; empty and not to be read; right.
    let volume = format!(
        "{FS_GROUP}\ncp -a {source:?}/* $R/restore/data; cd $R/restore/data; chown -R 777:777 *\n\
         chown 1234:1234 folder-000; chmod 2755 folder-000\n\
         printf changed | dd of=large-0 bs=1 seek=9000000 conv=notrunc status=none\n\
         echo more >> folder-000/file-00000\n\
         echo other > folder-000/file-00001; chmod 600 folder-000/file-00001\n\
         echo other > folder-000/file-00002; ln folder-000/file-00002 second\n\
         : > folder-000/file-00003; chmod 600 folder-000/file-00003; cd /"
    );
    // Without this a file that has no name cannot be given one.
    for more in ["", "umount -l $R/proc"] {
        let Some(place) = Place::new(&made.repo(), APP, &volume, more) else { return };
        let log = place.restore(APP, 0);
        let mut tree = place.tree();
        tree.entries.remove("");
        tree.entries.remove("second");
        // What was right stays whose it is.
        let mut expected = made.as_made_by(1234, 1234);
        let right = expected.entries.get_mut("folder-000/file-00004").unwrap();
        (right.uid, right.gid) = (777, 777);
        let diff = expected.diff(&tree, &[]);
        assert!(diff.is_empty(), "{diff}\n{log}");
        assert_eq!(std::fs::read(place.data().join("second")).unwrap(), b"other\n");
        let before = change_times(&place.data());
        place.restore(APP, 0);
        assert_eq!(before, change_times(&place.data()));
    }
}
