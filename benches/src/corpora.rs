//! Repositories to measure with.

use std::path::Path;

use rekopia_testkit::corpus::{Random, big_file, small_files, tree};
use rekopia_testkit::writer::{DirectoryBlobs, EntrySpec, RepositoryWriter, WriterOptions};

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
}

/// Makes the repository; its one snapshot is of `bench@host:/data`.
pub(crate) fn generate(kind: Kind, count: u64, out: &Path) {
    let compression = if kind == Kind::BigFileNoise { 0 } else { 0x1101 };
    let options = WriterOptions { compression, deduplicate: false, ..WriterOptions::default() };
    let mut writer = RepositoryWriter::create(options, Box::new(DirectoryBlobs::create(out)));
    let root = match kind {
        Kind::SmallFiles => small_files(&mut writer, count, 4096.0, 1),
        Kind::BigFile => big_file(&mut writer, count << 20, true, 1),
        Kind::BigFileNoise => big_file(&mut writer, count << 20, false, 1),
        Kind::Wide => wide(&mut writer, count),
        Kind::Deep => tree(&mut writer, count.div_ceil(10), |writer, dir| {
            let file = |i: u64| {
                let data = format!("file {i} of directory {dir}");
                let object = writer.write_object(data.as_bytes());
                EntrySpec::new(&format!("f{i}"), 'f', data.len() as u64, &object)
            };
            (0..10).map(file).collect()
        }),
        Kind::ManyIndexes => many_indexes(&mut writer, count),
    };
    writer.put_snapshot(("bench", "host", "/data"), &root, 0);
    writer.flush();
}

fn wide(writer: &mut RepositoryWriter, count: u64) -> EntrySpec {
    let mut directory = writer.directory();
    for i in 0..count {
        let data = format!("file {i}");
        let object = writer.write_object(data.as_bytes());
        directory.add(writer, &EntrySpec::new(&format!("file-{i:08}"), 'f', data.len() as u64, &object));
    }
    directory.finish(writer, "")
}

fn many_indexes(writer: &mut RepositoryWriter, count: u64) -> EntrySpec {
    let mut random = Random::new(7);
    let mut data = Vec::new();
    let mut last = EntrySpec::new("", 'd', 0, "");
    for i in 0..count {
        random.fill(&mut data, 200, false);
        let object = writer.write_object(&data);
        let mut directory = writer.directory();
        directory.add(writer, &EntrySpec::new("f", 'f', 200, &object));
        last = directory.finish(writer, "");
        writer.put_snapshot(("app", "host", &format!("/apps/n{i}")), &last, i as u32);
        writer.flush();
    }
    last
}
