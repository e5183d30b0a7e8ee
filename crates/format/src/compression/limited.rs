//! Reads streams of unknown length, up to a limit.

use super::error::Error;

/// Reads all of `from` as long as it stays within `limit`.
pub(super) fn read_limited(
    from: &mut impl std::io::Read,
    family: &'static str,
    limit: usize,
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    let mut piece = [0; 16 * 1024];
    loop {
        let n = match from.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(n) => n,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(Error::damaged(family, e)),
        };
        if out.len().saturating_add(n) > limit {
            return Err(Error::TooLong { limit });
        }
        out.extend_from_slice(piece.get(..n).unwrap_or_default());
    }
}
