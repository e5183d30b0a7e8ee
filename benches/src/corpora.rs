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
    /// Thousandths of the same after a hundred snapshots, each with a hundredth changed.
    DeepHistory,
    /// Thousandths of the same in packs of 256 KiB.
    TinyPacks,
    /// Thousandths of the same with error correction.
    Ecc,
}

/// Makes the corpus, with our test writer or with the real Kopia.
pub(crate) fn generate(kind: Kind, count: u64, out: &Path, seed: u64, kopia: Option<&Path>) -> Result<()> {
    ensure!(!out.join("kopia").exists(), "{} has a corpus already", out.display());
    fs::create_dir_all(out)?;
    if kind == Kind::ManyIndexes {
        ensure!(kopia.is_none(), "the real Kopia would merge many indexes");
        let mut writer = writer(kind, &out.join("kopia"))?;
        let snapshots = corpus::many_indexes(&mut writer, count, seed)?;
        return Ok(fs::write(out.join("snapshots"), snapshots.len().to_string())?);
    }
    let source = out.join("source");
    write_directory(&source, |target| tree(kind, count, seed, target))?;
    own(&source)?;
    let days = if kind == Kind::DeepHistory { DAYS } else { 1 };
    let change = |day| Change { block: 1 << 16, keep_times: false, seed: seed + day };
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
    let root = write_repository(&mut writer, |target| tree(kind, count, 1, target))?;
    snapshot(&mut writer, root)
}

fn tree(kind: Kind, count: u64, seed: u64, target: &mut dyn Target) -> writer::Result<()> {
    match kind {
        Kind::SmallFiles => corpus::small_files(target, count, 4096.0, seed),
        Kind::BigFile => corpus::big_file(target, count << 20, Texture::Text, seed),
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
