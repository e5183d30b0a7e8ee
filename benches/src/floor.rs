//! What the machine can do at best: the unavoidable part of a restore of a corpus, by bare system calls.

use std::fs;
use std::io::Read;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use rekopia_format::compression::{Decoder, split_header};
use rekopia_format::encryption::ContentCipher;
use rekopia_testkit::random::Random;
use rekopia_testkit::writer::{Compressor, Sealer};

use crate::process::{files, median};
use crate::raw::{Attributes, create, directory, write_at};
use crate::table;

/// Bytes of one content, as Kopia's splitter makes them on average.
const CHUNK: usize = 4 << 20;
/// Bytes of one write of a large file.
const BLOCK: usize = 1 << 20;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// What `generate` made: its names and sizes are used
    #[arg(long)]
    corpus: PathBuf,
    /// Folder to write to (a tmpfs, or the disk to measure)
    #[arg(long)]
    dir: PathBuf,
    /// Threads that write files and decode
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Rounds of each
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Remove created trees after each round (single files always are)
    #[arg(long)]
    remove: bool,
    /// Append the table to this file
    #[arg(long)]
    table: Option<PathBuf>,
}

/// Measures and prints.
pub(crate) fn run(args: &Args) -> Result<()> {
    ensure!(args.rounds > 0 && args.threads > 0, "--rounds and --threads must not be 0");
    let tree = Tree::read(&args.corpus.join("source"))?;
    let base = args.dir.join("floor");
    ensure!(!base.exists(), "{} is there already", base.display());
    fs::create_dir_all(&base)?;
    let big = base.join("big");
    let decoding =
        Decoding::new(beginning(&args.corpus.join("source"))?, compresses(&args.corpus, tree.bytes)?)?;
    let mut rows = vec![["what", "seconds", "with syncfs", "rate"].map(str::to_owned).to_vec()];
    let (count, threads) = (tree.files, args.threads);
    measure(
        args,
        &mut rows,
        &format!("create {count} files, {threads} threads"),
        count as f64 / 1e3,
        "k files",
        |round| tree.create(&base.join(format!("tree-{round}")), threads),
    )?;
    let mb = tree.bytes as f64 / 1e6;
    let what = format!("{}, write at offsets, {threads} threads", decoding.title());
    measure(args, &mut rows, &what, mb, "MB", |_| decoding.write(&big, tree.bytes, threads))?;
    measure(args, &mut rows, "write one file in order, 1 thread", mb, "MB", |_| in_order(&big, tree.bytes))?;
    fs::remove_dir_all(&base)?;
    let corpus = fs::canonicalize(&args.corpus)?;
    let name = corpus.file_name().unwrap_or_default().to_string_lossy();
    let to = table::file_system(&args.dir)?;
    let title = format!("### floor: {name} ({mb:.0} MB) to {to}; medians of {} rounds", args.rounds);
    table::publish(&format!("{title}\n\n{}", table::markdown(&rows)), args.table.as_deref())
}

/// Times the work and the `syncfs` after it, and adds a row; what was made goes away between rounds.
fn measure(
    args: &Args,
    rows: &mut Vec<Vec<String>>,
    what: &str,
    amount: f64,
    unit: &str,
    mut work: impl FnMut(usize) -> Result<()>,
) -> Result<()> {
    let base = args.dir.join("floor");
    let root = directory(&base)?;
    let (mut bare, mut synced) = (Vec::new(), Vec::new());
    for round in 0..args.rounds {
        rustix::fs::syncfs(&root)?;
        let started = Instant::now();
        work(round)?;
        bare.push(started.elapsed().as_secs_f64());
        rustix::fs::syncfs(&root)?;
        synced.push(started.elapsed().as_secs_f64());
        for entry in fs::read_dir(&base)? {
            let path = entry?.path();
            if path.is_file() {
                fs::remove_file(path)?;
            } else if args.remove {
                fs::remove_dir_all(path)?;
            }
        }
    }
    let (bare, synced) = (median(bare.into_iter()), median(synced.into_iter()));
    let rate = format!("{:.0} {unit}/s", amount / bare);
    println!("{what}: {bare:.2} s, {synced:.2} s with syncfs, {rate}");
    rows.push(vec![what.to_owned(), format!("{bare:.2}"), format!("{synced:.2}"), rate]);
    Ok(())
}

