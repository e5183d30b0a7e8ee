//! Corpora to measure with: a tree on the disk, and a Kopia repository with a snapshot of it.
//!
//! ```text
//! OUT/source   the tree, the truth that every restore is compared with
//! OUT/kopia    the repository (password "test-password"), its source bench@host:/data
//! OUT/snapshots  how many snapshots it has
//! ```

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use rekopia_testkit::corpus::{self, Target, Texture, write_directory, write_repository};
use rekopia_testkit::writer::{
    self, DirectorySink, Entry, NewSnapshot, RepositoryWriter, Source, WriterOptions,
};

use crate::change::{Change, apply};

/// The password of every repository here.
pub(crate) const PASSWORD: &str = "test-password";
/// Snapshots of a deep history.
const DAYS: u64 = 100;

/// The shape of a corpus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// Lognormal around 4 KiB, half compressible, zstd.
    SmallFiles,
    /// A compressible file, zstd.
    BigFile,
    /// A file of which every second 64 KiB compresses, zstd.
    BigFileHalf,
    /// A file of noise, not compressed.
    BigFileNoise,
    /// All files in one directory.
    Wide,
    /// Distinct tiny files, ten to a directory.
    Deep,
    /// A tiny source for each index blob.
    ManyIndexes,
    /// Thousandths of a small server's volume of 2 GB.
    Mixed,
    /// Thousandths of the same after a hundred snapshots, each with a hundredth changed.
    DeepHistory,
    /// Thousandths of the same in packs of 256 KiB.
    TinyPacks,
    /// Thousandths of the same with error correction.
    Ecc,
}

/// What to make.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Shape {
    /// Its shape
    pub(crate) kind: Kind,
    /// Files, MiB of a big file, index blobs, or thousandths of the mixed volume
    pub(crate) count: u64,
    /// Other data of the same shape
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Bytes around which the sizes of small files lie
    #[arg(long, default_value_t = 4096)]
    pub(crate) median: u32,
}

impl Shape {
    /// With the seed and the sizes that are used when nothing is said.
    pub(crate) fn new(kind: Kind, count: u64) -> Self {
        Shape { kind, count, seed: 1, median: 4096 }
    }
}

/// Makes the corpus, with our test writer or with the real Kopia.
pub(crate) fn generate(shape: &Shape, out: &Path, kopia: Option<&Path>) -> Result<()> {
    let Shape { kind, count, seed, .. } = *shape;
    ensure!(!out.join("kopia").exists(), "{} has a corpus already", out.display());
    fs::create_dir_all(out)?;
    if kind == Kind::ManyIndexes {
        ensure!(kopia.is_none(), "the real Kopia would merge many indexes");
        let mut writer = writer(kind, &out.join("kopia"))?;
        let snapshots = corpus::many_indexes(&mut writer, count, seed)?;
        return Ok(fs::write(out.join("snapshots"), snapshots.len().to_string())?);
    }
    let source = out.join("source");
    write_directory(&source, |target| tree(shape, target))?;
    own(&source)?;
    let days = if kind == Kind::DeepHistory { DAYS } else { 1 };
    let change = |day| Change { block: 1 << 16, keep_times: false, seed: seed.wrapping_add(day) };
    match kopia {
        Some(kopia) => {
            let run = Kopia::create(kopia, kind, out)?;
            for day in 0..days {
                if day > 0 {
                    apply(&source, &change(day))?;
                }
                run.snapshot(&source)?;
            }
        }
        None => {
            let mut writer = writer(kind, &out.join("kopia"))?;
            for day in 0..days {
                if day > 0 {
                    apply(&source, &change(day))?;
                    writer.set_now(writer.now() + 86_400);
                }
                let root = writer.put_tree(&source)?;
                snapshot(&mut writer, root)?;
            }
        }
    }
    Ok(fs::write(out.join("snapshots"), days.to_string())?)
}

