//! Makes data of a given shape, equal for an equal seed: straight into a repository, or onto a disk.
//!
//! ```text
//! small_files, big_file, mixed_volume, … ──► Target ──► a RepositoryWriter, or a directory
//! ```

mod history;
mod target;
mod texture;

use crate::random::Random;
use crate::writer::{Metadata, Result};

pub use history::{deep_history, many_indexes};
pub use target::{Target, write_directory, write_repository};
pub use texture::{Filling, Texture};

/// Makes `files` small files, a hundred to a directory and a hundred directories to one above. Sizes are lognormal
/// around `median` bytes; every second file compresses.
///
/// # Errors
/// Those of the target.
pub fn small_files(target: &mut dyn Target, files: u64, median: f64, seed: u64) -> Result<()> {
    let directories = files.div_ceil(100);
    groups(target, directories, seed, |target, directory| {
        let mut random = Random::of_part(seed, directory);
        for number in directory * 100..files.min((directory + 1) * 100) {
            let texture = if number.is_multiple_of(2) { Texture::Text } else { Texture::Noise };
            let len = lognormal(&mut random, median).min(1 << 20);
            let (name, metadata) = (name_of(number, texture), metadata(&mut random, 0o644));
            target.file(&name, metadata, Filling::new(random.next_u64(), len, texture))?;
        }
        Ok(())
    })
}

/// Makes `files` distinct files of a few dozen bytes, ten to a directory: many entries out of little data.
///
/// # Errors
/// Those of the target.
pub fn tiny_files(target: &mut dyn Target, files: u64, seed: u64) -> Result<()> {
    groups(target, files.div_ceil(10), seed, |target, directory| {
        let mut random = Random::of_part(seed, directory);
        (directory * 10..files.min((directory + 1) * 10))
            .try_for_each(|number| tiny_file(target, number, &mut random))
    })
}

/// Makes `files` distinct files of a few dozen bytes in one directory.
///
/// # Errors
/// Those of the target.
pub fn wide_directory(target: &mut dyn Target, files: u64, seed: u64) -> Result<()> {
    let mut random = Random::new(seed);
    (0..files).try_for_each(|number| tiny_file(target, number, &mut random))
}

/// Makes a file of `bytes` bytes.
///
/// # Errors
/// Those of the target.
pub fn big_file(target: &mut dyn Target, bytes: u64, texture: Texture, seed: u64) -> Result<()> {
    let mut random = Random::new(seed);
    target.file("big.bin", metadata(&mut random, 0o600), Filling::new(random.next_u64(), bytes, texture))
}

/// Makes a small server's volume: 20,640 files and 2 GB, databases among them. `thousandths` of it: 1000 for all.
///
/// # Errors
/// Those of the target.
pub fn mixed_volume(target: &mut dyn Target, thousandths: u64, seed: u64) -> Result<()> {
    let mut random = Random::new(seed);
    let share = |files: u64| (files * thousandths).div_ceil(1000);
    target.enter("config", metadata(&mut random, 0o755))?;
    small_files(target, share(20_000), 4096.0, random.next_u64())?;
    target.leave()?;
    target.enter("db", metadata(&mut random, 0o2700))?;
    for number in 0..share(40) {
        let len = (8 << 20) + random.below(40 << 20);
        let (name, metadata) = (format!("table-{number:02}.db"), metadata(&mut random, 0o600));
        target.file(&name, metadata, Filling::new(random.next_u64(), len, Texture::Database))?;
    }
    target.leave()?;
    target.enter("media", metadata(&mut random, 0o755))?;
    for number in 0..share(600) {
        let len = lognormal(&mut random, 700_000.0).min(16 << 20);
        let (name, metadata) = (format!("IMG_{number:04}.jpg"), metadata(&mut random, 0o644));
        target.file(&name, metadata, Filling::new(random.next_u64(), len, Texture::Noise))?;
    }
    target.leave()
}

/// Makes numbered directories, a hundred to a directory above, each filled by `fill`.
fn groups(
    target: &mut dyn Target,
    directories: u64,
    seed: u64,
    mut fill: impl FnMut(&mut dyn Target, u64) -> Result<()>,
) -> Result<()> {
    let mut random = Random::of_part(seed, u64::MAX);
    for group in 0..directories.div_ceil(100) {
        target.enter(&format!("group-{group:05}"), metadata(&mut random, 0o755))?;
        for directory in group * 100..directories.min((group + 1) * 100) {
            target.enter(&format!("dir-{directory:07}"), metadata(&mut random, 0o750))?;
            fill(target, directory)?;
            target.leave()?;
        }
        target.leave()?;
    }
    Ok(())
}

fn tiny_file(target: &mut dyn Target, number: u64, random: &mut Random) -> Result<()> {
    let filling = Filling::new(number, 16 + number % 40, Texture::Noise);
    target.file(&format!("f{number:08}"), metadata(random, 0o644), filling)
}

fn name_of(number: u64, texture: Texture) -> String {
    let word = ["report", "Invoice", "photo", "mail", "Protokoll-für", "data <1> &", "日記", "cache"]
        [number as usize % 8];
    let extension = if texture == Texture::Text { "txt" } else { "bin" };
    format!("{number:07}-{word}.{extension}")
}

/// Returns some time in 2020…2025, to the nanosecond; an unprivileged owner.
fn metadata(random: &mut Random, mode: u32) -> Metadata {
    let mtime_ns = 1_577_836_800_000_000_000 + random.below(189_345_600_000_000_000) as i64;
    Metadata { mode, uid: 1000, gid: 1000, mtime_ns }
}

/// Returns a length around `median`, with a tail of long ones.
fn lognormal(random: &mut Random, median: f64) -> u64 {
    let (a, b) = (1.0 - random.unit(), random.unit());
    let normal = (-2.0 * a.ln()).sqrt() * (std::f64::consts::TAU * b).cos();
    (median * normal.exp()) as u64
}
