//! Checks that a restored tree is the source tree: names, kinds, modes, owners, times, links and every byte.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// Compares, streaming. The root's own attributes are not compared: not every tool keeps them. Kopia gives directories
/// the newest time below them, not their own: only its restores go without `directory_times`.
///
/// # Errors
/// At the first difference.
pub(crate) fn equal_trees(source: &Path, target: &Path, directory_times: bool) -> Result<()> {
    let mut stack = vec![PathBuf::new()];
    while let Some(below) = stack.pop() {
        let (wanted, found) = (names(&source.join(&below))?, names(&target.join(&below))?);
        if let Some(name) = wanted.symmetric_difference(&found).next() {
            let side = if wanted.contains(name) { "missing" } else { "not expected" };
            anyhow::bail!("{}: {side}", below.join(name).display());
        }
        for name in wanted {
            let path = below.join(name);
            let same = equal_entries(&source.join(&path), &target.join(&path), directory_times);
            if same.with_context(|| path.display().to_string())? {
                stack.push(path);
            }
        }
    }
    Ok(())
}

/// Whether they are directories.
fn equal_entries(source: &Path, target: &Path, directory_times: bool) -> Result<bool> {
    let (want, have) = (fs::symlink_metadata(source)?, fs::symlink_metadata(target)?);
    let kinds = (want.file_type(), have.file_type());
    ensure!(kinds.0 == kinds.1, "type expected {:?}, found {:?}", kinds.0, kinds.1);
    let owners = ((want.uid(), want.gid()), (have.uid(), have.gid()));
    ensure!(owners.0 == owners.1, "owner expected {:?}, found {:?}", owners.0, owners.1);
    if want.is_symlink() {
        ensure!(fs::read_link(source)? == fs::read_link(target)?, "another link target");
        return Ok(false);
    }
    ensure!(want.mode() == have.mode(), "mode expected {:o}, found {:o}", want.mode(), have.mode());
    let times = ((want.mtime(), want.mtime_nsec()), (have.mtime(), have.mtime_nsec()));
    let compared = directory_times || !want.is_dir();
    ensure!(!compared || times.0 == times.1, "time expected {:?}, found {:?}", times.0, times.1);
    if want.is_file() {
        ensure!(want.len() == have.len(), "size expected {}, found {}", want.len(), have.len());
        equal_bytes(source, target)?;
    }
    Ok(want.is_dir())
}

fn equal_bytes(source: &Path, target: &Path) -> Result<()> {
    let (mut want, mut have) = (File::open(source)?, File::open(target)?);
    let len = want.metadata()?.len();
    let size = len.clamp(1, 1 << 20) as usize;
    let (mut a, mut b) = (vec![0; size], vec![0; size]);
    let mut at = 0;
    while at < len {
        let n = (len - at).min(size as u64) as usize;
        want.read_exact(&mut a[..n])?;
        have.read_exact(&mut b[..n])?;
        ensure!(a[..n] == b[..n], "other data within {n} bytes from {at}");
        at += n as u64;
    }
    Ok(())
}

fn names(directory: &Path) -> Result<BTreeSet<OsString>> {
    let entries = fs::read_dir(directory).with_context(|| directory.display().to_string())?;
    entries.map(|entry| Ok(entry?.file_name())).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::change::{Change, apply};
    use rekopia_testkit::corpus::{Texture, big_file, small_files, write_directory};

    type Damage = fn(&Path);

    #[test]
    fn every_kind_of_difference_is_found() {
        let base = tempfile::tempdir().unwrap();
        let tree = |name: &str| {
            let path = base.path().join(name);
            write_directory(&path, |target| {
                small_files(target, 30, 2000.0, 1)?;
                big_file(target, 3 << 20, Texture::Text, 2)
            })
            .unwrap();
            path
        };
        let source = tree("a");
        equal_trees(&source, &tree("b"), true).unwrap();
        let damages: [(&str, Damage); 6] = [
            ("missing", |p| fs::remove_file(p.join("big.bin")).unwrap()),
            ("not expected", |p| fs::write(p.join("more"), "").unwrap()),
            ("mode", |p| fs::set_permissions(p.join("big.bin"), PermissionsExt::from_mode(0o640)).unwrap()),
            ("time", |p| {
                File::open(p.join("big.bin")).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
            }),
            ("other data", |p| {
                apply(p, &Change { block: 4096, keep_times: true, seed: 1 }).unwrap();
            }),
            ("type", |p| {
                fs::remove_file(p.join("big.bin")).unwrap();
                fs::create_dir(p.join("big.bin")).unwrap();
            }),
        ];
        for (number, (what, damage)) in damages.into_iter().enumerate() {
            let target = tree(&format!("c{number}"));
            damage(&target);
            let error = format!("{:#}", equal_trees(&source, &target, true).unwrap_err());
            assert!(error.contains(what), "{what}: {error}");
        }
    }
}
