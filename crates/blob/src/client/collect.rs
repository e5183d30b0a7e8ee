//! Puts the parts of an answer together: as much as was announced.

use std::pin::pin;

use bytes::Bytes;
use futures::{Stream, StreamExt};

use crate::error::{BlobError, BlobErrorKind};

/// Bytes that are reserved at most on the word of a header.
const MOST_RESERVED: usize = 64 << 20;
/// Bytes that are taken at most of an answer that does not say how long it is.
const MOST_UNANNOUNCED: u64 = 1 << 30;

/// Reads the bytes of `parts` into `into`, which is empty and whose capacity is reused; `expected` is what was
/// announced.
pub(crate) async fn collect(
    parts: impl Stream<Item = Result<Bytes, BlobError>>,
    mut into: Vec<u8>,
    expected: Option<u64>,
) -> Result<Vec<u8>, BlobError> {
    let reserved = usize::try_from(expected.unwrap_or(0)).unwrap_or(usize::MAX).min(MOST_RESERVED);
    into.try_reserve_exact(reserved).map_err(|e| broke("there is no memory for it").because(e))?;
    let mut parts = pin!(parts);
    while let Some(part) = parts.next().await {
        let part = part?;
        if (into.len() + part.len()) as u64 > expected.unwrap_or(MOST_UNANNOUNCED) {
            return Err(broke("more bytes than announced"));
        }
        into.extend_from_slice(&part);
    }
    match expected {
        Some(n) if n != into.len() as u64 => {
            Err(broke(&format!("the answer broke off: {} of {n} bytes", into.len())))
        }
        _ => Ok(into),
    }
}

fn broke(what: &str) -> BlobError {
    BlobError::new(BlobErrorKind::Unavailable, what).transient()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn takes_what_was_announced() {
        let parts = || futures::stream::iter([Ok(Bytes::from_static(b"ab")), Ok(Bytes::from_static(b"c"))]);
        for expected in [None, Some(3)] {
            assert_eq!(collect(parts(), Vec::new(), expected).await.unwrap(), b"abc");
        }
        for wrong in [0, 2, 4, u64::MAX] {
            assert!(collect(parts(), Vec::new(), Some(wrong)).await.unwrap_err().is_transient(), "{wrong}");
        }
    }
}