/// Only a repository, straight from the generator: trees that are too large for a disk.
pub(crate) fn generate_repository(kind: Kind, count: u64, out: &Path) -> Result<()> {
    let mut writer = writer(kind, out)?;
    let root = write_repository(&mut writer, |target| tree(&Shape::new(kind, count), target))?;
    snapshot(&mut writer, root)
}

fn tree(shape: &Shape, target: &mut dyn Target) -> writer::Result<()> {
    let Shape { count, seed, .. } = *shape;
    match shape.kind {
        Kind::SmallFiles => corpus::small_files(target, count, shape.median.into(), seed),
        Kind::BigFile => corpus::big_file(target, count << 20, Texture::Text, seed),
        Kind::BigFileHalf => corpus::big_file(target, count << 20, Texture::Half, seed),
        Kind::BigFileNoise => corpus::big_file(target, count << 20, Texture::Noise, seed),
        Kind::Wide => corpus::wide_directory(target, count, seed),
        Kind::Deep | Kind::ManyIndexes => corpus::tiny_files(target, count, seed),
        Kind::Mixed | Kind::DeepHistory | Kind::TinyPacks | Kind::Ecc => {
            corpus::mixed_volume(target, count, seed)
        }
    }
}

fn writer(kind: Kind, out: &Path) -> Result<RepositoryWriter> {
    let defaults = WriterOptions::default();
    // A history stores what did not change once.
    let deduplicate = kind == Kind::DeepHistory;
    let options = WriterOptions {
        compression: (kind != Kind::BigFileNoise).then(|| "zstd-fastest".to_owned()),
        max_pack_size: if kind == Kind::TinyPacks { 256 << 10 } else { defaults.max_pack_size },
        ecc_percent: if kind == Kind::Ecc { 2 } else { 0 },
        deduplicate,
        remember_entries: false,
        ..defaults
    };
    Ok(RepositoryWriter::create(DirectorySink::create(out)?, options)?)
}

fn snapshot(writer: &mut RepositoryWriter, root: Entry<'static>) -> Result<()> {
    let source = Source { user: "bench".into(), host: "host".into(), path: "/data".into() };
    writer.put_snapshot(&NewSnapshot::new(source, writer.now() * 1_000_000_000, root))?;
    Ok(writer.flush()?)
}

/// Owners other than whoever runs this, when that is possible: restores have to set them.
fn own(root: &Path) -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let status = Command::new("chown").args(["-hR", "1000:1000"]).arg(root).status()?;
    ensure!(status.success(), "chown ended with {status}");
    Ok(())
}

/// The real Kopia with a configuration of its own.
struct Kopia<'a> {
    program: &'a Path,
    home: std::path::PathBuf,
}

impl<'a> Kopia<'a> {
    fn create(program: &'a Path, kind: Kind, out: &Path) -> Result<Self> {
        let this = Kopia { program, home: out.join("home") };
        fs::create_dir_all(&this.home)?;
        let path = format!("--path={}", out.join("kopia").display());
        let mut create = vec!["repository", "create", "filesystem", &path];
        create.extend(["--override-username=bench", "--override-hostname=host"]);
        match kind {
            Kind::Ecc => create.extend(["--ecc=REED-SOLOMON-CRC32", "--ecc-overhead-percent=2"]),
            Kind::TinyPacks => bail!("the real Kopia makes no packs under 10 MiB: leave out --kopia"),
            _ => {}
        }
        this.run(&create)?;
        if kind != Kind::BigFileNoise {
            this.run(&["policy", "set", "--global", "--compression=zstd"])?;
        }
        // Retention must not remove days of a history.
        this.run(&["policy", "set", "--global", "--keep-latest=100000"])?;
        Ok(this)
    }

    fn snapshot(&self, source: &Path) -> Result<()> {
        let source = source.to_str().context("the path is not UTF-8")?;
        self.run(&["snapshot", "create", "--no-progress", "--override-source=bench@host:/data", source])
    }

