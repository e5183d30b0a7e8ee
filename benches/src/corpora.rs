//! Repositories to measure with.

use std::path::Path;

use anyhow::Result;
use rekopia_testkit::corpus::{self, Texture, write_repository};
use rekopia_testkit::writer::{DirectorySink, NewSnapshot, RepositoryWriter, Source, WriterOptions};

/// The shape of a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// Lognormal around 4 KiB, half compressible, zstd.
    SmallFiles,
    /// One compressible file, zstd.
    BigFile,
    /// One file of noise, not compressed.
    BigFileNoise,
    /// All files in one directory.
    Wide,
    /// Distinct tiny files, ten to a directory.
    Deep,
    /// One tiny source per index blob.
    ManyIndexes,
    /// Thousandths of a small server's volume of 2 GB.
    Mixed,
}

/// Makes the repository; its one snapshot is of `bench@host:/data`, except for many index blobs.
pub(crate) fn generate(kind: Kind, count: u64, out: &Path) -> Result<()> {
    let compression = (kind != Kind::BigFileNoise).then(|| "zstd-fastest".to_owned());
    let (deduplicate, remember_entries) = (false, false);
    let options = WriterOptions { compression, deduplicate, remember_entries, ..WriterOptions::default() };
    let mut writer = RepositoryWriter::create(DirectorySink::create(out)?, options)?;
    if kind == Kind::ManyIndexes {
        corpus::many_indexes(&mut writer, count, 7)?;
        return Ok(());
    }
    let root = write_repository(&mut writer, |target| match kind {
        Kind::SmallFiles => corpus::small_files(target, count, 4096.0, 1),
        Kind::BigFile => corpus::big_file(target, count << 20, Texture::Text, 1),
        Kind::BigFileNoise => corpus::big_file(target, count << 20, Texture::Noise, 1),
        Kind::Wide => corpus::wide_directory(target, count, 1),
        Kind::Mixed => corpus::mixed_volume(target, count, 1),
        Kind::Deep | Kind::ManyIndexes => corpus::tiny_files(target, count, 1),
    })?;
    let source = Source { user: "bench".into(), host: "host".into(), path: "/data".into() };
    writer.put_snapshot(&NewSnapshot::new(source, writer.now() * 1_000_000_000, root))?;
    writer.flush()?;
    Ok(())
}
