//! Mounts for one run, in a namespace of its own, where the test may make them.

use std::process::{Command, Stdio};

use crate::place::Place;

/// Whether a namespace can be had and something mounted in it.
pub(crate) fn can_mount() -> bool {
    let mut trial = Command::new("unshare");
    trial.args(["-m", "sh", "-ec", "mount -t tmpfs tmpfs /mnt"]).stdout(Stdio::null()).stderr(Stdio::null());
    trial.status().is_ok_and(|s| s.success())
}

/// Returns the mover after these lines of shell.
pub(crate) fn in_namespace(place: &Place, lines: &str) -> Command {
    let inner = place.command_after(lines);
    let mut command = Command::new("unshare");
    command.arg("-m").arg(inner.get_program()).args(inner.get_args());
    command.env_clear().envs(&place.env).current_dir("/").stdin(Stdio::null());
    command
}
