//! Bytes → plaintext contents, on a worker's own decompressor and buffers.

use rekopia_format::ContentOpener;
use rekopia_format::compression::Decoder;

use super::fetch::Target;
use super::plan::WantedContent;
use crate::error::{Error, ErrorKind, Result};
use crate::repository::contents::corrupt;

/// Decodes contents one after the other; nothing is allocated per content once the buffers have grown.
#[derive(Default)]
pub(crate) struct ContentDecoder {
    decoder: Decoder,
    plain: Vec<u8>,
    object: Vec<u8>,
}

/// A plaintext buffer larger than this is not kept for the next content.
const KEEP_BYTES: usize = 16 << 20;

impl ContentDecoder {
    /// The plaintext of a content, decrypted inside `stored`; `hash`: the one in its name is compared. Shards that error
    /// correction repaired are added to `damaged`.
    pub(crate) fn decode<'a>(
        &'a mut self,
        opener: &ContentOpener,
        wanted: &WantedContent<Target>,
        stored: &'a mut [u8],
        hash: bool,
        damaged: &mut u64,
    ) -> Result<&'a [u8]> {
        for buffer in [&mut self.plain, &mut self.object] {
            if buffer.capacity() > KEEP_BYTES {
                *buffer = Vec::new();
            }
        }
        let id = &wanted.content;
        let packed = &wanted.location.packed;
        let plain = opener
            .open_and_count(id, packed, stored, &mut self.decoder, &mut self.plain, damaged)
            .map_err(|e| corrupt(e, id))?;
        if hash {
            opener.verify_hash(id, plain).map_err(|e| corrupt(e, id))?;
        }
        let Some(target) = wanted.targets.first() else { return Ok(plain) };
        if !target.compressed {
            return Ok(plain);
        }
        let limit = usize::try_from(target.len).unwrap_or(usize::MAX);
        rekopia_format::content::decode_object(
            &mut Decoder::default(),
            plain,
            Some(target.len),
            limit,
            &mut self.object,
        )
        .map_err(|e| corrupt(e, id))?;
        Ok(&self.object)
    }
}

/// A content that is not as long as the file that wants it says.
pub(crate) fn check_length(target: &Target, len: usize, wanted: &WantedContent<Target>) -> Result<()> {
    if target.len == len as u64 {
        return Ok(());
    }
    let what = format!("{len} bytes where {} belong", target.len);
    Err(Error::new(ErrorKind::Corrupt, what).of_content(&wanted.content))
}
