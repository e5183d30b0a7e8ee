//! Lets an installed `kustomize` or `kubectl` build a folder.

use std::ffi::OsStr;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// A program that builds folders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Program {
    path: PathBuf,
    /// The command: `build` of kustomize, `kustomize` of kubectl.
    command: &'static str,
}

impl Program {
    /// Finds the first program in these folders, given as in `PATH`; kustomize before kubectl.
    pub(super) fn find(folders: &OsStr) -> Option<Self> {
        [("kustomize", "build"), ("kubectl", "kustomize")].into_iter().find_map(|(name, command)| {
            let mut paths = std::env::split_paths(folders).filter(|folder| folder.is_absolute());
            let path = paths.find_map(|folder| Some(folder.join(name)).filter(|path| path.is_file()))?;
            Some(Program { path, command })
        })
    }

    /// Returns what the program prints for a folder.
    ///
    /// # Errors
    /// One line: it does not run, fails, takes longer than `limit`, or prints too much.
    pub(super) fn build(&self, folder: &Path, limit: Duration) -> Result<String, String> {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut command = Command::new(&self.path);
        command.arg(self.command).arg("--load-restrictor=LoadRestrictionsNone").arg(folder);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|why| format!("{name} does not start: {why}"))?;
        let (out, err) =
            (drained(child.stdout.take(), MOST_BYTES), drained(child.stderr.take(), MOST_ERROR_BYTES));
        let until = Instant::now() + limit;
        // An end of its output, or too much of it.
        let text = out.recv_timeout(limit);
        let succeeded = finish(&mut child, if text.is_ok() { until } else { Instant::now() });
        let text = text.map_err(|_| format!("{name} took longer than {} s", limit.as_secs()))?;
        if text.len() as u64 > MOST_BYTES {
            return Err(format!("{name} printed more than {} MiB", MOST_BYTES >> 20));
        }
        if succeeded != Some(true) {
            let said = err.recv_timeout(Duration::from_secs(1)).unwrap_or_default();
            let said = String::from_utf8_lossy(&said);
            return Err(format!("{name} fails: {}", said.lines().next().unwrap_or("it says nothing")));
        }
        String::from_utf8(text).map_err(|_| format!("{name} printed no text"))
    }
}

/// Reads what comes, up to one byte more than the limit, in a thread of its own: a full pipe would stop the program.
fn drained(from: Option<impl Read + Send + 'static>, most: u64) -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(from) = from {
            let _ = from.take(most + 1).read_to_end(&mut bytes);
        }
        let _ = sender.send(bytes);
    });
    receiver
}

/// Waits for the end until then, and ends the program where it does not end itself. None: it was ended.
fn finish(child: &mut Child, until: Instant) -> Option<bool> {
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status.success()),
            Ok(None) if Instant::now() < until => std::thread::sleep(Duration::from_millis(5)),
            _ => {
                let _ = child.kill();
                let _ = child.wait();
                return None;
            }
        }
    }
}

/// Time that a build may take.
pub(super) const LIMIT: Duration = Duration::from_secs(60);
const MOST_BYTES: u64 = 64 << 20;
const MOST_ERROR_BYTES: u64 = 64 << 10;

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[expect(clippy::unwrap_used, reason = "without the script there is no test")]
    fn program(name: &str, script: &str) -> (tempfile::TempDir, Program) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        let program = Program::find(folder.path().as_os_str()).unwrap();
        (folder, program)
    }

    #[test]
    fn programs_run_without_a_shell_between() {
        let (_folder, kustomize) = program("kustomize", "echo \"$1|$2|$3|$#\"");
        let said = kustomize.build(Path::new("/a b;c"), LIMIT);
        assert_eq!(said.as_deref(), Ok("build|--load-restrictor=LoadRestrictionsNone|/a b;c|3\n"));
        let (_folder, kubectl) = program("kubectl", "echo $1");
        assert_eq!(kubectl.build(Path::new("/"), LIMIT).as_deref(), Ok("kustomize\n"));
        assert_eq!(Program::find(OsStr::new("/nowhere:relative")), None);
    }

    #[test]
    fn failures_time_and_length_are_bounded() {
        let (_folder, fails) = program("kustomize", "echo no such thing >&2; exit 1");
        assert_eq!(fails.build(Path::new("/"), LIMIT), Err("kustomize fails: no such thing".to_owned()));
        let (_folder, hangs) = program("kustomize", "exec sleep 100");
        let begun = Instant::now();
        let said = hangs.build(Path::new("/"), Duration::from_millis(200));
        assert_eq!(said, Err("kustomize took longer than 0 s".to_owned()));
        assert!(begun.elapsed() < Duration::from_secs(10));
        let (_folder, floods) = program("kustomize", "exec yes");
        assert!(floods.build(Path::new("/"), LIMIT).is_err_and(|why| why.contains("64 MiB")));
    }
}
