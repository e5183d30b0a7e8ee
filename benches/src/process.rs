//! Runs a whole process, with the operating system's own accounting.

use std::ffi::OsString;
use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};

/// The costs of a run of a program.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    pub(crate) seconds: f64,
    /// User and system time of the process and its children.
    pub(crate) cpu: f64,
    /// Memory of the largest process at its peak, in MiB.
    pub(crate) peak_mib: f64,
}

/// Runs a shell script to its end; standard output goes to `work/stdout`. The sync of the file system of `sync`
/// belongs to the time.
///
/// # Errors
/// When it ends with anything but 0, with the end of what it said.
pub(crate) fn timed(
    script: &str,
    environment: &[(String, OsString)],
    work: &Path,
    sync: Option<&Path>,
) -> Result<Run> {
    let (stdout, stderr, usage) = (work.join("stdout"), work.join("stderr"), work.join("usage"));
    // GNU time forks from a small process: the peak of a child that starts from this one would be at least ours,
    // because the kernel counts the memory before exec too.
    let mut command = Command::new("/usr/bin/env");
    command.arg("time").args(["-q", "-f", "%U %S %M", "-o"]).arg(&usage).args(["sh", "-c", script]);
    command.envs(environment.iter().map(|(key, value)| (key, value)));
    command.stdin(Stdio::null()).stdout(File::create(&stdout)?).stderr(File::create(&stderr)?);
    let started = Instant::now();
    let status = command.status().context("cannot start; is GNU time there?")?;
    if let (Some(target), true) = (sync, status.success()) {
        rustix::fs::syncfs(File::open(target)?)?;
    }
    let seconds = started.elapsed().as_secs_f64();
    if !status.success() {
        let text = std::fs::read(&stderr)?;
        let text = String::from_utf8_lossy(&text[text.len().saturating_sub(2000)..]).into_owned();
        ensure!(status.success(), "exit {:?}: {text}", status.code());
    }
    let text = std::fs::read_to_string(&usage)?;
    let numbers: Vec<f64> =
        text.split_whitespace().map(str::parse).collect::<Result<_, _>>().context(text.clone())?;
    let [user, system, peak] = numbers[..] else { anyhow::bail!("GNU time said {text:?}") };
    Ok(Run { seconds, cpu: user + system, peak_mib: peak / 1024.0 })
}

/// Returns the middle value; of an even number the upper.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// Returns all files below, links not followed.
pub(crate) fn files(root: &Path) -> Result<Vec<std::path::PathBuf>> {
    let (mut found, mut stack) = (Vec::new(), vec![root.to_owned()]);
    while let Some(directory) = stack.pop() {
        for entry in std::fs::read_dir(&directory).with_context(|| directory.display().to_string())? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                stack.push(entry.path());
            } else if kind.is_file() {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Drops the pages of all files below from the page cache (no effect on a tmpfs).
pub(crate) fn drop_pages(root: &Path) -> Result<()> {
    for path in files(root)? {
        let file = File::open(&path)?;
        rustix::fs::fdatasync(&file)?;
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?;
    }
    Ok(())
}
