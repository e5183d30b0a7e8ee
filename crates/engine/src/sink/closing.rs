//! Closing files with a look at the result: NFS, SMB and FUSE say only there that what was written did not arrive, and
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
    // Of several that are given up at once, exactly one is the last.
    Arc::into_inner(file).map_or(Ok(()), close)
}

/// Asks for what closing would say, while the file stays open: a file system is asked each time that one of the
/// descriptors of an open file is closed.
pub(super) fn flush(file: impl AsFd) -> Result<(), Errno> {
    close(rustix::io::fcntl_dupfd_cloexec(file, 0)?)
}

#[cfg(test)]
mod tests {
    use rekopia_format::entry_name::EntryName;
    use rekopia_testkit::fuse::{Faults, FuseMount, Op};

    use super::*;
    use crate::sink::{AttributePolicy, Attributes, OwnerPolicy, Sink, SinkOptions};

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

    /// Of many large files one is closed and opened again meanwhile; what was said then is not forgotten.
    #[test]
    fn a_large_file_that_was_closed_meanwhile_fails_when_it_is_finished() {
        let backing = tempfile::tempdir().unwrap();
        let faults = Faults::default();
        let Some(mount) = FuseMount::or_skip(backing.path(), &faults) else { return };
        let policy = AttributePolicy { owner: OwnerPolicy::Skip, mode: true, times: true };
        let options = SinkOptions {
            policy,
            delete_extra: false,
            in_doubt: false,
            keeps_existing: false,
            looks_only: false,
            sparse: false,
            first_aside: 0,
        };
        let sink = Arc::new(Sink::open(mount.path(), None, options).unwrap());
        sink.begin().unwrap();
        let create = |name: &str| {
            let name = EntryName::parse(name).unwrap();
            let file = sink.create_large(sink.root(), &name, 8).unwrap();
            file.write_at(0, b"half").unwrap();
            file
        };
        let attributes = Attributes { mode: 0o640, uid: 0, gid: 0, mtime_ns: 1 };
        faults.fail(Op::Flush, Errno::DQUOT, |name| name == "first");
        let first = create("first");
        let others: Vec<_> = (0..300).map(|n| create(&n.to_string())).collect();
        faults.clear();
        first.write_at(4, b"rest").unwrap();
        let error = first.finish(8, &attributes).unwrap_err();
        assert!(error.to_string().contains("quota"), "{error}");
        first.abandon().unwrap();
        assert!(!mount.path().join("first").exists());
        for other in others {
            other.write_at(4, b"rest").unwrap();
            other.finish(8, &attributes).unwrap();
        }
    }
}
