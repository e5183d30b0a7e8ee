//! Volumes that are full, read-only or strange; a pod without what others have.

use std::path::Path;

use rekopia_testkit::pod::{Pod, ROOT, User};
use rekopia_testkit::skip::has_programs;

use crate::made::{Made, large_files, small_files};
use crate::place::{APP, Place, owner, usual_volume};

/// Nothing half-written: what is there is as in the snapshot, down to its time.
#[track_caller]
fn only_whole_files(made: &Made, place: &Place, foreign: &[&str]) -> usize {
    let found = place.tree();
    let mut whole = 0;
    for (path, entry) in
        found.entries.iter().filter(|(path, e)| e.kind != 'd' && !foreign.contains(&path.as_str()))
    {
        let wanted = &made.tree.entries[path];
        assert_eq!((entry.size, &entry.sha256), (wanted.size, &wanted.sha256), "{path} is half-written");
        assert_eq!((entry.mode, entry.mtime_ns), (wanted.mode, wanted.mtime_ns), "{path} is unfinished");
        whole += 1;
    }
    whole
}

/// Restores into a volume that is too small; then gives it what it lacks and tries again.
fn full(made: &Made, user: User, volume: &str, cause: &str) {
    // The volume is not empty: how much it will take is not known beforehand.
    let marked = format!("{volume}\n: > $R/restore/data/marker\nchmod 644 $R/restore/data/marker");
    for (volume, foreign) in [(volume, &[][..]), (&marked, &["marker"])] {
        let Some(place) = Place::new(&made.repo(), user, volume, "") else { return };
        for _ in 0..2 {
            let log = place.restore(user, 16);
            assert!(log.contains(cause), "{cause:?} is not in: {log}");
            let verdict = log.lines().find(|line| line.contains("restore failed (destination, exit 16)"));
            assert!(verdict.is_some_and(|line| line.contains(cause)), "the status does not say why: {log}");
            let whole = only_whole_files(made, &place, foreign);
            assert!(whole < made.tree.entries.values().filter(|e| e.kind == 'f').count());
        }
        assert_eq!(place.message()["exitCode"], 16);
    }
}

fn tmpfs(options: &str) -> String {
    let group = if Pod::has_users() { ",mode=2775,gid=1234" } else { "" };
    format!("mount -t tmpfs -o {options}{group} none $R/restore/data")
}

/// Whether [`ext4`] can be had: made by a program, mounted by root.
fn has_ext4() -> bool {
    Pod::has_users() && has_programs("a volume of ext4", &["mke2fs"])
}

/// Makes a file system of its own in a file of so many MiB.
fn ext4(mib: u32, options: &str) -> String {
    format!(
        "truncate -s {mib}M $R/../image; mke2fs -q -t ext4 -m 0 {options} $R/../image\n\
         mount -o loop $R/../image $R/restore/data; chown 0:1234 $R/restore/data; chmod 2775 $R/restore/data"
    )
}

#[test]
fn many_small_files_that_do_not_fit() {
    // 240 kB in 400 blocks: the sum fits, the blocks do not.
    let made = Made::of(|root| small_files(root, 400, 600));
    full(&made, APP, &tmpfs("size=1m"), "the target is full");
    full(&made, ROOT, &tmpfs("size=1m"), "the target is full");
    if has_ext4() {
        full(&made, APP, &ext4(1, "-b 4096 -N 600"), "the target is full");
    }
}

#[test]
fn more_files_than_inodes() {
    let made = Made::of(|root| small_files(root, 400, 60));
    full(&made, APP, &tmpfs("size=8m,nr_inodes=200"), "the target is full");
    if has_ext4() {
        full(&made, APP, &ext4(8, "-N 128"), "the target is full");
    }
}

#[test]
fn large_files_that_do_not_fit() {
    let made = Made::of(|root| large_files(root, 3, 3 << 20));
    let marked = "\n: > $R/restore/data/marker\nchmod 644 $R/restore/data/marker";
    for volume in [tmpfs("size=7m"), ext4(9, "")] {
        if volume.contains("mke2fs") && !has_ext4() {
            continue;
        }
        // An empty one is refused before anything is written.
        if let Some(place) = Place::new(&made.repo(), APP, &volume, "") {
            let log = place.restore(APP, 16);
            assert!(log.contains(" are needed, "), "{log}");
            assert_eq!(only_whole_files(&made, &place, &[]), 0);
        }
        if let Some(place) = Place::new(&made.repo(), APP, &(volume + marked), "") {
            let log = place.restore(APP, 16);
            assert!(log.contains("the target is full"), "{log}");
            assert!(only_whole_files(&made, &place, &["marker"]) < 3);
        }
    }
}

