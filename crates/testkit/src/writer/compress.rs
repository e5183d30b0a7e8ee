//! Compresses (§3.5): a header, then the stream.

use std::io::Write;

use flate2::write::{DeflateEncoder, GzEncoder};

use super::{Error, Result};

/// A compressor and its working memory.
pub struct Compressor {
    /// The ID in headers and index entries.
    pub id: u32,
    encoder: Encoder,
}

enum Encoder {
    Gzip(flate2::Compression),
    Deflate(flate2::Compression),
    Zstd(Box<zstd::bulk::Compressor<'static>>),
    S2,
    Lz4,
}

impl Compressor {
    /// Makes a compressor by Kopia's name of it.
    ///
    /// # Errors
    /// [`Error::Options`] when there is none of this name.
    pub fn new(name: &str) -> Result<Self> {
        let (default, fastest, best) =
            (flate2::Compression::default(), flate2::Compression::fast(), flate2::Compression::best());
        let (id, encoder) = match name {
            "gzip" => (0x1000, Encoder::Gzip(default)),
            "gzip-best-speed" => (0x1001, Encoder::Gzip(fastest)),
            "gzip-best-compression" => (0x1002, Encoder::Gzip(best)),
            "zstd" => (0x1100, zstd_encoder(3)),
            "zstd-fastest" => (0x1101, zstd_encoder(1)),
            "zstd-better-compression" => (0x1102, zstd_encoder(7)),
            "zstd-best-compression" => (0x1103, zstd_encoder(11)),
            "s2-default" => (0x1200, Encoder::S2),
            "s2-better" => (0x1201, Encoder::S2),
            "s2-parallel-4" => (0x1202, Encoder::S2),
            "s2-parallel-8" => (0x1203, Encoder::S2),
            "pgzip" => (0x1300, Encoder::Gzip(default)),
            "pgzip-best-speed" => (0x1301, Encoder::Gzip(fastest)),
            "pgzip-best-compression" => (0x1302, Encoder::Gzip(best)),
            "lz4" => (0x1400, Encoder::Lz4),
            "deflate-default" => (0x1500, Encoder::Deflate(default)),
            "deflate-best-speed" => (0x1501, Encoder::Deflate(fastest)),
            "deflate-best-compression" => (0x1502, Encoder::Deflate(best)),
            _ => return Err(Error::Options { expected: "a compressor", found: name.into() }),
        };
        Ok(Compressor { id, encoder })
    }

    /// Fills `out` with header and stream; returns whether that is shorter than `data`.
    ///
    /// # Panics
    /// When a compressor fails, which none does in memory.
    pub fn compress(&mut self, data: &[u8], out: &mut Vec<u8>) -> bool {
        out.clear();
        out.extend_from_slice(&self.id.to_be_bytes());
        let written = "compressing into memory does not fail";
        match &mut self.encoder {
            Encoder::Gzip(level) => gzip(data, *level, out),
            Encoder::Deflate(level) => {
                let mut encoder = DeflateEncoder::new(out, *level);
                encoder.write_all(data).expect(written);
                return encoder.finish().expect(written).len() < data.len();
            }
            Encoder::Zstd(compressor) => {
                let start = out.len();
                out.resize(start + zstd::zstd_safe::compress_bound(data.len()), 0);
                let len = compressor.compress_to_buffer(data, &mut out[start..]).expect(written);
                out.truncate(start + len);
            }
            Encoder::S2 => {
                let mut encoder = minlz::s2::Writer::new(&mut *out);
                encoder.write_all(data).expect(written);
                encoder.flush().expect(written);
            }
            Encoder::Lz4 => {
                let mut encoder = lz4_flex::frame::FrameEncoder::new(&mut *out);
                encoder.write_all(data).expect(written);
                encoder.finish().expect(written);
            }
        }
        out.len() < data.len()
    }
}

/// Appends a gzip stream.
pub(super) fn gzip(data: &[u8], level: flate2::Compression, out: &mut Vec<u8>) {
    let mut encoder = GzEncoder::new(out, level);
    encoder
        .write_all(data)
        .and_then(|()| encoder.try_finish())
        .expect("compressing into memory does not fail");
}

fn zstd_encoder(level: i32) -> Encoder {
    let mut compressor = zstd::bulk::Compressor::new(level).expect("the level exists");
    compressor.include_checksum(true).expect("the parameter exists");
    Encoder::Zstd(Box::new(compressor))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Random, lcg};
    use rekopia_format::compression::{Decoder, split_header};

    pub(super) const NAMES: [&str; 18] = [
        "gzip",
        "gzip-best-speed",
        "gzip-best-compression",
        "zstd",
        "zstd-fastest",
        "zstd-better-compression",
        "zstd-best-compression",
        "s2-default",
        "s2-better",
        "s2-parallel-4",
        "s2-parallel-8",
        "pgzip",
        "pgzip-best-speed",
        "pgzip-best-compression",
        "lz4",
        "deflate-default",
        "deflate-best-speed",
        "deflate-best-compression",
    ];

    #[test]
    fn every_compressor_is_read_back() {
        let mut random = Random::new(3);
        let mixed: Vec<u8> =
            (0..3_000_000).map(|i| if i % 3000 < 1000 { random.below(256) as u8 } else { b'a' }).collect();
        let phrase = b"kopia compress me ".repeat(20);
        for name in NAMES {
            let mut compressor = Compressor::new(name).unwrap();
            for data in [&mixed, &phrase] {
                let (mut out, mut back) = (Vec::new(), Vec::new());
                assert!(compressor.compress(data, &mut out), "{name}");
                let (id, stream) = split_header(&out).unwrap();
                assert_eq!(id, compressor.id);
                Decoder::default().decode(id, stream, Some(data.len()), data.len(), &mut back).unwrap();
                assert!(&back == data, "{name}");
            }
            assert!(!compressor.compress(&lcg(1000), &mut Vec::new()), "{name}");
        }
    }
}
