//! Reads of blobs and of parts of them.

use std::ops::Range;

use rekopia_blob::{BlobErrorKind, BlobId};

use super::sample::{EMPTY, LARGE, MIDDLING, MISSING};
use super::{Asked, Subject, answered, hold};

pub(super) fn id(name: &str) -> BlobId {
    BlobId::parse(name).unwrap()
}

/// Reads into a used buffer and compares.
pub(super) async fn reads(s: &Subject, name: &str, range: Option<Range<u64>>) -> Result<(), String> {
    let what = format!("{name} {range:?}");
    let blob = &s.sample.blobs[name];
    let wanted = match &range {
        Some(range) => &blob[range.start as usize..range.end as usize],
        None => blob,
    };
    let found = answered(s.blobs.read(&id(name), range, vec![9; 3]).await, &what)?;
    hold(found == wanted, || format!("{what}: {} other bytes than the {} stored", found.len(), wanted.len()))
}

pub(super) fn whole(s: &Subject) -> Asked<'_> {
    Box::pin(async move {
        let some = s.sample.blobs.keys().step_by(97).map(String::as_str);
        for name in some.chain([EMPTY, MIDDLING, LARGE, "kopia.maintenance", "xe1"]) {
            reads(s, name, None).await?;
        }
        Ok(())
    })
}

pub(super) fn ranges(s: &Subject) -> Asked<'_> {
    Box::pin(async move {
        for name in [MIDDLING, LARGE] {
            let len = s.sample.blobs[name].len() as u64;
            let middle = len / 2;
            for range in [0..1, 0..len, 2..7, middle - 5..middle + 5, len - 1..len, 1..len] {
                reads(s, name, Some(range)).await?;
            }
        }
        reads(s, "kopia.maintenance", Some(0..1)).await
    })
}

pub(super) fn empty_ranges(s: &Subject) -> Asked<'_> {
    Box::pin(async move {
        let len = s.sample.blobs[MIDDLING].len() as u64;
        for at in [0, 3, len] {
            reads(s, MIDDLING, Some(at..at)).await?;
        }
        reads(s, EMPTY, Some(0..0)).await
    })
}

async fn is_truncated(s: &Subject, name: &str, range: Range<u64>) -> Result<(), String> {
    match s.blobs.read(&id(name), Some(range.clone()), Vec::new()).await {
        Ok(bytes) => Err(format!("{name} {range:?} gives {} bytes", bytes.len())),
        Err(e) => {
            let kind = e.kind();
            hold(kind == BlobErrorKind::Truncated, || format!("{name} {range:?}: {kind:?}: {e}"))?;
            hold(!e.is_transient(), || format!("{name} {range:?} would be tried again: {e}"))
        }
    }
}

pub(super) fn over_the_end(s: &Subject) -> Asked<'_> {
    Box::pin(async move {
        for name in [MIDDLING, LARGE] {
            let len = s.sample.blobs[name].len() as u64;
            for range in [2..len + 1, 0..len + 100, len - 1..len + 1, len + 5..len + 6] {
                is_truncated(s, name, range).await?;
            }
        }
        is_truncated(s, EMPTY, 1..3).await
    })
}

pub(super) fn at_the_end(s: &Subject) -> Asked<'_> {
    Box::pin(async move {
        let len = s.sample.blobs[MIDDLING].len() as u64;
        is_truncated(s, MIDDLING, len..len + 1).await?;
        is_truncated(s, EMPTY, 0..1).await
    })
}

pub(super) fn missing(s: &Subject) -> Asked<'_> {
    Box::pin(async move {
        for name in [MISSING, "xn9_00", "kopia.nothing"] {
            for range in [None, Some(0..1), Some(3..3), Some(5..9)] {
                match s.blobs.read(&id(name), range.clone(), Vec::new()).await {
                    Ok(bytes) => return Err(format!("{name} {range:?} gives {} bytes", bytes.len())),
                    Err(e) => hold(e.is_not_found() && !e.is_transient(), || {
                        format!("{name} {range:?}: {:?}: {e}", e.kind())
                    })?,
                }
            }
            let stat = s.blobs.stat(&id(name)).await;
            hold(stat.as_ref().is_err_and(|e| e.is_not_found()), || format!("stat of {name}: {stat:?}"))?;
        }
        Ok(())
    })
}

pub(super) fn errors_name_the_blob(s: &Subject) -> Asked<'_> {
    Box::pin(async move {
        let long = s.sample.blobs[MIDDLING].len() as u64 + 50;
        for (name, range) in [(MISSING, None), (MISSING, Some(0..1)), (MIDDLING, Some(0..long))] {
            let error = s.blobs.read(&id(name), range, Vec::new()).await.err();
            let named = error.as_ref().and_then(|e| e.blob()).is_some_and(|blob| blob.as_str() == name);
            hold(named, || format!("of {name}: {error:?}"))?;
        }
        let error = s.blobs.stat(&id(MISSING)).await.err();
        hold(error.as_ref().is_some_and(|e| e.blob().is_some()), || format!("of a stat: {error:?}"))
    })
}

pub(super) fn buffers(s: &Subject) -> Asked<'_> {
    Box::pin(async move {
        for range in [Some(2..7), None] {
            let buffer = Vec::with_capacity(1 << 20);
            let read = answered(s.blobs.read(&id(MIDDLING), range, buffer).await, "a read")?;
            hold(read.capacity() >= 1 << 20, || format!("a mebibyte became {} bytes", read.capacity()))?;
        }
        Ok(())
    })
}

pub(super) fn at_once(s: &Subject) -> Asked<'_> {
    Box::pin(async move {
        let len = s.sample.blobs[LARGE].len() as u64;
        let parts = (0..24).map(|n| reads(s, LARGE, Some(n * 1000..len - n * 100_000)));
        let others = (0..40).map(|n| reads(s, MIDDLING, Some(n..n + 10)));
        let (parts, others) =
            futures::join!(futures::future::join_all(parts), futures::future::join_all(others));
        parts.into_iter().chain(others).collect()
    })
}
