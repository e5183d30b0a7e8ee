//! A hundredth of a tree changed, the same for the same seed: what an in-place restore has to find and undo.

use std::fs::{File, FileTimes, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Result, ensure};
use rekopia_testkit::random::Random;

use crate::process::files;

/// Files of this size are changed by blocks, smaller ones as a whole.
const LARGE: u64 = 1 << 20;

/// What to change.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Change {
    /// Bytes of one changed block of a large file.
    pub(crate) block: u64,
    /// Sizes and times stay: only who reads the bytes can see the change.
    pub(crate) keep_times: bool,
    pub(crate) seed: u64,
}

/// What was changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Changed {
    pub(crate) blocks: u64,
    pub(crate) files: u64,
}

/// Overwrites every hundredth block of large files (counted through all of them) and every hundredth small file,
/// from a random one on; at least one of what there is. Sizes stay.
///
/// # Errors
/// Those of the file system; when there is nothing to change.
pub(crate) fn apply(root: &Path, change: &Change) -> Result<Changed> {
    let mut random = Random::new(change.seed);
    let paths = files(root)?;
    let mut sizes = Vec::with_capacity(paths.len());
    for path in &paths {
        sizes.push(path.metadata()?.len());
    }
    let blocks = |size: u64| if size >= LARGE { size.div_ceil(change.block) } else { 0 };
    let small = sizes.iter().filter(|size| (1..LARGE).contains(*size)).count() as u64;
    let large: u64 = sizes.iter().map(|size| blocks(*size)).sum();
    ensure!(small + large > 0, "{}: nothing to change", root.display());
    let (mut next_small, mut next_block) =
        (random.below(small.clamp(1, 100)), random.below(large.clamp(1, 100)));
    let (mut seen_small, mut seen_blocks, mut changed) = (0, 0, Changed::default());
    for (path, size) in paths.iter().zip(sizes) {
        let mut ranges = Vec::new();
        if size >= LARGE {
            while next_block < seen_blocks + blocks(size) {
                let start = (next_block - seen_blocks) * change.block;
                ranges.push((start, change.block.min(size - start)));
                next_block += 100;
                changed.blocks += 1;
            }
            seen_blocks += blocks(size);
        } else if size > 0 {
            if seen_small == next_small {
                ranges.push((0, size));
                next_small += 100;
                changed.files += 1;
            }
            seen_small += 1;
        }
        if !ranges.is_empty() {
            overwrite(path, &ranges, change.keep_times, &mut random)?;
        }
    }
    Ok(changed)
}

fn overwrite(path: &Path, ranges: &[(u64, u64)], keep_times: bool, random: &mut Random) -> Result<()> {
    let before = path.metadata()?;
    let file: File = OpenOptions::new().write(true).open(path)?;
    for (start, len) in ranges {
        let mut noise = vec![0; *len as usize];
        random.fill(&mut noise);
        file.write_all_at(&noise, *start)?;
    }
    if keep_times {
        file.set_times(FileTimes::new().set_accessed(before.accessed()?).set_modified(before.modified()?))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rekopia_testkit::corpus::{Texture, big_file, small_files, write_directory};

    #[test]
    fn a_hundredth_changes() {
        let base = tempfile::tempdir().unwrap();
        let root = base.path().join("tree");
        write_directory(&root, |target| {
            small_files(target, 1000, 2000.0, 1)?;
            big_file(target, 8 << 20, Texture::Noise, 2)
        })
        .unwrap();
        let times = root.join("big.bin").metadata().unwrap().modified().unwrap();
        let changed = apply(&root, &Change { block: 4096, keep_times: true, seed: 3 }).unwrap();
        assert!((9..=11).contains(&changed.files), "{changed:?}");
        assert!((20..=21).contains(&changed.blocks), "{changed:?}");
        assert_eq!(root.join("big.bin").metadata().unwrap().modified().unwrap(), times);
        apply(&root, &Change { block: 4096, keep_times: false, seed: 3 }).unwrap();
        assert_ne!(root.join("big.bin").metadata().unwrap().modified().unwrap(), times);
    }
}