    fn run(&self, arguments: &[&str]) -> Result<()> {
        let mut command = Command::new(self.program);
        command.args(arguments).stdout(Stdio::null()).stderr(Stdio::piped());
        command.env("HOME", &self.home).env("KOPIA_PASSWORD", PASSWORD);
        command.env("KOPIA_CHECK_FOR_UPDATES", "false");
        let output = command.output()?;
        let text = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "kopia {}: {text}", arguments.join(" "));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rekopia::{
        OpenOptions, Password, Reference, Repository, RestoreOptions, Selection, Silent, SyncMode,
    };

    use super::*;
    use crate::check::equal_trees;

    async fn open(corpus: &Path) -> Repository {
        let blobs = rekopia::blob::connect(&rekopia::blob::Settings::path(corpus.join("kopia"))).await;
        let password = Password::new(PASSWORD);
        Repository::open(blobs.unwrap(), &password, &OpenOptions::default(), Arc::new(Silent)).await.unwrap()
    }

    async fn restore(repository: &Repository, previous: usize, target: &Path) {
        let selection = Selection::default().previous(previous);
        let reference = Reference::parse("bench@host:/data").unwrap();
        let from = repository.resolve(&reference, &selection).await.unwrap();
        let options = RestoreOptions::default().sync(SyncMode::None);
        let report = repository.restore(&from, target, &options, Arc::new(Silent)).await.unwrap();
        assert!(report.is_complete(), "{:?}", report.failures());
    }

    /// Every shape, with two seeds: restored it is the source tree, and another seed is another tree.
    #[tokio::test(flavor = "multi_thread")]
    async fn every_corpus_restores() {
        let dir = tempfile::tempdir().unwrap();
        for (kind, count) in [
            (Kind::SmallFiles, 120),
            (Kind::BigFile, 9),
            (Kind::BigFileHalf, 3),
            (Kind::BigFileNoise, 3),
            (Kind::Wide, 300),
            (Kind::Deep, 300),
            (Kind::Mixed, 2),
            (Kind::TinyPacks, 2),
            (Kind::Ecc, 2),
        ] {
            for seed in [1, 77] {
                let corpus = dir.path().join(format!("{kind:?}-{seed}"));
                generate(&Shape { seed, ..Shape::new(kind, count) }, &corpus, None).unwrap();
                let repository = open(&corpus).await;
                let target = corpus.join("target");
                restore(&repository, 0, &target).await;
                equal_trees(&corpus.join("source"), &target, true).unwrap();
                let info = repository.info();
                match kind {
                    Kind::TinyPacks => assert!(info.packs >= 10, "{} packs", info.packs),
                    Kind::Ecc => assert_eq!(info.ecc_overhead_percent, 2),
                    _ => assert_eq!(info.ecc_overhead_percent, 0),
                }
            }
            let one = |seed| dir.path().join(format!("{kind:?}-{seed}/source"));
            assert!(equal_trees(&one(1), &one(77), false).is_err(), "{kind:?}: both seeds give the same");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_deep_history_has_all_its_days() {
        let dir = tempfile::tempdir().unwrap();
        let corpus = dir.path().join("history");
        generate(&Shape::new(Kind::DeepHistory, 1), &corpus, None).unwrap();
        let repository = open(&corpus).await;
        let snapshots = repository.snapshots().await.unwrap();
        assert_eq!(snapshots.all().len() as u64, DAYS);
        assert_eq!(fs::read_to_string(corpus.join("snapshots")).unwrap(), DAYS.to_string());
        restore(&repository, 0, &dir.path().join("last")).await;
        equal_trees(&corpus.join("source"), &dir.path().join("last"), true).unwrap();
        restore(&repository, DAYS as usize - 1, &dir.path().join("first")).await;
        assert!(equal_trees(&corpus.join("source"), &dir.path().join("first"), false).is_err());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn many_indexes_are_as_many() {
        let dir = tempfile::tempdir().unwrap();
        generate(&Shape::new(Kind::ManyIndexes, 30), dir.path(), None).unwrap();
        let repository = open(dir.path()).await;
        assert_eq!(repository.snapshots().await.unwrap().all().len(), 30);
        assert!(repository.info().index_blobs >= 30, "{}", repository.info().index_blobs);
    }
}
