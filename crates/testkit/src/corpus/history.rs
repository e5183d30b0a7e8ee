//! Repositories with a past: many snapshots, many index blobs, epochs.

use rekopia_format::ManifestId;
use rekopia_format::snapshot::Source;

use super::{Filling, Texture, metadata, name_of};
use crate::random::Random;
use crate::writer::{DirectoryWriter, Entry, NewSnapshot, RepositoryWriter, Result};

const DAY: i64 = 86_400;
const NS: i64 = 1_000_000_000;

/// Makes `count` sources `app@media:/apps/n<number>` of one small file each, with an index blob for each of them.
///
/// # Errors
/// Those of the writer.
pub fn many_indexes(repository: &mut RepositoryWriter, count: u64, seed: u64) -> Result<Vec<ManifestId>> {
    let mut snapshots = Vec::new();
    for number in 0..count {
        let root = super::write_repository(repository, |target| {
            let mut random = Random::of_part(seed, number);
            target.file(
                "state.txt",
                metadata(&mut random, 0o640),
                Filling::new(random.next_u64(), 200, Texture::Text),
            )
        })?;
        let source = source(&format!("/apps/n{number:05}"));
        snapshots.push(repository.put_snapshot(&NewSnapshot::new(source, repository.now() * NS, root))?);
        repository.flush()?;
    }
    Ok(snapshots)
}

/// Makes `snapshots` daily snapshots of `app@media:/data`, a tree of `files` files of which one in fifty changes every
/// day. With epochs, one ends every 20 days; those that are settled get compacted, and their inputs removed.
///
/// # Errors
/// Those of the writer.
pub fn deep_history(
    repository: &mut RepositoryWriter,
    snapshots: u64,
    files: u64,
    seed: u64,
) -> Result<Vec<ManifestId>> {
    let mut random = Random::new(seed);
    let mut tree: Vec<Directory> = Vec::new();
    for number in 0..files.div_ceil(20) {
        let mut directory = Directory { name: format!("dir-{number:05}"), files: Vec::new(), stored: None };
        for file in number * 20..files.min((number + 1) * 20) {
            directory.files.push(new_file(repository, file, &mut random)?);
        }
        tree.push(directory);
    }
    let mut manifests = Vec::new();
    for day in 0..snapshots {
        if day > 0 {
            repository.set_now(repository.now() + DAY);
            for _ in 0..files.div_ceil(50) {
                let file = random.below(files);
                let directory = &mut tree[(file / 20) as usize];
                directory.files[(file % 20) as usize] = new_file(repository, file, &mut random)?;
                directory.stored = None;
            }
        }
        let root = store(repository, &mut tree, &mut random)?;
        let snapshot = NewSnapshot::new(source("/data"), repository.now() * NS, root);
        manifests.push(repository.put_snapshot(&snapshot)?);
        repository.flush()?;
        if day % 20 == 19 && repository.options().epochs {
            let epoch = repository.advance_epoch()?;
            if repository.options().remember_entries && epoch >= 2 {
                repository.compact_epoch(epoch - 2)?;
                repository.delete_superseded(epoch - 2, epoch - 2)?;
            }
        }
    }
    Ok(manifests)
}

struct Directory {
    name: String,
    files: Vec<Entry<'static>>,
    /// The entry of the directory, until a file of it changes.
    stored: Option<Entry<'static>>,
}

fn new_file(repository: &mut RepositoryWriter, number: u64, random: &mut Random) -> Result<Entry<'static>> {
    let texture = if number.is_multiple_of(2) { Texture::Text } else { Texture::Noise };
    let len = super::lognormal(random, 2000.0).min(1 << 20);
    let mut data = Vec::new();
    Filling::new(random.next_u64(), len, texture).next_block(&mut data);
    let metadata = metadata(random, 0o644);
    repository.put_file(name_of(number, texture).into_bytes(), metadata, &data)
}

fn store(
    repository: &mut RepositoryWriter,
    tree: &mut [Directory],
    random: &mut Random,
) -> Result<Entry<'static>> {
    let mut root = DirectoryWriter::new(repository);
    for directory in tree {
        if directory.stored.is_none() {
            let mut writer = DirectoryWriter::new(repository);
            let mut sorted: Vec<&Entry<'_>> = directory.files.iter().collect();
            sorted.sort_by_key(|entry| &entry.name);
            sorted.into_iter().try_for_each(|entry| writer.add(repository, entry))?;
            let name = directory.name.clone().into_bytes();
            directory.stored = Some(writer.finish(repository, name, metadata(random, 0o755))?);
        }
        let entry = directory.stored.as_ref().expect("just stored");
        root.add(repository, entry)?;
    }
    root.finish(repository, b"data".to_vec(), metadata(random, 0o755))
}

fn source(path: &str) -> Source {
    Source { user: "app".into(), host: "media".into(), path: path.into() }
}
