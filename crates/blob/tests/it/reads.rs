//! What a local read asks the kernel for, counted.

use std::process::Command;

use rekopia_blob::provider::filesystem::FilesystemBlobs;
use rekopia_blob::{BlobId, BlobReader};

/// Bytes that this process has read so far.
fn read_so_far() -> u64 {
    let io = std::fs::read_to_string("/proc/self/io").unwrap();
    io.lines().find_map(|line| line.strip_prefix("rchar: ")).unwrap().parse().unwrap()
}

/// Set in the process that has the test for itself: the kernel counts for a whole process.
const ALONE: &str = "REKOPIA_TEST_ALONE";

/// A used buffer is much longer than a short read: only what is wanted is copied into it.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_short_read_into_a_long_buffer_is_short() {
    if std::env::var_os(ALONE).is_none() {
        let mut again = Command::new(std::env::current_exe().unwrap());
        again.args(["--exact", "reads::a_short_read_into_a_long_buffer_is_short"]).env(ALONE, "1");
        let output = again.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let bytes: Vec<u8> = (0..4_u32 << 20).map(|n| (n % 251) as u8).collect();
    std::fs::write(dir.path().join("q81411ac55c280560.f"), &bytes).unwrap();
    let blobs = FilesystemBlobs::open(dir.path(), None).unwrap();
    let id = BlobId::parse("q81411ac55c280560").unwrap();
    let mut buffer = Vec::with_capacity(2 << 20);
    let before = read_so_far();
    for at in 0..100 {
        let start = at * 5000;
        buffer = blobs.read(&id, Some(start as u64..start as u64 + 4096), buffer).await.unwrap();
        assert_eq!(buffer, bytes[start..start + 4096]);
        assert!(buffer.capacity() >= 2 << 20, "the buffer is kept");
    }
    let read = read_so_far() - before;
    assert!(read < 100 * 4096 * 3, "{read} bytes were read for {}", 100 * 4096);
    // Long ones still come in few calls, and right.
    let long = blobs.read(&id, Some(1..(3 << 20) + 1), buffer).await.unwrap();
    assert_eq!(long, bytes[1..(3 << 20) + 1]);
}
