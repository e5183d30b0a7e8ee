//! Writes all that the program says to a person, or gives out.

use std::fmt;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::{Value, json};

use crate::text;

/// Bytes of a line at most: a path from a snapshot may be as long as it likes.
const LONGEST_LINE: usize = 4000;

/// The state of what the terminal shows below everything that was said. All that goes to standard error passes this
/// lock, so that lines never mix.
static STATUS: Mutex<Status> = Mutex::new(Status { shown: String::new(), is_held: false, is_over: false });

struct Status {
    /// The line that stands there now; empty for none.
    shown: String,
    /// Whether somebody else has the terminal for themselves.
    is_held: bool,
    /// Whether nothing is shown any more.
    is_over: bool,
}

fn status() -> MutexGuard<'static, Status> {
    STATUS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes the state without waiting for the terminal: neither for its lock nor for the next write. `None`: not possible,
/// or all is over.
fn status_at_once() -> Option<MutexGuard<'static, Status>> {
    let status = match STATUS.try_lock() {
        Ok(status) => status,
        Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
        Err(TryLockError::WouldBlock) => return None,
    };
    (!status.is_over && takes_output()).then_some(status)
}

/// A sequence that empties the line on which the cursor is, from its beginning.
const ERASE: &str = "\r\x1b[2K";

impl Status {
    /// Writes `text` above the line. A terminal that has gone away is no reason to fail: a thread that panics over it
    /// would leave the restore half done.
    fn write(&mut self, text: &[u8]) {
        let mut all = Vec::new();
        if !self.shown.is_empty() {
            all.extend_from_slice(ERASE.as_bytes());
        }
        all.extend_from_slice(text);
        if !self.shown.is_empty() {
            // The terminal may have become narrower.
            self.shown.truncate(columns());
            all.extend_from_slice(self.drawing().as_bytes());
        }
        let _ = io::stderr().write_all(&all);
    }

    /// Returns what draws the line, with the cursor at its beginning: what a key echoes then stands in the line and is
    /// drawn over, and what another program writes after us, too.
    fn drawing(&self) -> String {
        format!("\r{}\x1b[K\r", self.shown)
    }

    fn erase(&mut self) {
        if !std::mem::take(&mut self.shown).is_empty() {
            let _ = io::stderr().write_all(ERASE.as_bytes());
        }
    }
}

/// Says a line on standard error.
pub(crate) fn say(line: &str) {
    status().write(format!("{}\n", text::shortened(line, LONGEST_LINE)).as_bytes());
}

/// Asks for something, without ending the line.
pub(crate) fn prompt(question: &str) {
    status().write(question.as_bytes());
}

/// Shows the line that `fitted` makes for a number of columns, in place of the one before. A terminal that takes nothing
/// (it was stopped, or nobody reads it) is left as it is: whoever shows progress never waits.
pub(crate) fn show_status(fitted: impl FnOnce(usize) -> String) {
    let Some(mut status) = status_at_once() else { return };
    if !status.is_held {
        status.shown = fitted(columns());
        let _ = io::stderr().write_all(status.drawing().as_bytes());
    }
}

/// Says a line of progress, where that is possible without waiting and the last words were not said already.
pub(crate) fn log_status(line: &str) {
    if let Some(mut status) = status_at_once() {
        status.write(format!("{line}\n").as_bytes());
    }
}

/// Takes the line of progress away for good.
pub(crate) fn end_status() {
    let mut status = status();
    status.is_over = true;
    status.erase();
}

/// Takes the line away for good, where that is possible without waiting.
pub(crate) fn end_status_at_once() {
    if let Some(mut status) = status_at_once() {
        status.is_over = true;
        status.erase();
    }
}

/// Does `something` that takes the terminal for itself. Only progress is kept away, and only from being shown.
pub(crate) fn aside<T>(something: impl FnOnce() -> T) -> T {
    let hold = |is_held| {
        let mut status = status();
        status.is_held = is_held;
        status.erase();
    };
    hold(true);
    let result = something();
    hold(false);
    result
}

/// Returns where a line may end: the last column stays free, because some terminals go to the next line when it is
/// written.
fn columns() -> usize {
    let size = rustix::termios::tcgetwinsize(io::stderr());
    // A terminal that does not know its width says 0.
    let columns = size.map_or(0, |size| size.ws_col);
    usize::from(if columns == 0 { 80 } else { columns }) - 1
}

/// Whether standard error would take something now.
fn takes_output() -> bool {
    let stderr = io::stderr();
    let mut fds = [PollFd::new(&stderr, PollFlags::OUT)];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut fds, Some(&at_once)).is_ok_and(|ready| ready > 0 && fds[0].revents().contains(PollFlags::OUT))
}

/// A writer of the log to standard error.
pub(crate) struct Log;

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        status().write(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A writer to standard output, whose errors are told apart from all others: a pipe that the reader closed ends a
/// listing quietly, while a connection that the storage closed is a failure.
pub(crate) struct Output(io::Stdout);

/// Returns the standard output of this process.
pub(crate) fn output() -> Output {
    Output(io::stdout())
}

/// Gives out a line of a stream of JSON, an object, in one piece: they come from several threads. The first one says the
/// version of all. Behind the last one there is none: who watches the work may be late.
///
/// # Errors
/// Those of standard output.
pub(crate) fn give_line(document: Value) -> io::Result<()> {
    give(document, false)
}

/// Gives out the last line of a stream of JSON, or an error in its place, with the version.
///
/// # Errors
/// Those of standard output.
pub(crate) fn give_last_line(document: Value) -> io::Result<()> {
    give(document, true)
}

fn give(mut document: Value, is_last: bool) -> io::Result<()> {
    static IS_BEGUN: AtomicBool = AtomicBool::new(false);
    static IS_OVER: AtomicBool = AtomicBool::new(false);
    // Both are looked at by whoever has the output.
    let mut out = io::stdout().lock();
    if IS_OVER.fetch_or(is_last, Ordering::Relaxed) {
        return Ok(());
    }
    if !IS_BEGUN.swap(true, Ordering::Relaxed) || is_last {
        document["version"] = json!(1);
    }
    out.write_all(format!("{document}\n").as_bytes()).and_then(|()| out.flush()).map_err(marked)
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes).map_err(marked)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush().map_err(marked)
    }
}

fn marked(e: io::Error) -> io::Error {
    match e.kind() {
        // Not a failure: the writer tries again.
        io::ErrorKind::Interrupted => e,
        kind => io::Error::new(kind, OutputError(e)),
    }
}

/// The error of standard output that could not be written.
#[derive(Debug)]
struct OutputError(io::Error);

impl fmt::Display for OutputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot write to standard output: {}", self.0)
    }
}

impl std::error::Error for OutputError {}

/// Whether an error says that nobody reads standard output any more.
pub(crate) fn is_closed_output(error: &anyhow::Error) -> bool {
    let io = error.chain().find_map(|cause| cause.downcast_ref::<io::Error>());
    io.is_some_and(|e| {
        e.kind() == io::ErrorKind::BrokenPipe && e.get_ref().is_some_and(|inner| inner.is::<OutputError>())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_own_output_closes_quietly() {
        let broken = || io::Error::from(io::ErrorKind::BrokenPipe);
        assert!(is_closed_output(&anyhow::Error::from(marked(broken())).context("a listing")));
        assert!(!is_closed_output(&anyhow::Error::from(broken()).context("the server")));
        let full = marked(io::Error::from(io::ErrorKind::StorageFull));
        assert!(full.to_string().starts_with("cannot write to standard output: "), "{full}");
        assert!(!is_closed_output(&full.into()));
    }
}
