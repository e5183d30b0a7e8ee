//! Who restores, onto whose volume.

use std::path::Path;

use rekopia_testkit::pod::{Pod, ROOT, User};

use crate::made::{Made, odd_modes, small_files};
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
    let expected = made.as_made_by(user.uid, gid);
    let root = |place: &Place| {
        let mut tree = place.tree();
        let root = tree.entries.remove("").unwrap();
        let diff = expected.diff(&tree, &[]);
        assert!(diff.is_empty(), "{user:?} on {volume}:\n{diff}");
        (root.uid, root.gid, root.mode)
    };
    let log = place.restore(user, 0);
    let first = root(&place);
    assert!(log.contains("attributes not settable as this user"), "{log}");
    assert!(place.message()["fidelity"].as_u64().unwrap() > 0, "{}", place.message());
    let before = change_times(&place.data());
    let log = place.restore(user, 0);
    assert_eq!(first, root(&place));
    assert!(log.contains("files were right already"), "{log}");
    let after = change_times(&place.data());
    let changed: Vec<_> = before.iter().filter(|(path, time)| after.get(*path) != Some(time)).collect();
    // What its owner may not read or enter is opened for a moment, nothing else.
    let closed = |path: &Path| {
        let need = if place.data().join(path).is_dir() { 0o700 } else { 0o400 };
        expected.entries.get(path.to_str().unwrap()).is_some_and(|entry| entry.mode & need != need)
    };
    assert!(changed.iter().all(|(path, _)| closed(path)), "{changed:?}");

    for (name, text) in [("fixed/deeper/nothing", "other"), ("blind/inside", ""), ("large", "short")] {
        std::fs::write(place.data().join(name), text).unwrap();
    }
    place.restore(user, 0);
    assert_eq!(first, root(&place));
}

fn odd() -> Option<Made> {
    Pod::has_users().then(|| Made::of(odd_modes))
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