#[test]
fn what_was_there_stays_when_its_change_does_not_fit() {
    let made = Made::of(|root| {
        large_files(root, 1, 3 << 20);
        small_files(root, 40, 600);
    });
    // Larger than the snapshot has it, other bytes, and hardly any room beside it.
    let old = "head -c 3000000 /dev/zero > $R/restore/data/large-0; chown 1234:1234 $R/restore/data/large-0";
    let Some(place) = Place::new(&made.repo(), APP, &format!("{}\n{old}", tmpfs("size=4m")), "") else {
        return;
    };
    let log = place.restore(APP, 16);
    assert!(log.contains("the target is full"), "{log}");
    let kept = std::fs::read(place.data().join("large-0")).unwrap();
    assert!(
        kept.len() == 3_000_000 && kept.iter().all(|byte| *byte == 0),
        "an existing file was half-changed"
    );
    only_whole_files(&made, &place, &["large-0"]);
}

/// The volume has room for what is new, but not for it and for the longer file: known before the old one is touched.
#[test]
fn what_was_there_stays_when_it_cannot_grow() {
    let made = Made::of(|root| large_files(root, 1, 3 << 20));
    let ours = "head -c 9000 /dev/zero > $R/restore/data/large-0; chown 1234:1234 $R/restore/data/large-0";
    // Somebody else's is replaced, and stays until the new one is complete.
    let other = "head -c 9000 /dev/zero > $R/restore/data/large-0; chown 777:777 $R/restore/data/large-0";
    for (old, size, more) in [(ours, "5m", ""), (other, "2m", ""), (other, "2m", "umount -l $R/proc")] {
        if old == other && !Pod::has_users_or_skips() {
            continue;
        }
        let touched = format!("{old}; touch -d 2020-02-02T02:02:02Z $R/restore/data/large-0");
        let volume = format!("{}\n{touched}", tmpfs(&format!("size={size}")));
        let Some(place) = Place::new(&made.repo(), APP, &volume, more) else { return };
        let files = || {
            let mut tree = place.tree();
            tree.entries.remove("");
            tree
        };
        let before = files();
        let log = place.restore(APP, 16);
        assert!(log.contains("the target is full"), "{log}");
        let diff = before.diff(&files(), &[]);
        assert!(diff.is_empty(), "an existing file was changed: {diff}");
    }
}

/// Not the disk but the share of it is used up: nothing tells that before it happens.
#[test]
fn a_quota_that_is_used_up() {
    let supported = std::fs::read_to_string("/proc/filesystems").is_ok_and(|list| list.contains("btrfs"));
    if !supported {
        rekopia_testkit::kernel_lacks("btrfs, the file system with quotas");
        return;
    }
    if !Pod::has_users_or_skips() || !has_programs("a volume with a quota", &["mkfs.btrfs", "btrfs"]) {
        return;
    }
    let volume = "truncate -s 120M $R/../image; mkfs.btrfs -q $R/../image >/dev/null 2>&1; mount -o loop $R/../image $R/restore/data\n\
                  btrfs quota enable $R/restore/data >&2; btrfs qgroup limit 4M $R/restore/data >&2\n\
                  chown 0:1234 $R/restore/data; chmod 2775 $R/restore/data";
    full(&Made::of(|root| small_files(root, 200, 60_000)), APP, volume, "Disk quota exceeded");

    // A file differs, and there is no room for what is new: in place, and replaced because it is somebody else's.
    let made = Made::of(|root| small_files(root, 30, 60_000));
    let source = made.dir.path().join("source");
    let changed = "folder-001/file-00029";
    for owner in [1234, 777] {
        let volume = format!(
            "{volume}\ncp -a {source:?}/* $R/restore/data; chown -R 1234:1234 $R/restore/data/folder-*\n\
             head -c 1M /dev/urandom > $R/restore/data/{changed}; chown {owner}:1234 $R/restore/data/{changed}\n\
             for n in 1 2 3 4; do head -c 1M /dev/urandom >> $R/restore/data/filler || true; sync; done 2>&-"
        );
        let Some(place) = Place::new(&made.repo(), APP, &volume, "") else { return };
        let before = std::fs::read(place.data().join(changed)).unwrap();
        let log = place.restore(APP, 16);
        assert!(log.contains("the quota is used up"), "{log}");
        // A file system that writes anew what it overwrites can promise nothing in place.
        let kept = before == std::fs::read(place.data().join(changed)).unwrap();
        assert!(kept || owner == 1234 && log.contains("left half-changed"), "{log}");
        only_whole_files(&made, &place, &[changed, "filler"]);
    }
}

