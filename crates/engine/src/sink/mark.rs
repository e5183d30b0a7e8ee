//! Marks a restore that is not complete: an extended attribute of the target's root, for scripts to ask.

use std::path::Path;

use rustix::fs::XattrFlags;
use rustix::io::Errno;

use super::state::Sink;

/// The attribute's name.
const NAME: &str = "user.rekopia.incomplete";

/// Removes the mark that an incomplete restore leaves on its target (`user.rekopia.incomplete`): for programs that accept
/// what is missing. No mark is fine, and so is a file system that has none.
///
/// # Errors
/// Those of the system call, where there is a mark that cannot be removed.
pub fn clear_incomplete_mark(target: &Path) -> std::io::Result<()> {
    match rustix::fs::removexattr(target, NAME) {
        Ok(()) | Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::NOENT | Errno::NOSYS) => Ok(()),
        Err(e) => Err(e.into()),
    }
}

impl Sink {
    /// Marks the root before the first change. A refusal to set the mark means nothing.
    pub(super) fn changing(&self) {
        self.changed.call_once(|| {
            if let (Some(mark), Some(root)) = (&self.mark, self.sync_root.get()) {
                let _ = rustix::fs::fsetxattr(root, NAME, mark.as_bytes(), XattrFlags::empty());
            }
        });
    }

    /// Removes the mark: the restore is complete.
    pub(crate) fn clear_mark(&self) {
        if self.mark.is_some() {
            let _ = clear_incomplete_mark(&self.path);
        }
    }
}