/// Directories and the names and sizes of their files.
struct Tree {
    directories: Vec<(PathBuf, Vec<(String, u64)>)>,
    files: usize,
    bytes: u64,
}

impl Tree {
    fn read(root: &Path) -> Result<Self> {
        let mut tree = Tree { directories: vec![(PathBuf::new(), Vec::new())], files: 0, bytes: 0 };
        for path in files(root)? {
            let len = path.metadata()?.len();
            let below = path.strip_prefix(root)?;
            let parent = below.parent().unwrap_or(Path::new("")).to_owned();
            let name = below.file_name().unwrap_or_default().to_str().context("a name is not UTF-8")?;
            // Sorted paths: the files of a directory stand together, but for its subdirectories.
            let known = tree.directories.iter().rposition(|(path, _)| *path == parent);
            let number = known.unwrap_or_else(|| {
                tree.directories.push((parent, Vec::new()));
                tree.directories.len() - 1
            });
            tree.directories[number].1.push((name.to_owned(), len));
            tree.files += 1;
            tree.bytes += len;
        }
        Ok(tree)
    }

    /// Makes everything, directory by directory; each thread takes the next one.
    fn create(&self, root: &Path, threads: usize) -> Result<()> {
        let (data, attributes, next) = (vec![b'x'; BLOCK], Attributes::new(), AtomicUsize::new(0));
        on_threads(threads, || {
            while let Some((path, files)) = self.directories.get(next.fetch_add(1, Ordering::Relaxed)) {
                fs::create_dir_all(root.join(path))?;
                let directory = directory(&root.join(path))?;
                for (name, len) in files {
                    let file = create(directory.as_fd(), name)?;
                    for at in (0..*len).step_by(BLOCK) {
                        write_at(&file, &data[..(len - at).min(BLOCK as u64) as usize], at)?;
                    }
                    attributes.set(&file)?;
                }
            }
            Ok(())
        })
    }
}

/// A content as it is stored, to be opened again and again.
struct Decoding {
    cipher: ContentCipher,
    stored: Vec<u8>,
    compressed: bool,
}

const IV: [u8; 16] = [1; 16];

impl Decoding {
    fn new(mut plaintext: Vec<u8>, compressed: bool) -> Result<Self> {
        let (name, key) = ("AES256-GCM-HMAC-SHA256", [7; 32]);
        if compressed {
            let mut shorter = Vec::new();
            ensure!(
                Compressor::new("zstd-fastest")?.compress(&plaintext, &mut shorter),
                "the beginning of the corpus does not compress"
            );
            plaintext = shorter;
        }
        let mut stored = Vec::new();
        Sealer::new(name, &key, 0, Random::new(2))?.seal(&IV, &plaintext, &mut stored);
        Ok(Decoding { cipher: ContentCipher::new(name, &key)?, stored, compressed })
    }

    fn title(&self) -> &'static str {
        if self.compressed { "decrypt AES-GCM, decompress zstd" } else { "decrypt AES-GCM" }
    }

    /// Writes a file of so many bytes. The copy of the stored bytes stands for reading them.
    fn write(&self, path: &Path, bytes: u64, threads: usize) -> Result<()> {
        let parent = directory(path.parent().context("no parent")?)?;
        let file = create(parent.as_fd(), path.file_name().and_then(|n| n.to_str()).context("no name")?)?;
        let next = AtomicU64::new(0);
        on_threads(threads, || {
            let (mut stored, mut decoder, mut out) = (Vec::new(), Decoder::default(), Vec::new());
            loop {
                let at = next.fetch_add(CHUNK as u64, Ordering::Relaxed);
                if at >= bytes {
                    return Ok(());
                }
                stored.clear();
                stored.extend_from_slice(&self.stored);
                let mut plaintext: &[u8] = self.cipher.open_in_place(&IV, &mut stored)?;
                if self.compressed {
                    let (id, stream) = split_header(plaintext)?;
                    decoder.decode(id, stream, Some(CHUNK), CHUNK, &mut out)?;
                    plaintext = &out;
                }
                write_at(&file, &plaintext[..(bytes - at).min(CHUNK as u64) as usize], at)?;
            }
        })
    }
}

