//! What the engine relies on, asked of a storage itself.

use std::path::Path;

use rekopia_blob::{BlobErrorKind, BlobId, BlobReader};

use crate::server::blobs_of;

/// Exact ranges, missing is not short, lists are whole: `blobs` is the repository in the directory `repo`.
///
/// # Panics
/// When it is not so.
pub async fn conforms(blobs: &dyn BlobReader, repo: &Path) {
    let files = blobs_of(repo);
    let id = BlobId::parse("kopia.repository").unwrap();
    let expected = std::fs::read(&files["kopia.repository"]).unwrap();
    let len = expected.len() as u64;
    let read = |range| blobs.read(&id, range, vec![9; 3]);
    assert_eq!(read(None).await.unwrap(), expected);
    assert_eq!(read(Some(2..7)).await.unwrap(), expected[2..7]);
    assert_eq!(read(Some(0..len)).await.unwrap(), expected);
    assert_eq!(read(Some(3..3)).await.unwrap(), b"");
    // One that begins exactly at the end is left out: Azurite answers it with a range of no bytes.
    for range in [2..len + 1, len + 5..len + 6] {
        assert_eq!(
            read(Some(range.clone())).await.unwrap_err().kind(),
            BlobErrorKind::Truncated,
            "{range:?}"
        );
    }
    let stat = blobs.stat(&id).await.unwrap();
    assert!(stat.len == len && stat.modified_ns > 1_500_000_000_000_000_000, "{stat:?}");

    let missing = BlobId::parse("p00000000000000000000000000000000-s0").unwrap();
    for range in [None, Some(0..1), Some(3..3)] {
        assert!(blobs.read(&missing, range, Vec::new()).await.unwrap_err().is_not_found());
    }
    assert!(blobs.stat(&missing).await.unwrap_err().is_not_found());

    for prefix in ["", "q", "x", "kopia.", "nothing"] {
        let mut listed: Vec<(String, u64)> =
            blobs.list(prefix).await.unwrap().iter().map(|b| (b.id.to_string(), b.len)).collect();
        listed.sort();
        let wanted = files.iter().filter(|(name, _)| name.starts_with(prefix));
        let wanted: Vec<_> =
            wanted.map(|(name, file)| (name.clone(), std::fs::metadata(file).unwrap().len())).collect();
        assert_eq!(listed, wanted, "{prefix:?}");
        assert_eq!(blobs.any(prefix).await.unwrap(), !wanted.is_empty(), "{prefix:?}");
    }
}
