//! Restores as several users onto volumes of several owners.

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rekopia_testkit::skip::has_programs;
use rekopia_testkit::tree::Tree;

use crate::place::{Place, is_root};
use crate::stock;
use crate::table::{Case, run};

pub(crate) const CASES: &[Case] = &[
    ("T31", run(unprivileged)),
    ("T31b", run(root_without_capabilities)),
    ("T31c", run(files_of_others)),
    ("T31h", run(repository_not_listable)),
    ("T31i", run(repository_not_writable)),
    ("T32", run(privileged)),
    ("T33", run(root_attributes)),
];

/// Owner and group of the snapshot of `own@ns:/data`.
const OWNER: (u32, u32) = (10_000, 10_001);

/// Returns the tree of `own@ns:/data` with another owner everywhere.
fn owned_by(uid: u32, gid: u32) -> Tree {
    let mut tree = stock::tree("own-privileged");
    for entry in tree.entries.values_mut() {
        (entry.uid, entry.gid) = (uid, gid);
    }
    tree
}

#[track_caller]
fn assert_tree(place: &Place, expected: &Tree) {
    let diff = expected.diff(&Tree::read(&place.data()), &[]);
    assert!(diff.is_empty(), "{diff}");
}

fn unprivileged() {
    let mut place = Place::of_user("own");
    place.copied();
    let (uid, gid) = if is_root() { (1234, 1234) } else { own() };
    let command = || if is_root() { place.command_as(1234) } else { place.command() };
    chown(place.data(), Some(uid), Some(gid)).unwrap();
    place.end(command()).with(0, "attributes not settable as this user");
    assert_tree(&place, &owned_by(uid, gid));
    if is_root() {
        // A directory of somebody else is in the way.
        let folder = place.data().join("sub");
        std::fs::remove_file(folder.join("f1.txt")).unwrap();
        chown(&folder, Some(777), Some(777)).unwrap();
        place.end(command()).with(3, "sub/f1.txt");
        shared_by_group();
    }
}

/// Uid 0 as the operator's pods have it where nothing is set.
fn root_without_capabilities() {
    let place = Place::of_user("own");
    let command = if is_root() { with_capabilities(&place, "-all") } else { Some(place.command()) };
    let Some(command) = command else { return };
    place.end(command).with(0, "attributes not settable as this user");
    let (uid, gid) = own();
    assert_tree(&place, &owned_by(uid, gid));
}

/// Returns the mover as root with these capabilities; `None` where nothing can take the others away.
fn with_capabilities(place: &Place, capabilities: &str) -> Option<Command> {
    if !has_programs("root with few capabilities", &["setpriv"]) {
        return None;
    }
    let inner = place.command();
    let mut command = Command::new("setpriv");
    command.args([&format!("--bounding-set={capabilities}"), "--inh-caps=-all", "--ambient-caps=-all"]);
    command.arg(inner.get_program()).args(inner.get_args());
    command.env_clear().envs(&place.env).current_dir("/").stdin(Stdio::null());
    Some(command)
}

/// Files of another owner in our folders are replaced, whether they can be read or not.
fn files_of_others() {
    if !is_root() {
        rekopia_testkit::must_run("a test with files of others", "it needs root");
        return;
    }
    for mode in [0o644, 0o600] {
        let mut place = Place::of_user("own");
        place.copied();
        chown_data(&place, 1234);
        place.end(place.command_as(1234)).with(0, "Snapshot restore completed");
        let expected = Tree::read(&place.data());
        for (path, text) in
            [("sub/f1.txt", "other"), ("sub/f2.txt", ""), ("version.txt", "longer than it was")]
        {
            let file = place.data().join(path);
            assert!(file.is_file(), "{path} is not in the snapshot");
            std::fs::write(&file, text).unwrap();
            chown(&file, Some(777), Some(777)).unwrap();
            std::fs::set_permissions(&file, PermissionsExt::from_mode(mode)).unwrap();
        }
        place.end(place.command_as(1234)).with(0, "Snapshot restore completed");
        assert_tree(&place, &expected);
    }
}

