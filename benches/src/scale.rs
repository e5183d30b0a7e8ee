//! Memory of a restore of many directories and of one wide directory.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use serde_json::json;

use crate::corpora::{Kind, PASSWORD, generate_repository};
use crate::process::timed;

/// Restores both; fails when either takes more than its bound.
pub(crate) fn scale(files: u64, dir: Option<PathBuf>, rekopia: &Path) -> Result<()> {
    let dir = dir.unwrap_or_else(|| std::env::temp_dir().join("rekopia-scale"));
    std::fs::create_dir_all(&dir)?;
    let password = dir.join("password");
    std::fs::write(&password, PASSWORD)?;
    for (kind, count) in [(Kind::Deep, files), (Kind::Wide, files / 3)] {
        let repo = dir.join(format!("{kind:?}-{count}"));
        if !repo.exists() {
            generate_repository(kind, count, &repo)?;
        }
        let target = dir.join("target");
        let environment = [
            ("REKOPIA".to_owned(), rekopia.into()),
            ("REPO".to_owned(), repo.into()),
            ("PASSWORD_FILE".to_owned(), password.clone().into()),
            ("TARGET".to_owned(), target.clone().into()),
        ];
        let script = "exec \"$REKOPIA\" --repo \"$REPO\" --password-file \"$PASSWORD_FILE\" --no-progress -q \
                      restore --sync none bench@host:/data \"$TARGET\"";
        let run = timed(script, &environment, &dir, None)?;
        // 32 MiB, the larger of key derivation and budget, the index.
        let contents = if kind == Kind::Deep { count + count / 10 } else { count };
        let bound = 32.0 + 80.0 + (contents as f64 * 40.0) / f64::from(1 << 20);
        println!(
            "{}",
            json!({"kind": format!("{kind:?}"), "files": count, "seconds": run.seconds, "peakMiB": run.peak_mib, "boundMiB": bound})
        );
        std::fs::remove_dir_all(&target)?;
        ensure!(run.peak_mib <= bound, "{kind:?}: {:.0} MiB, {bound:.0} allowed", run.peak_mib);
    }
    Ok(())
}
