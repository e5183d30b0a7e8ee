//! What the pod's limits leave to a run.

use std::path::{Path, PathBuf};
use std::process::Command;

use rekopia_testkit::tree::Tree;

use crate::made::{Made, large_files};
use crate::place::{Ended, plain};

/// A control group with a limit of memory; it ends when it is dropped.
struct Group(PathBuf);

impl Group {
    /// `None` where none can be made.
    fn limited(bytes: u64) -> Option<Self> {
        // The unified hierarchy, and the old one.
        [("/sys/fs/cgroup", "memory.max"), ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")]
            .into_iter()
            .find_map(|(root, file)| {
                let path = Path::new(root).join(format!("rekopia-test-{}", std::process::id()));
                std::fs::create_dir(&path).ok()?;
                let group = Group(path);
                // Only the kernel's own folders have this.
                let is_real = group.0.join("cgroup.procs").exists();
                (is_real && std::fs::write(group.0.join(file), bytes.to_string()).is_ok()).then_some(group)
            })
    }

    /// Makes the command run in the group.
    fn holding(&self, inner: &Command) -> Command {
        let mut command = Command::new("sh");
        command.args(["-ec", "echo $$ > \"$0\"; exec \"$@\""]).arg(self.0.join("cgroup.procs"));
        command.arg(inner.get_program()).args(inner.get_args()).env_clear();
        command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir(&self.0);
    }
}

#[test]
fn memory_follows_the_limit_of_the_pod() {
    // Deriving the key takes 64 MiB of it.
    let Some(group) = Group::limited(120 << 20) else {
        rekopia_testkit::kernel_lacks("control groups that a test may make");
        return;
    };
    let made = Made::of(|root| large_files(root, 24, 6 << 20));
    let dir = tempfile::tempdir().unwrap();
    let inner = plain(&made.repo(), dir.path());
    let ended = Ended::of(group.holding(&inner).output().unwrap());
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    assert!(ended.log.contains("INFO: 40 MiB of memory for data in flight\n"), "{}", ended.log);
    let diff = made.tree.diff(&Tree::read(dir.path()), &[]);
    assert!(diff.is_empty(), "{diff}");
    // A setting is stronger.
    let mut inner = plain(&made.repo(), dir.path());
    inner.env("REKOPIA_MEMORY", "24MiB");
    let ended = Ended::of(group.holding(&inner).output().unwrap());
    assert!(ended.log.contains("INFO: 24 MiB of memory"), "{}", ended.log);
}
