//! Index entries: parsed, merged, looked up.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, ensure};
use rekopia::{OpenOptions, Password, Reference, Repository, RestoreOptions, Selection, Silent, SyncMode};
use rekopia_format::index::IndexFile;
use rekopia_format::{BlobId, ContentId};
use rekopia_testkit::corpus::{self, write_repository};
use rekopia_testkit::random::Random;
use rekopia_testkit::storage::MemoryBlobs;
use rekopia_testkit::writer::{
    IndexEntry, NewSnapshot, RepositoryWriter, Source, WriterOptions, encode_index,
};
use tokio::runtime::{Builder, Runtime};

use super::{Steps, Unit};
use crate::corpora::PASSWORD;

/// Contents of one pack.
const PACK: u64 = 500;

/// Parses index files, merges one of `entries` entries when a repository is opened, and plans a restore. The index
/// is the engine's own: lookups are only measured as a part of the plan. Both once more with a sixteenth of the index in
/// memory at a time and the rest in a file below `dir`.
pub(super) fn reading(steps: &mut Steps, entries: u64, dir: &Path) -> Result<()> {
    for layout in [1, 2] {
        parse(steps, layout, entries)?;
    }
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let in_memory = OpenOptions::default();
    let in_file = |entries: u64| {
        OpenOptions::default().index_memory_bytes(entries * 36 / 16).index_dir(Some(dir.to_owned()))
    };
    open(steps, entries, &[("", &in_memory), (" in a file", &in_file(entries))], &runtime)?;
    plan(steps, entries / 10, &[("", &in_memory), (", index in a file", &in_file(entries / 10))], &runtime)
}

/// Ways to open a repository, by what they are called.
type Ways<'a> = [(&'a str, &'a OpenOptions)];

fn parse(steps: &mut Steps, layout: u8, entries: u64) -> Result<()> {
    let name = format!("parse an index entry, layout {layout}");
    if !steps.wants(&name) {
        return Ok(());
    }
    let bytes = encode_index(layout, &mut (0..entries).map(entry).collect::<Result<Vec<_>>>()?)?;
    steps.time(
        &name,
        Unit::Things("entries"),
        entries,
        || Ok(()),
        |_| {
            let file = IndexFile::parse(&bytes, 28)?;
            for entry in file.entries() {
                let entry = entry?;
                black_box((file.pack_name(entry.pack)?, entry));
            }
            Ok(())
        },
    )
}

/// What opening takes beyond an empty repository, whose key is derived too.
fn open(steps: &mut Steps, entries: u64, ways: &Ways<'_>, runtime: &Runtime) -> Result<()> {
    let name = format!("open: read and merge an index of {entries}, per entry");
    if !steps.wants(&name) {
        return Ok(());
    }
    let full = repository(|writer| {
        for number in 0..entries {
            writer.put_entry(entry(number)?);
        }
        Ok(())
    })?;
    let empty = repository(|_| Ok(()))?;
    for (way, options) in ways {
        let (mut seconds, mut info) = (Vec::new(), None);
        for _ in 0..=steps.rounds {
            let mut took = [0.0; 2];
            for (blobs, took) in [&empty, &full].into_iter().zip(&mut took) {
                let started = std::time::Instant::now();
                let repository = runtime.block_on(opened(blobs, options))?;
                *took = started.elapsed().as_secs_f64();
                info = Some(repository.info().clone());
            }
            seconds.push((took[1] - took[0]).max(0.0) / entries as f64);
        }
        let info = info.filter(|info| info.contents >= entries);
        let Some(info) = info else { anyhow::bail!("not all of {entries} entries were read") };
        let each = |bytes: u64| bytes as f64 / info.contents as f64;
        let (memory, file) = (each(info.index_bytes), each(info.index_file_bytes));
        let note = format!("bytes per entry: {memory:.2} of memory, {file:.0} of a file");
        let seconds = crate::process::median(seconds.into_iter().skip(1));
        steps.add(&format!("{name}{way}"), Unit::Things("entries"), seconds, note);
    }
    Ok(())
}

/// A dry run: walk, look up, plan; nothing is fetched or written.
fn plan(steps: &mut Steps, files: u64, ways: &Ways<'_>, runtime: &Runtime) -> Result<()> {
    let name = format!("dry run of {files} small files: walk, look up, plan, per file");
    if !steps.wants(&name) {
        return Ok(());
    }
    let blobs = repository(|writer| {
        let root = write_repository(writer, |target| corpus::tiny_files(target, files, 1))?;
        let source = Source { user: "bench".into(), host: "host".into(), path: "/data".into() };
        writer.put_snapshot(&NewSnapshot::new(source, writer.now() * 1_000_000_000, root))?;
        Ok(())
    })?;
    for (way, options) in ways {
        let repository = runtime.block_on(opened(&blobs, options))?;
        let (reference, newest) = (Reference::parse("bench@host:/data")?, Selection::default());
        let from = runtime.block_on(repository.resolve(&reference, &newest))?;
        let options = RestoreOptions::default().dry_run(true).sync(SyncMode::None);
        let target = std::env::temp_dir().join(format!("rekopia-bench-nothing-{}", std::process::id()));
        steps.time(
            &format!("{name}{way}"),
            Unit::Things("files"),
            files,
            || Ok(()),
            |_| {
                let restored = repository.restore(&from, &target, &options, Arc::new(Silent));
                let report = runtime.block_on(restored)?;
                ensure!(report.is_complete() && !target.exists(), "the dry run did not go as planned");
                Ok(())
            },
        )?;
    }
    Ok(())
}

fn repository(fill: impl FnOnce(&mut RepositoryWriter) -> Result<()>) -> Result<MemoryBlobs> {
    let blobs = MemoryBlobs::default();
    let options = WriterOptions { deduplicate: false, remember_entries: false, ..WriterOptions::default() };
    let mut writer = RepositoryWriter::create(blobs.clone(), options)?;
    fill(&mut writer)?;
    writer.flush()?;
    Ok(blobs)
}

async fn opened(blobs: &MemoryBlobs, options: &OpenOptions) -> Result<Repository> {
    let password = Password::new(PASSWORD);
    Ok(Repository::open(Arc::new(blobs.clone()), &password, options, Arc::new(Silent)).await?)
}

fn entry(number: u64) -> Result<IndexEntry> {
    let mut random = Random::of_part(1, number);
    Ok(IndexEntry {
        id: ContentId::new(0, &random.bytes::<16>())?,
        pack: BlobId::parse(&format!("p{:032x}-s0011223344556677123", number / PACK))?,
        offset: (number % PACK * 4128) as u32 + 64,
        packed_len: 4124,
        original_len: 4096 + random.below(4096) as u32,
        timestamp: 1_767_225_600,
        deleted: false,
        compression: 0x1101,
        format_version: 3,
    })
}
