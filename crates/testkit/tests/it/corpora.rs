//! Corpora are the same in a repository and on the disk.

use rekopia_testkit::corpus::{self, Target, Texture, write_directory, write_repository};
use rekopia_testkit::damage::Damaged;
use rekopia_testkit::tree::Tree;
use rekopia_testkit::writer::{DirectorySink, NewSnapshot, RepositoryWriter, Result, WriterOptions};

use crate::support::{in_memory, open, restore, source};

fn without_owner(mut tree: Tree) -> Tree {
    tree.entries.values_mut().for_each(|e| (e.uid, e.gid) = (0, 0));
    tree
}

async fn same_in_both(name: &str, corpus: impl Fn(&mut dyn Target) -> Result<()>) -> usize {
    let dir = tempfile::tempdir().unwrap();
    let compression = Some("zstd-fastest".into());
    let (blobs, mut writer) = in_memory(WriterOptions { compression, ..WriterOptions::default() });
    let root = write_repository(&mut writer, &corpus).unwrap();
    let id = writer.put_snapshot(&NewSnapshot::new(source("/data"), 1, root)).unwrap();
    writer.flush().unwrap();
    write_directory(&dir.path().join("disk"), &corpus).unwrap();
    let restored = restore(&open(&blobs).await, id.as_str(), &dir.path().join("restored")).await;
    let on_disk = without_owner(Tree::read(&dir.path().join("disk")));
    let diff = on_disk.diff(&without_owner(restored), &[]);
    assert!(diff.is_empty(), "{name}:\n{diff}");
    on_disk.entries.values().filter(|e| e.kind == 'f').count()
}

#[tokio::test(flavor = "multi_thread")]
async fn corpora_are_the_same_everywhere() {
    assert_eq!(same_in_both("small", |t| corpus::small_files(t, 250, 4096.0, 1)).await, 250);
    assert_eq!(same_in_both("tiny", |t| corpus::tiny_files(t, 1234, 1)).await, 1234);
    assert_eq!(same_in_both("wide", |t| corpus::wide_directory(t, 2000, 1)).await, 2000);
    assert_eq!(same_in_both("big", |t| corpus::big_file(t, 20_000_001, Texture::Text, 1)).await, 1);
    assert_eq!(same_in_both("mixed", |t| corpus::mixed_volume(t, 10, 1)).await, 200 + 1 + 6);
}

/// The sizes that the full volume promises, without writing it.
#[test]
fn the_mixed_volume_has_20640_files_and_2_gb() {
    #[derive(Default)]
    struct Totals(u64, u64);
    impl Target for Totals {
        fn enter(&mut self, _: &str, _: rekopia_testkit::writer::Metadata) -> Result<()> {
            Ok(())
        }
        fn file(
            &mut self,
            _: &str,
            _: rekopia_testkit::writer::Metadata,
            filling: corpus::Filling,
        ) -> Result<()> {
            (self.0, self.1) = (self.0 + 1, self.1 + filling.left());
            Ok(())
        }
        fn leave(&mut self) -> Result<()> {
            Ok(())
        }
    }
    let mut totals = Totals::default();
    corpus::mixed_volume(&mut totals, 1000, 1).unwrap();
    assert_eq!(totals.0, 20_640);
    assert!((1_800_000_000..2_200_000_000).contains(&totals.1), "{}", totals.1);
}

#[test]
fn damage_is_where_it_is_wanted() {
    let dir = tempfile::tempdir().unwrap();
    let shards = r#"{"default":[3,3],"maxNonShardedLength":10,"overrides":[{"prefix":"p","shards":[2]}]}"#;
    let sink = DirectorySink::create_with(&dir.path().join("repo"), shards).unwrap();
    let mut writer = RepositoryWriter::create(sink, WriterOptions::default()).unwrap();
    for text in ["one", "two"] {
        writer.put_content(0, text.as_bytes()).unwrap();
        writer.flush().unwrap();
    }
    let damaged = Damaged::copy(&dir.path().join("repo"), &dir.path().join("copy"));
    let packs = damaged.blobs("p");
    assert_eq!((packs.len(), damaged.blobs("xn").len(), damaged.blobs("kopia").len()), (2, 2, 2));
    let read = |blob| std::fs::read(damaged.path(blob)).unwrap();
    let (first, second) = (read(&packs[0]), read(&packs[1]));
    damaged.flip(&packs[0], 40);
    damaged.overwrite(&packs[0], 0, b"abc");
    assert_eq!((read(&packs[0])[40], &read(&packs[0])[..3]), (!first[40], b"abc".as_slice()));
    damaged.swap(&packs[0], &packs[1]);
    assert_eq!(read(&packs[0]), second);
    damaged.truncate(&packs[0], 10);
    assert_eq!(read(&packs[0]), second[..10]);
    damaged.delete(&packs[0]);
    assert_eq!(damaged.blobs("p"), packs[1..]);
    assert_eq!(Damaged::in_place(&dir.path().join("repo")).blobs("p"), packs);
}
