//! Mounts a file system in the test's own process: it passes everything on to a folder, except for the faults that it
//! is told to have. It has no `O_TMPFILE`, as NFS, SMB and most of FUSE have none.

mod faults;
mod nodes;
mod passthrough;

use std::path::{Path, PathBuf};

use fuser::{BackgroundSession, Config, MountOption};

pub use faults::{Call, Faults, Op};

/// A mounted file system; dropping it unmounts.
#[derive(Debug)]
pub struct FuseMount {
    path: PathBuf,
    session: Option<BackgroundSession>,
    _place: tempfile::TempDir,
}

impl FuseMount {
    /// Mounts the folder `backing` a second time, with `faults`, which can be changed meanwhile.
    ///
    /// # Errors
    /// Why nothing can be mounted here: no `/dev/fuse`, no right to mount, no `fusermount3`.
    pub fn new(backing: &Path, faults: &Faults) -> Result<Self, String> {
        if !Path::new("/dev/fuse").exists() {
            return Err("there is no /dev/fuse".into());
        }
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("mount");
        std::fs::create_dir(&path).unwrap();
        let mut config = Config::default();
        config.mount_options =
            vec![MountOption::FSName("rekopia-testkit".into()), MountOption::DefaultPermissions];
        let passthrough = passthrough::Passthrough::new(backing, faults).map_err(|e| e.to_string())?;
        let session = fuser::spawn_mount(passthrough, &path, &config)
            .map_err(|e| format!("a FUSE file system cannot be mounted: {e}"))?;
        Ok(FuseMount { path, session: Some(session), _place: place })
    }

    /// Mounts as [`FuseMount::new`] does; where that fails the test is skipped, or fails if nothing may be skipped.
    pub fn or_skip(backing: &Path, faults: &Faults) -> Option<Self> {
        match FuseMount::new(backing, faults) {
            Ok(mount) => Some(mount),
            Err(reason) => {
                crate::must_run("a test on FUSE", &reason);
                None
            }
        }
    }

    /// Returns the path where the file system is mounted.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for FuseMount {
    fn drop(&mut self) {
        if let Some(session) = self.session.take()
            && let Err(e) = session.umount_and_join()
        {
            eprintln!("{}: unmounting: {e}", self.path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, symlink};

    use rustix::io::Errno;

    use super::*;

    #[test]
    fn it_is_a_file_system_and_has_the_faults_it_is_told_to_have() {
        let backing = tempfile::tempdir().unwrap();
        let faults = Faults::default();
        let Some(mount) = FuseMount::or_skip(backing.path(), &faults) else { return };
        let at = |name: &str| mount.path().join(name);
        std::fs::create_dir_all(at("a/b")).unwrap();
        std::fs::write(at("a/b/file"), "text").unwrap();
        symlink("b/file", at("a/link")).unwrap();
        std::fs::hard_link(at("a/b/file"), at("other")).unwrap();
        std::fs::rename(at("a/b"), at("a/c")).unwrap();
        assert_eq!(std::fs::read(backing.path().join("a/c/file")).unwrap(), b"text");
        assert_eq!(std::fs::read_link(at("a/link")).unwrap(), Path::new("b/file"));
        assert_eq!(std::fs::metadata(at("other")).unwrap().nlink(), 2);
        let mut names: Vec<_> = std::fs::read_dir(at("a")).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["c", "link"]);
        let file = std::fs::File::options().write(true).open(at("other")).unwrap();
        file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::new(1_000, 5)).unwrap();
        assert_eq!(std::fs::metadata(at("other")).unwrap().mtime_nsec(), 5);
        faults.whole_seconds(true);
        assert_eq!(std::fs::metadata(at("other")).unwrap().mtime_nsec(), 0);
        faults.fold_names(true);
        assert_eq!(std::fs::read(at("OTHER")).unwrap(), b"text");
        std::fs::write(at("A/C/FILE"), "texts").unwrap();
        assert_eq!(std::fs::read_dir(at("a/c")).unwrap().count(), 1);
        faults.fail(Op::Unlink, Errno::BUSY, |name| name == "other");
        assert_eq!(std::fs::remove_file(at("other")).unwrap_err().raw_os_error(), Some(16));
        faults.clear();
        std::fs::remove_file(at("other")).unwrap();
        assert_eq!(faults.count(Op::Unlink), 2);
        std::fs::remove_dir_all(at("a")).unwrap();
        assert_eq!(std::fs::read_dir(backing.path()).unwrap().count(), 0);
    }
}
