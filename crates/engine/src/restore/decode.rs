//! Decodes bytes to plaintext contents, on a worker's own decompressor and buffers.

use rekopia_format::compression::Decoder;
use rekopia_format::content::Packed;
use rekopia_format::{ContentId, ContentOpener};

use super::fetch::Target;
use super::plan::WantedContent;
use crate::error::{Error, ErrorKind, Result};
use crate::repository::contents::corrupt;

/// The plaintext of a content, and the object in it.
pub(crate) struct Decoded<'a> {
    /// The plaintext of the content, which its ID names.
    pub(crate) content: &'a [u8],
    /// The object that it holds compressed as a whole, if it does.
    pub(crate) object: Option<&'a [u8]>,
}

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
    /// Decodes a content, decrypted inside `stored`; `hash`: the one in its name is compared. `whole`: it holds an
    /// object of this length that was compressed as a whole, which is decompressed, too. Shards that error correction
    /// repaired are added to `damaged`.
    #[expect(clippy::too_many_arguments, reason = "each is another thing")]
    pub(crate) fn decode<'a>(
        &'a mut self,
        opener: &ContentOpener,
        id: &ContentId,
        packed: &Packed,
        whole: Option<u64>,
        stored: &'a mut [u8],
        hash: bool,
        damaged: &mut u64,
    ) -> Result<Decoded<'a>> {
        for buffer in [&mut self.plain, &mut self.object] {
            if buffer.capacity() > KEEP_BYTES {
                *buffer = Vec::new();
            }
        }
        let content = opener
            .open_and_count(id, packed, stored, &mut self.decoder, &mut self.plain, damaged)
            .map_err(|e| corrupt(e, id))?;
        if hash {
            opener.verify_hash(id, content).map_err(|e| corrupt(e, id))?;
        }
        let Some(len) = whole else { return Ok(Decoded { content, object: None }) };
        decode_whole(content, Some(len), len, &mut self.object).map_err(|e| corrupt(e, id))?;
        Ok(Decoded { content, object: Some(&self.object) })
    }
}

/// Refuses a content that is not as long as the file that wants it says.
pub(crate) fn check_length(target: &Target, len: usize, wanted: &WantedContent<Target>) -> Result<()> {
    if target.len == len as u64 {
        return Ok(());
    }
    let what = format!("{len} bytes where {} belong", target.len);
    Err(Error::new(ErrorKind::Corrupt, what).of_content(&wanted.content))
}

/// Decompresses the object that a content holds which was compressed as a whole; `len` is what is recorded of this
/// part, `size` what its entry records.
pub(crate) fn decode_whole(
    plain: &[u8],
    len: Option<u64>,
    size: u64,
    object: &mut Vec<u8>,
) -> std::result::Result<(), rekopia_format::content::Error> {
    let limit = usize::try_from(len.unwrap_or(size)).unwrap_or(usize::MAX);
    rekopia_format::content::decode_object(&mut Decoder::default(), plain, len, limit, object)
}
