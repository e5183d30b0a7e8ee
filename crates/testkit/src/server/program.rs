//! Runs emulators that are programs of their own.

use std::net::{TcpListener, TcpStream};
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

/// Returns a port that is free now.
pub(super) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
