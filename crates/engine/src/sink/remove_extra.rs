//! Removes names of the target that the snapshot does not have.

use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::Mode;
use rustix::io::Errno;

use super::attributes::Attributes;
use super::handles::open_path;
use super::state::Sink;
use super::{metadata, remove};

impl Sink {
    /// Removes `names` from the directory at `path` (from the root), which keeps its time and mode. What stays is in
    /// [`Sink::removals`].
    pub(crate) fn remove_extras(&self, path: &[u8], names: &[CString]) {
        let folder = String::from_utf8_lossy(path);
        let shown = |below: &[u8]| {
            let below = String::from_utf8_lossy(below);
            if folder.is_empty() { below.into_owned() } else { format!("{folder}/{below}") }
        };
        let removed = self.removed_from(path, names, &shown);
        if let Err(e) = removed {
            names.iter().for_each(|name| self.removals.remains(shown(name.to_bytes()), e.to_string()));
        }
    }

    fn removed_from(
        &self,
        path: &[u8],
        names: &[CString],
        shown: &dyn Fn(&[u8]) -> String,
    ) -> Result<(), Errno> {
        let root = self.dir(&self.root).map_err(|_| Errno::NOENT)?;
        let below: Option<OwnedFd>;
        let dir = if path.is_empty() {
            &*root.fd
        } else {
            below = Some(open_path(&root.fd, Path::new(std::ffi::OsStr::from_bytes(path)))?);
            below.as_ref().unwrap_or(&root.fd)
        };
        let before = rustix::fs::fstat(dir)?;
        let mode = Mode::from_raw_mode(before.st_mode);
        self.changing();
        let widened =
            !mode.contains(Mode::WUSR | Mode::XUSR) && rustix::fs::fchmod(dir, mode | Mode::RWXU).is_ok();
        for name in names {
            if let Err(e) = remove::remove(dir, name, &self.protected, &self.removals, shown) {
                self.removals.remains(shown(name.to_bytes()), e.to_string());
            }
        }
        if widened {
            let _ = rustix::fs::fchmod(dir, mode);
        }
        if self.options.policy.times {
            let _ = metadata::set_time(dir, Attributes::of(&before).mtime_ns);
        }
        Ok(())
    }
}
