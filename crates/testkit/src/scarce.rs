//! Runs a program that has little: few processes, and no right to own things.

use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use crate::pod::which;

/// Time after which a run hangs.
pub const HANGS: Duration = Duration::from_secs(60);

/// Returns a command that runs a program, whose words follow, as `user` with at most so many processes. The limit
/// counts the threads of a user, and root has none: it takes root to become one.
///
/// # Panics
/// When util-linux is not installed.
pub fn with_processes(limit: u32, user: u32) -> Command {
    let mut command = Command::new(which("prlimit"));
    command.arg(format!("--nproc={limit}:{limit}")).arg(which("setpriv"));
    command.args([format!("--reuid={user}"), format!("--regid={user}"), "--clear-groups".into()]);
    command
}

/// Waits for the end of a program.
///
/// # Panics
/// When it [`HANGS`].
#[track_caller]
pub fn ends(mut child: Child, what: &str) -> ExitStatus {
    let began = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if began.elapsed() > HANGS {
            let _ = child.kill();
            panic!("{what}: still there after {HANGS:?}");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