fn in_order(path: &Path, bytes: u64) -> Result<()> {
    let parent = directory(path.parent().context("no parent")?)?;
    let file = create(parent.as_fd(), path.file_name().and_then(|n| n.to_str()).context("no name")?)?;
    let data = vec![b'x'; BLOCK];
    for at in (0..bytes).step_by(BLOCK) {
        write_at(&file, &data[..(bytes - at).min(BLOCK as u64) as usize], at)?;
    }
    Ok(())
}

fn on_threads(threads: usize, work: impl Fn() -> Result<()> + Sync) -> Result<()> {
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(&work)).collect();
        running.into_iter().try_for_each(|thread| match thread.join() {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    })
}

/// Returns the first bytes of the corpus, as long as a content; a short corpus repeats.
fn beginning(source: &Path) -> Result<Vec<u8>> {
    let (mut bytes, files) = (Vec::with_capacity(CHUNK), files(source)?);
    for path in files.iter().cycle().take(CHUNK) {
        let left = (CHUNK - bytes.len()) as u64;
        fs::File::open(path)?.take(left).read_to_end(&mut bytes)?;
        if bytes.len() == CHUNK {
            break;
        }
    }
    ensure!(bytes.len() == CHUNK, "{} has no data", source.display());
    Ok(bytes)
}

/// Whether the corpus was stored compressed.
fn compresses(corpus: &Path, bytes: u64) -> Result<bool> {
    let mut stored = 0;
    for path in files(&corpus.join("kopia"))? {
        stored += path.metadata()?.len();
    }
    Ok(stored < bytes / 10 * 9)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corpora::{Kind, Shape, generate};

    #[test]
    fn measures_small_and_big_files() {
        let dir = tempfile::tempdir().unwrap();
        for (kind, count, decodes) in
            [(Kind::SmallFiles, 30, "zstd"), (Kind::BigFileNoise, 3, "decrypt AES-GCM,")]
        {
            let corpus = dir.path().join(format!("{kind:?}"));
            generate(&Shape::new(kind, count), &corpus, None).unwrap();
            let table = dir.path().join(format!("{kind:?}.md"));
            let (target, table_file) = (dir.path().join("target"), Some(table.clone()));
            let args =
                Args { corpus, dir: target.clone(), threads: 2, rounds: 2, remove: false, table: table_file };
            fs::create_dir_all(&target).unwrap();
            run(&args).unwrap();
            let text = fs::read_to_string(&table).unwrap();
            assert!(text.contains(decodes) && text.lines().count() >= 7, "{text}");
            assert_eq!(fs::read_dir(&target).unwrap().count(), 0, "everything is cleaned up");
        }
    }

    #[test]
    fn a_created_tree_has_the_names_and_sizes() {
        let dir = tempfile::tempdir().unwrap();
        let corpus = dir.path().join("corpus");
        generate(&Shape::new(Kind::Mixed, 2), &corpus, None).unwrap();
        let tree = Tree::read(&corpus.join("source")).unwrap();
        tree.create(&dir.path().join("copy"), 2).unwrap();
        let copy = Tree::read(&dir.path().join("copy")).unwrap();
        assert_eq!(copy.directories, tree.directories);
        assert_eq!((copy.files, copy.bytes), (tree.files, tree.bytes));
    }
}
