//! Emulators that are programs of their own.

use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A running emulator; it ends when it is dropped.
pub(super) struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Program {
    /// Starts `command` and waits until it listens at `port`.
    pub(super) fn start(command: &mut Command, port: u16) -> Self {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let mut program = Program(child.unwrap_or_else(|e| panic!("{:?}: {e}", command.get_program())));
        for _ in 0..300 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return program;
            }
            if let Some(status) = program.0.try_wait().unwrap() {
                panic!("{:?} ended: {status}", command.get_program());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("{:?} does not listen", command.get_program());
    }
}

/// A port that is free now.
pub(super) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A file of an emulator in `target/emulators`.
///
/// # Panics
/// When it is not there.
pub(super) fn installed(path: &str) -> PathBuf {
    let file = place(path);
    assert!(file.exists(), "{} is missing: `bash .ci/emulators` installs it", file.display());
    file
}

/// Whether a file of an emulator is in `target/emulators`: `azurite`, `fake-gcs-server`.
pub fn is_installed(path: &str) -> bool {
    place(path).exists()
}

/// Whether a program can be started by its name alone, or is where Debian has servers.
pub fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    folders.map(|folder| folder.join(program)).any(|file| file.is_file())
}

fn place(path: &str) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let target =
        target.unwrap_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target")));
    target.join("emulators").join(path)
}
