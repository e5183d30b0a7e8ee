//! A verification that cannot fail proves nothing: what each makes of one flipped bit.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::contest::Contest;
use crate::process::{files, timed};
use crate::tools::Tool;

impl Contest<'_> {
    /// Each must see one flipped bit in the largest data file.
    pub(crate) fn prove_verification(&self) -> Result<()> {
        for program in &self.programs {
            let (folder, data) = match program.tool {
                Tool::Rekopia | Tool::Kopia => ("kopia", "/p"),
                Tool::Restic => ("restic", "/data/"),
                Tool::Rustic => ("rustic", "/data/"),
            };
            let mut candidates = Vec::new();
            for path in files(&self.args.corpus.join(folder))? {
                if path
                    .to_string_lossy()
                    .rsplit_once(folder)
                    .is_some_and(|(_, below)| below.starts_with(data))
                {
                    candidates.push((path.metadata()?.len(), path));
                }
            }
            let (len, path) = candidates.into_iter().max().context("no data in the repository")?;
            let flip = Flip::new(&path, len / 2)?;
            let outcome = timed(&program.script, &self.fresh()?, &self.args.dir, None);
            drop(flip);
            if outcome.is_ok() {
                bail!("{} did not notice a flipped bit in {}", program.name, path.display());
            }
        }
        println!("every verification noticed a flipped bit");
        Ok(())
    }
}

/// A bit of a file that is wrong until this is dropped.
struct Flip {
    file: fs::File,
    at: u64,
    mode: fs::Permissions,
}

impl Flip {
    fn new(path: &Path, at: u64) -> Result<Self> {
        let mode = path.metadata()?.permissions();
        let file = fs::OpenOptions::new().read(true).write(true).open(path)?;
        let flip = Flip { file, at, mode };
        flip.toggle()?;
        Ok(flip)
    }

    fn toggle(&self) -> std::io::Result<()> {
        let mut byte = [0];
        self.file.read_exact_at(&mut byte, self.at)?;
        self.file.write_all_at(&[byte[0] ^ 1], self.at)?;
        self.file.set_permissions(self.mode.clone())
    }
}

impl Drop for Flip {
    fn drop(&mut self) {
        if let Err(error) = self.toggle() {
            eprintln!("the repository stays damaged: {error}");
        }
    }
}
