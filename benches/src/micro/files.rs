//! Small files by bare system calls on a directory handle.

use std::cell::Cell;
use std::os::fd::AsFd;
use std::path::Path;

use anyhow::{Context, Result};

use super::{Steps, Unit};
use crate::raw::{Attributes, create, directory, write_at};

/// Files in one directory.
const EACH: u64 = 100;

/// How much of the work is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Depth {
    Create,
    Write,
    Attributes,
}

/// Creates files; each row does a little more than the one before.
pub(super) fn creation(steps: &mut Steps, dir: &Path, files: u64) -> Result<()> {
    let base = dir.join("micro-files");
    std::fs::create_dir_all(&base).with_context(|| base.display().to_string())?;
    for (depth, name) in [
        (Depth::Create, "create and close a file"),
        (Depth::Write, "create, write 4 KiB, close"),
        (Depth::Attributes, "create, write 4 KiB, set owner, mode and time, close"),
    ] {
        // Nothing is removed in between: creating right after removing is slow on some file systems.
        let round = Cell::new(0);
        let prepare = || {
            round.set(round.get() + 1);
            let place = base.join(format!("{depth:?}-{}", round.get()));
            let directories = (0..files.div_ceil(EACH)).map(|number| {
                let path = place.join(number.to_string());
                std::fs::create_dir_all(&path)?;
                directory(&path)
            });
            directories.collect::<Result<Vec<_>>>()
        };
        let (data, attributes) = (vec![b'x'; 4096], Attributes::new());
        steps.time(name, Unit::Things("files"), files, prepare, |directories| {
            for number in 0..files {
                let directory = &directories[(number / EACH) as usize];
                let file = create(directory.as_fd(), &format!("file-{number:08}"))?;
                if depth >= Depth::Write {
                    write_at(&file, &data, 0)?;
                }
                if depth >= Depth::Attributes {
                    attributes.set(&file)?;
                }
            }
            Ok(())
        })?;
    }
    Ok(std::fs::remove_dir_all(&base)?)
}
