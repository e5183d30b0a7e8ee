//! Finds out where target and repository lie in each other: by device and inode, through links and bind mounts.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use super::error::SinkError;
use super::mounts::device;

/// Refuses a target in the repository; where extras go (`delete_extra`) also one that holds it, and the root of
/// everything. Returns the device and inode of the repository's folder.
pub(super) fn check(
    target: &Path,
    repository: Option<&Path>,
    delete_extra: bool,
) -> Result<Option<(u64, u64)>, SinkError> {
    let shown = target.to_string_lossy();
    let target = real(target).map_err(|e| SinkError::std("looking at", &shown, e))?;
    if delete_extra
        && (target == Path::new("/") || id(&target).is_some_and(|it| Some(it) == id(Path::new("/"))))
    {
        let why = "it is the root of the whole system, where extras are not deleted";
        return Err(SinkError::immovable(&shown, why));
    }
    let Some(repository) = repository else { return Ok(None) };
    let repository =
        real(repository).map_err(|e| SinkError::std("looking at", &repository.to_string_lossy(), e))?;
    if holds(&repository, &target) {
        return Err(SinkError::immovable(&shown, "the target is in the repository that is restored from"));
    }
    if delete_extra && holds(&target, &repository) {
        let why = "the target holds the repository that is restored from, which would be deleted as an extra";
        return Err(SinkError::immovable(&shown, why));
    }
    Ok(id(&repository))
}

/// Returns the path without links, as far as it exists.
fn real(path: &Path) -> std::io::Result<PathBuf> {
    let mut missing = Vec::new();
    let mut existing = std::path::absolute(path)?;
    loop {
        match existing.canonicalize() {
            Ok(real) => return Ok(missing.iter().rev().fold(real, |path, name: &OsString| path.join(name))),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                let Some(name) = existing.file_name() else { return Err(e) };
                missing.push(name.to_owned());
                existing.pop();
            }
            Err(e) => return Err(e),
        }
    }
}

fn id(path: &Path) -> Option<(u64, u64)> {
    let stat = rustix::fs::stat(path).ok()?;
    Some((device(&stat), stat.st_ino))
}

/// Whether `inner` is `outer` or lies below it.
fn holds(outer: &Path, inner: &Path) -> bool {
    let Some(outer_id) = id(outer) else { return inner.starts_with(outer) };
    if inner.ancestors().any(|above| id(above) == Some(outer_id)) {
        return true;
    }
    let mounts = std::fs::read("/proc/self/mountinfo").unwrap_or_default();
    match (Place::of(outer, &mounts), Place::of(inner, &mounts)) {
        (Some(outer), Some(inner)) => inner.device == outer.device && inner.path.starts_with(&outer.path),
        _ => false,
    }
}

/// A path inside its file system, whatever is mounted where.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    device: Vec<u8>,
    path: PathBuf,
}

impl Place {
    /// Looks the path up in what `/proc/self/mountinfo` lists: of the mounts that hold it the last of the longest.
    fn of(path: &Path, mounts: &[u8]) -> Option<Place> {
        let mut best: Option<(usize, Place)> = None;
        for line in mounts.split(|byte| *byte == b'\n') {
            let mut fields = line.split(|byte| *byte == b' ').skip(2);
            let (Some(device), Some(root), Some(at)) = (fields.next(), fields.next(), fields.next()) else {
                continue;
            };
            let (root, at) = (unescaped(root), unescaped(at));
            let Ok(below) = path.strip_prefix(&at) else { continue };
            let depth = at.components().count();
            if best.as_ref().is_none_or(|(best, _)| depth >= *best) {
                best = Some((depth, Place { device: device.to_vec(), path: root.join(below) }));
            }
        }
        best.map(|(_, place)| place)
    }
}

/// Decodes a path of `mountinfo`, where blanks and the like are written as three octal digits.
fn unescaped(field: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..3).filter(|_| *first == b'\\').and_then(|d| std::str::from_utf8(d).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[3..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    PathBuf::from(OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bind_mounts_lead_to_one_place() {
        let mounts =
            b"1 0 8:1 / / rw - ext4 /dev/a rw\n2 1 8:1 /srv/re\\040po/p /mnt/x rw - ext4 /dev/a rw\n";
        let place = |path: &str| Place::of(Path::new(path), mounts).unwrap();
        assert_eq!(place("/mnt/x/deep"), place("/srv/re po/p/deep"));
        assert_ne!(place("/mnt/y"), place("/srv/re po/p/y"));
    }

    #[test]
    fn links_do_not_hide_an_overlap() {
        let dir = tempfile::tempdir().unwrap();
        let (repo, link) = (dir.path().join("repo"), dir.path().join("link"));
        std::fs::create_dir_all(repo.join("p")).unwrap();
        std::os::unix::fs::symlink(repo.join("p"), &link).unwrap();
        for target in [link.join("new/target"), repo.clone(), repo.join("p")] {
            assert!(check(&target, Some(&repo), false).is_err(), "{}", target.display());
        }
        assert!(check(dir.path(), Some(&repo), true).is_err());
        assert_eq!(check(dir.path(), Some(&repo), false).unwrap(), id(&repo));
        assert_eq!(check(&dir.path().join("repository"), Some(&repo), true).unwrap(), id(&repo));
        assert!(check(Path::new("/"), None, true).is_err() && check(Path::new("/"), None, false).is_ok());
    }
}
