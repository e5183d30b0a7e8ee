//! Asks the file system of the destination about itself.

use std::os::fd::OwnedFd;
use std::path::Path;

use super::error::SinkError;
use super::state::Sink;

/// File systems whose `close` or `syncfs` does not report every write-back error: NFS, CIFS/SMB, FUSE, 9p, Ceph.
const REMOTE: [i64; 7] = [0x6969, 0xFF53_4D42, 0x517B, 0xFE53_4D42, 0x6573_5546, 0x0102_1997, 0x00C3_6400];
/// File systems where a file may take less than its bytes: btrfs, ZFS, bcachefs, overlay.
const COMPRESSING: [i64; 4] = [0x9123_683E, 0x2FC1_2FC1, 0xCA45_1A4E, 0x794C_7630];

impl Sink {
    /// Returns the bytes that can be written, where the file system can say so reliably.
    pub(crate) fn available_bytes(&self) -> Result<Option<u64>, SinkError> {
        available_bytes(&self.path)
    }
}

/// Returns the nearest directory of `target` that exists.
pub(super) fn existing(target: &Path) -> &Path {
    let existing = target.ancestors().find(|p| p.exists()).unwrap_or(Path::new("."));
    if existing.as_os_str().is_empty() { Path::new(".") } else { existing }
}

/// Returns the bytes available in the nearest existing directory of `target`; `None` where the number says little.
fn available_bytes(target: &Path) -> Result<Option<u64>, SinkError> {
    let existing = existing(target);
    let shown = existing.to_string_lossy();
    let vfs =
        rustix::fs::statvfs(existing).map_err(|e| SinkError::sys("asking for the space of", &shown, e))?;
    if vfs.f_files == 0 && vfs.f_blocks == 0 {
        return Ok(None);
    }
    #[cfg(target_os = "linux")]
    {
        let fs =
            rustix::fs::statfs(existing).map_err(|e| SinkError::sys("asking for the space of", &shown, e))?;
        let magic = fs.f_type;
        if REMOTE.contains(&magic) || COMPRESSING.contains(&magic) {
            return Ok(None);
        }
    }
    Ok(Some(vfs.f_bavail.saturating_mul(vfs.f_frsize)))
}

/// Whether errors of writing show only when each file is synced.
pub(super) fn needs_fdatasync(root: &OwnedFd) -> bool {
    #[cfg(target_os = "linux")]
    {
        rustix::fs::fstatfs(root).is_ok_and(|fs| REMOTE.contains(&fs.f_type)) || kernel_is_old()
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = root;
        true
    }
}

/// Whether the kernel is older than Linux 5.8, since which `syncfs` reports write-back errors.
#[cfg(target_os = "linux")]
fn kernel_is_old() -> bool {
    let uname = rustix::system::uname();
    let release = uname.release().to_string_lossy();
    let mut parts = release.split(['.', '-']).map(|p| p.parse::<u32>().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0)) < (5, 8)
}
