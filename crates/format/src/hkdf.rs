//! Derives keys from keys, for the repository's format and for its ciphers alike.

use hkdf::Hkdf;
use sha2::Sha256;

/// Derives a key by HKDF-SHA256 (RFC 5869), extract then expand, into all of `out` (at most 8,160 bytes; longer is left
/// as it is).
pub fn hkdf_sha256(ikm: &[u8], salt: &[u8], info: &[u8], out: &mut [u8]) {
    // Only an output longer than the function allows can fail, and callers ask for 8 to 32 bytes.
    let _ = Hkdf::<Sha256>::new(Some(salt), ikm).expand(info, out);
}