/// A volume of root with the mover's group on it, as `fsGroup` makes it: its root is never made private.
fn shared_by_group() {
    let mut place = Place::new();
    place.copied();
    chown(place.data(), Some(0), Some(1234)).unwrap();
    std::fs::set_permissions(place.data(), PermissionsExt::from_mode(0o2775)).unwrap();
    for _ in 0..2 {
        let ended = place.end(place.command_as(1234)).with(0, "Snapshot restore completed");
        assert_eq!(std::fs::metadata(place.data()).unwrap().mode() & 0o7777, 0o2775, "{}", ended.log);
        let file = std::fs::metadata(place.data().join("sub/f2.txt")).unwrap();
        assert_eq!((file.uid(), file.gid(), file.mode() & 0o6000), (1234, 1234, 0), "{}", ended.log);
    }
}

fn repository_not_listable() {
    let mut place = Place::new();
    let repo = place.copied();
    chown_data(&place, 1234);
    let folders = folders(&repo);
    let mode = if is_root() { 0o711 } else { 0o100 };
    for folder in folders.iter().rev() {
        std::fs::set_permissions(folder, PermissionsExt::from_mode(mode)).unwrap();
    }
    let ended = place.end(if is_root() { place.command_as(1234) } else { place.command() });
    for folder in &folders {
        std::fs::set_permissions(folder, PermissionsExt::from_mode(0o755)).unwrap();
    }
    ended.with(15, "ermission denied");
    place.untouched();
    // The folders can also be listed, and nothing in them read.
    if is_root() {
        let format = std::fs::read_dir(&repo).unwrap().map(|e| e.unwrap().path()).filter(|p| p.is_file());
        for file in format {
            std::fs::set_permissions(file, PermissionsExt::from_mode(0o600)).unwrap();
        }
        place.end(place.command_as(1234)).with(15, "ermission denied");
        place.untouched();
    }
}

fn repository_not_writable() {
    let mut place = Place::new();
    let repo = place.copied();
    chown_data(&place, 1234);
    for folder in folders(&repo) {
        std::fs::set_permissions(folder, PermissionsExt::from_mode(0o555)).unwrap();
    }
    let before = Tree::read(&repo);
    let ended = place.end(if is_root() { place.command_as(1234) } else { place.command() });
    ended.with(0, "Snapshot restore completed");
    assert!(before.diff(&Tree::read(&repo), &[]).is_empty(), "the repository was written to");
    for folder in folders(&repo) {
        std::fs::set_permissions(folder, PermissionsExt::from_mode(0o755)).unwrap();
    }
}

fn privileged() {
    let mut place = Place::of_user("own");
    place.set("PRIVILEGED_MOVER", "1");
    if is_root() {
        let command = with_capabilities(&place, "-all,+chown,+fowner,+dac_override");
        let Some(command) = command else { return };
        place.end(command).with(0, "restore completed");
        assert_tree(&place, &owned_by(OWNER.0, OWNER.1));
    } else {
        // Without the capability the files are there, and what they lack is said.
        place.ends(0, "attributes not settable as this user");
        assert_tree(&place, &owned_by(own().0, own().1));
    }
}

fn root_attributes() {
    let place = Place::of_user("own");
    std::fs::set_permissions(place.data(), PermissionsExt::from_mode(0o777)).unwrap();
    place.ends(0, "Snapshot restore completed");
    let root = std::fs::metadata(place.data()).unwrap();
    let expected = stock::tree("own-privileged").entries[""].clone();
    assert_eq!((root.mode() & 0o7777, expected.mode), (0o750, 0o750));
    if is_root() {
        assert_eq!((root.uid(), root.gid()), OWNER);
    }
}

fn own() -> (u32, u32) {
    (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw())
}

fn chown_data(place: &Place, uid: u32) {
    if is_root() {
        chown(place.data(), Some(uid), Some(uid)).unwrap();
    }
}

/// Returns the folder and all below it, children last.
fn folders(of: &Path) -> Vec<PathBuf> {
    let mut all = vec![of.to_path_buf()];
    let mut at = 0;
    while let Some(folder) = all.get(at).cloned() {
        let entries = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path());
        all.extend(entries.filter(|p| p.is_dir()));
        at += 1;
    }
    all
}