#[test]
fn a_read_only_volume() {
    let made = Made::of(|root| small_files(root, 3, 60));
    let volume = format!("{}\nmount -o remount,bind,ro $R/restore/data", usual_volume());
    for user in [ROOT, APP] {
        let Some(place) = Place::new(&made.repo(), user, &volume, "") else { continue };
        let log = place.restore(user, 16);
        assert!(log.contains("read-only"), "{log}");
        assert_eq!(place.tree().entries.len(), 1);
    }
}

#[test]
fn a_volume_of_somebody_else() {
    let made = Made::of(|root| small_files(root, 3, 60));
    let volume = "chown 777:777 $R/../data; chmod 755 $R/../data; mount --bind $R/../data $R/restore/data";
    for user in [ROOT, APP] {
        if !Pod::has_users_or_skips() {
            return;
        }
        let Some(place) = Place::new(&made.repo(), user, volume, "") else { continue };
        let log = place.restore(user, 16);
        assert!(log.contains("ermission denied"), "{log}");
        assert_eq!(place.tree().entries.len(), 1);
    }
}

/// A pod that lacks something and restores all the same.
fn restores_all_the_same(volume: &str, more: &str, change: impl Fn(&mut Place)) {
    let made = Made::of(|root| small_files(root, 30, 600));
    for user in [ROOT, APP] {
        let Some(mut place) = Place::new(&made.repo(), user, volume, more) else { continue };
        change(&mut place);
        place.restore(user, 0);
        let mut tree = place.tree();
        tree.entries.remove("");
        let (uid, gid) = owner(user);
        let diff = made.as_made_by(uid, gid).diff(&tree, &[]);
        assert!(diff.is_empty(), "{user:?}, {more}:\n{diff}");
    }
}

#[test]
fn a_cache_that_is_full_read_only_or_not_there() {
    restores_all_the_same(usual_volume(), "mount -o remount,bind,ro $R/cache", |_| {});
    let full = "mount -t tmpfs -o size=8k,mode=777 none $R/cache; head -c 64k /dev/zero > $R/cache/x || true";
    restores_all_the_same(usual_volume(), full, |_| {});
    restores_all_the_same(usual_volume(), "", |place| {
        place.env.insert("KOPIA_CACHE_DIR".into(), "/not/there".into());
    });
}

#[test]
fn no_network_with_a_mounted_repository() {
    restores_all_the_same(usual_volume(), "", |place| place.pod.without_network());
}

#[test]
fn a_termination_message_that_cannot_be_written() {
    for spoiled in [
        "chmod 444 $R/dev/termination-log; mount --bind $R/dev/termination-log $R/dev/termination-log; \
         mount -o remount,bind,ro $R/dev/termination-log",
        "rm $R/dev/termination-log",
        "rm $R/dev/termination-log; mkdir $R/dev/termination-log",
        "umount -l $R/dev",
        "umount -l $R/proc",
    ] {
        restores_all_the_same(usual_volume(), spoiled, |_| {});
    }
}

#[test]
fn lost_and_found_is_no_data() {
    // Every new ext4 volume has one, root's and closed.
    if !Pod::has_users_or_skips() || !has_ext4() {
        return;
    }
    let made = Made::of(|root| small_files(root, 30, 600));
    let Some(place) = Place::new(&made.repo(), APP, &ext4(16, ""), "") else { return };
    for deletion in ["false", "true"] {
        let mut command = place.command(APP, "restore");
        let output = command.env("KOPIA_ENABLE_FILE_DELETION", deletion).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stdout));
        assert!(Path::new(&place.data().join("lost+found")).is_dir());
        assert_eq!(only_whole_files(&made, &place, &[]), 30);
    }
}
