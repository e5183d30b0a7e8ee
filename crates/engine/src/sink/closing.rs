//! Closes files with a look at the result: NFS, SMB and FUSE say only there that what was written did not arrive, and
//! quotas may be enforced there.

use std::os::fd::{AsFd, IntoRawFd, OwnedFd};
use std::sync::Arc;

use rustix::io::Errno;

/// Closes a file, which is closed afterwards whatever the answer is.
///
/// # Errors
/// What the file system says about writing. An interrupted call has closed the file, too.
#[expect(unsafe_code, reason = "no safe interface tells the result of close")]
pub(super) fn close(file: OwnedFd) -> Result<(), Errno> {
    // SAFETY: the descriptor is open, nobody else owns it, and nobody uses it after this.
    match unsafe { rustix::io::try_close(file.into_raw_fd()) } {
        Err(Errno::INTR) => Ok(()),
        other => other,
    }
}

/// Gives up a share in an open file; the last one closes it.
pub(super) fn release(file: Arc<OwnedFd>) -> Result<(), Errno> {
    // Exactly one of several that are given up at once is the last.
    Arc::into_inner(file).map_or(Ok(()), close)
}

/// Asks for what closing would say, while the file stays open: a file system is asked each time that one of the
/// descriptors of an open file is closed.
pub(super) fn flush(file: impl AsFd) -> Result<(), Errno> {
    close(rustix::io::fcntl_dupfd_cloexec(file, 0)?)
}

#[cfg(test)]
mod tests {
    use rekopia_testkit::fuse::{Faults, FuseMount, Op};

    use super::*;

    #[test]
    fn the_last_share_of_a_file_closes_it_and_tells_the_answer() {
        let backing = tempfile::tempdir().unwrap();
        let faults = Faults::default();
        let Some(mount) = FuseMount::or_skip(backing.path(), &faults) else { return };
        let create = |name: &str| OwnedFd::from(std::fs::File::create(mount.path().join(name)).unwrap());
        faults.fail(Op::Flush, Errno::DQUOT, |name| name == "bad");
        assert_eq!(close(create("good")), Ok(()));
        assert_eq!(close(create("bad")), Err(Errno::DQUOT));
        let file = Arc::new(create("bad"));
        assert_eq!(flush(&file), Err(Errno::DQUOT));
        assert_eq!(release(Arc::clone(&file)), Ok(()));
        assert_eq!(release(file), Err(Errno::DQUOT));
    }
}
